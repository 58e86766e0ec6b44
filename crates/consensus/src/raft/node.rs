//! What a node does with openraft.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::error::{ChangeMembershipError, ClientWriteError, InitializeError, RaftError};
use openraft::{ChangeMembers, Config, SnapshotPolicy};
use tokio::sync::{Semaphore, watch};

use super::applying::Applying;
use super::confirming::Confirming;
use super::message::{Head, ProposalAnswer, Refusal};
use super::network::{Link, Network, Unanswered};
use super::receiving::Receiving;
use super::status;
use super::storage::LogStore;
use super::types::{Command, Place, Raft};
use crate::log::{
    ChangeError, ConfirmError, Decided, Options, ProposeError, Role, StartError, Status,
};
use crate::machine::Machine;
use crate::node::{Identity, Member, NodeId};
use crate::store::Directory;
use crate::voters;
use crate::wire::{COMMAND_BYTES_MAX, Kind, Wire, WireError};

/// How long a proposal looks for a leader and waits for the decision. Longer than it takes to elect
/// one when the last is gone, twice the longest election timeout.
const PROPOSAL: Duration = Duration::from_secs(5);

/// How long a change of members is waited for.
const CHANGE: Duration = Duration::from_secs(10);

/// How long to wait before somebody is asked again who did not lead.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// Commands that wait for their decision, in KiB of which each begins at least one. A leader
/// without a quorum keeps them in its log, and cannot give them up.
const WAITING_KIB_MAX: usize = 16 << 10;

/// The longest address, as DNS names and ports go.
const ADDRESS_BYTES_MAX: usize = 255 + 6;

/// The most members, voters and learners. All of them are in every entry that changes one.
const MEMBERS_MAX: usize = 256;

/// openraft, and what it needs to be a node.
pub(crate) struct Node {
    pub(super) raft: Raft,
    pub(super) receiving: Receiving,
    me: Identity,
    directory: Directory,
    wire: Arc<dyn Wire>,
    waiting: Arc<Semaphore>,
    confirming: Confirming,
    status: watch::Receiver<Status>,
    /// It leads, is no voter any more, and waits for another to lead.
    leaving: AtomicBool,
    /// Whether bytes are a command of the machine.
    reads: fn(&[u8]) -> bool,
}

impl Node {
    pub async fn start<M: Machine>(
        directory: Directory,
        machine: M,
        wire: Arc<dyn Wire>,
        options: &Options,
    ) -> Result<Node, StartError> {
        let me = directory.identity()?.ok_or(StartError::NoIdentity)?;
        let rows = Arc::clone(&directory.rows);
        let unusable = |error: &dyn std::error::Error| StartError::Unusable(error.to_string());
        let applying =
            Applying::restored(machine, Arc::clone(&rows)).map_err(|error| unusable(&error))?;
        let network = Network { wire: Arc::clone(&wire), me };
        let config = Arc::new(config(options)?);
        let raft = Raft::new(me.node.0, config, network, LogStore::new(rows), applying).await;
        let raft = raft.map_err(|error| unusable(&error))?;
        let myself = Member { address: String::new(), directory: directory.id(), id: me.node };
        Ok(Node {
            receiving: Receiving::new(Head::to(me, &myself)),
            me,
            directory,
            wire,
            waiting: Arc::new(Semaphore::new(WAITING_KIB_MAX)),
            confirming: Confirming::start(raft.clone(), options.election_max),
            status: status::follow(me.node, raft.metrics()),
            leaving: AtomicBool::new(false),
            reads: M::reads,
            raft,
        })
    }

    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    pub fn syncs(&self) -> u64 {
        self.directory.syncs()
    }

    pub async fn is_initialised(&self) -> Result<bool, ChangeError> {
        self.raft.is_initialized().await.map_err(|fatal| ChangeError::Stopped(fatal.to_string()))
    }

    pub async fn initialise(&self, address: &str) -> Result<(), ChangeError> {
        if self.me.node != NodeId(0) {
            return Err(ChangeError::Refused("only node 0 begins a cluster".into()));
        }
        let me = Member {
            address: checked(address)?.to_owned(),
            directory: self.directory.id(),
            id: self.me.node,
        };
        let members = BTreeMap::from([(me.id.0, Place::of(&me))]);
        self.raft.initialize(members).await.map_err(|error| match error {
            RaftError::APIError(InitializeError::NotAllowed(_)) => {
                ChangeError::Refused("the cluster has begun already".into())
            }
            RaftError::APIError(other) => ChangeError::Refused(other.to_string()),
            RaftError::Fatal(fatal) => ChangeError::Stopped(fatal.to_string()),
        })
    }

    pub async fn confirm(&self) -> Result<u64, ConfirmError> {
        if self.leaving.load(Ordering::Relaxed) {
            return Err(ConfirmError::NotLeader { leader: None });
        }
        self.confirming.confirm().await
    }

    pub async fn make_snapshot(&self) -> Result<(), ChangeError> {
        let asked = self.raft.trigger().snapshot().await;
        asked.map_err(|fatal| ChangeError::Stopped(fatal.to_string()))
    }

    pub async fn stop(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "the log did not stop in order");
        }
    }
}

/// Proposing.
impl Node {
    pub async fn propose(&self, command: Vec<u8>) -> Result<Decided, ProposeError> {
        if command.len() > COMMAND_BYTES_MAX {
            return Err(ProposeError::TooLong);
        }
        // Whether somebody may have it who has not said that he does not propose it.
        let sent = AtomicBool::new(false);
        let proposed = tokio::time::timeout(PROPOSAL, self.propose_somewhere(command, &sent));
        match proposed.await {
            Ok(result) => result,
            Err(_) if sent.load(Ordering::Relaxed) => Err(ProposeError::Unknown),
            Err(_) => Err(ProposeError::NotLeader { leader: self.status.borrow().leader }),
        }
    }

    async fn propose_somewhere(
        &self,
        command: Vec<u8>,
        sent: &AtomicBool,
    ) -> Result<Decided, ProposeError> {
        let mut status = self.status.clone();
        loop {
            let leader = leader(&status.borrow_and_update())?;
            if let Some(leader) = leader {
                sent.store(true, Ordering::Relaxed);
                let proposed = if leader.id == self.me.node {
                    self.propose_here(command.clone()).await
                } else {
                    self.propose_to(leader, &command).await
                };
                match proposed {
                    Err(ProposeError::NotLeader { .. }) => sent.store(false, Ordering::Relaxed),
                    other => return other,
                }
            }
            // The time for one that did not lead any more, the change for one that nobody knows.
            tokio::select! {
                changed = status.changed() => if changed.is_err() { return Err(gone()); },
                () = tokio::time::sleep(ASK_AGAIN) => {}
            }
        }
    }

    /// Proposes as the leader.
    pub(super) async fn propose_here(&self, command: Vec<u8>) -> Result<Decided, ProposeError> {
        if command.len() > COMMAND_BYTES_MAX {
            return Err(ProposeError::TooLong);
        }
        if self.leaving.load(Ordering::Relaxed) {
            return Err(ProposeError::NotLeader { leader: None });
        }
        if !(self.reads)(&command) {
            return Err(ProposeError::Unreadable);
        }
        let room = 1 + command.len() as u32 / 1_024;
        let room = Arc::clone(&self.waiting).try_acquire_many_owned(room);
        let room = room.map_err(|_| ProposeError::Busy)?;
        let raft = self.raft.clone();
        // A task, because the entry keeps its room until it is decided, however long nobody waits.
        let written = tokio::spawn(async move {
            let written = raft.client_write(Command(command)).await;
            drop(room);
            written
        });
        let Ok(written) = tokio::time::timeout(PROPOSAL, written).await else {
            return Err(ProposeError::Unknown);
        };
        match written.map_err(|_| ProposeError::Unknown)? {
            Ok(written) => Ok(Decided { index: written.log_id.index, response: written.data.0 }),
            // It may have gone to others before whatever stopped this node.
            Err(RaftError::Fatal(_)) => Err(ProposeError::Unknown),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward))) => {
                Err(ProposeError::NotLeader { leader: forward.leader_id.map(NodeId) })
            }
            Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(_))) => {
                Err(ProposeError::Unknown)
            }
        }
    }

    /// Has another node propose, which leads.
    async fn propose_to(&self, leader: Member, command: &[u8]) -> Result<Decided, ProposeError> {
        let not_led = ProposeError::NotLeader { leader: Some(leader.id) };
        let link = Link::new(Arc::clone(&self.wire), self.me, leader);
        match link.ask(Kind::Propose, &command).await {
            Ok(ProposalAnswer::Decided { index, response }) => Ok(Decided { index, response }),
            Ok(ProposalAnswer::Busy) | Err(Unanswered::Refused(Refusal::Busy)) => {
                Err(ProposeError::Busy)
            }
            Ok(ProposalAnswer::NotLeader)
            | Err(Unanswered::Wire(WireError::Unreachable(_)) | Unanswered::Refused(_)) => {
                Err(not_led)
            }
            Ok(ProposalAnswer::Unreadable) => Err(ProposeError::Unreadable),
            Ok(ProposalAnswer::Unknown)
            | Err(Unanswered::Wire(WireError::Unknown(_)) | Unanswered::Unreadable) => {
                Err(ProposeError::Unknown)
            }
            Err(Unanswered::TooLong) => Err(ProposeError::TooLong),
        }
    }
}

/// Changing the members.
impl Node {
    pub async fn add_learner(&self, member: &Member) -> Result<(), ChangeError> {
        checked(&member.address)?;
        {
            let status = self.status.borrow();
            if let Some(known) = status.members.iter().find(|known| known.id == member.id) {
                return if known == member { Ok(()) } else { Err(refused("the id is taken")) };
            }
            if status.members.len() >= MEMBERS_MAX {
                return Err(refused("the cluster is full"));
            }
        }
        let added = BTreeMap::from([(member.id.0, Place::of(member))]);
        self.change(ChangeMembers::AddNodes(added)).await
    }

    pub async fn set_voters(&self, ids: &BTreeSet<NodeId>) -> Result<(), ChangeError> {
        if !voters::COUNTS.contains(&ids.len()) {
            return Err(refused("there are one, three or five voters"));
        }
        let voters = ids.iter().map(|id| id.0).collect();
        self.change(ChangeMembers::ReplaceAllVoters(voters)).await?;
        if ids.contains(&self.me.node) { Ok(()) } else { self.step_down().await }
    }

    /// Falls silent until the voters elect one of them. openraft 0.9 has no other way: a leader
    /// that became a learner goes on leading. What it sent meanwhile would put the election off,
    /// so it takes no command and confirms nothing.
    async fn step_down(&self) -> Result<(), ChangeError> {
        let mut status = self.status.clone();
        let silence = Silence::begin(self);
        let gone = status.wait_for(|status| status.role != Role::Leader);
        let gone = tokio::time::timeout(CHANGE, gone).await.map(|_| ());
        drop(silence);
        gone.map_err(|_| ChangeError::Unknown)
    }

    pub async fn remove(&self, id: NodeId) -> Result<(), ChangeError> {
        if self.status.borrow().voters.contains(&id) {
            return Err(refused("a voter is made a learner before it is removed"));
        }
        self.change(ChangeMembers::RemoveNodes(BTreeSet::from([id.0]))).await
    }

    async fn change(&self, change: ChangeMembers<u64, Place>) -> Result<(), ChangeError> {
        let raft = self.raft.clone();
        // A task, because half of a joint change is worse than one that nobody waits for.
        let changed = tokio::spawn(async move { raft.change_membership(change, true).await });
        let Ok(Ok(changed)) = tokio::time::timeout(CHANGE, changed).await else {
            return Err(ChangeError::Unknown);
        };
        let error = match changed {
            Ok(_) => return Ok(()),
            Err(RaftError::Fatal(fatal)) => return Err(ChangeError::Stopped(fatal.to_string())),
            Err(RaftError::APIError(error)) => error,
        };
        Err(match error {
            ClientWriteError::ForwardToLeader(forward) => {
                ChangeError::NotLeader { leader: forward.leader_id.map(NodeId) }
            }
            ClientWriteError::ChangeMembershipError(ChangeMembershipError::InProgress(_)) => {
                ChangeError::InProgress
            }
            ClientWriteError::ChangeMembershipError(other) => refused(&other.to_string()),
        })
    }
}

/// A leader that is silent until this is dropped, also when nobody waits for the outcome any more.
struct Silence<'a>(&'a Node);

impl Silence<'_> {
    fn begin(node: &Node) -> Silence<'_> {
        node.leaving.store(true, Ordering::Relaxed);
        node.raft.runtime_config().heartbeat(false);
        Silence(node)
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        self.0.raft.runtime_config().heartbeat(true);
        self.0.leaving.store(false, Ordering::Relaxed);
    }
}

/// Who leads, and is known as a member.
fn leader(status: &Status) -> Result<Option<Member>, ProposeError> {
    if let Some(failure) = &status.failure {
        return Err(ProposeError::Stopped(failure.clone()));
    }
    let known = |id| status.members.iter().find(|member| member.id == id).cloned();
    Ok(status.leader.and_then(known))
}

fn gone() -> ProposeError {
    ProposeError::Stopped("it was stopped".into())
}

fn refused(why: &str) -> ChangeError {
    ChangeError::Refused(why.to_owned())
}

fn checked(address: &str) -> Result<&str, ChangeError> {
    let fits = !address.is_empty() && address.len() <= ADDRESS_BYTES_MAX;
    fits.then_some(address).ok_or_else(|| refused("the address is empty or too long"))
}

fn config(options: &Options) -> Result<Config, StartError> {
    let millis = |time: Duration| time.as_millis().try_into().unwrap_or(u64::MAX);
    let config = Config {
        cluster_name: "jackdaw".into(),
        heartbeat_interval: millis(options.heartbeat),
        election_timeout_min: millis(options.election_min),
        election_timeout_max: millis(options.election_max),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(options.snapshot_every),
        max_in_snapshot_log_to_keep: options.entries_kept,
        // Who is further behind gets a snapshot: the entries may be gone by then.
        replication_lag_threshold: options.snapshot_every + options.entries_kept,
        ..Config::default()
    };
    config.validate().map_err(|error| StartError::Options(error.to_string()))
}
