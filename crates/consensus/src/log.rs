//! The log as its users see it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jackdaw_ownership::{ELECTION_TIMEOUT_MAX, ELECTION_TIMEOUT_MIN};
use tokio::sync::watch;

use crate::machine::Machine;
use crate::node::{Member, NodeId};
use crate::raft::Node;
use crate::store::{Directory, StoreError};
use crate::wire::{Kind, Wire};

/// How a log behaves. The defaults are the cluster's; every node has to have the same.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How often the leader says that it is there.
    pub heartbeat: Duration,
    /// The shortest time without a leader after which a node wants to become it.
    pub election_min: Duration,
    /// The longest such time. A voter also refuses its vote for so long after it heard a leader.
    pub election_max: Duration,
    /// Entries after which a snapshot is made.
    pub snapshot_every: u64,
    /// Entries that are kept although a snapshot has them, for nodes that are a little behind.
    pub entries_kept: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            heartbeat: Duration::from_millis(150),
            election_min: ELECTION_TIMEOUT_MIN,
            election_max: ELECTION_TIMEOUT_MAX,
            snapshot_every: 2_048,
            entries_kept: 1_024,
        }
    }
}

/// What a node is in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It wants to become the leader.
    Candidate,
    /// It votes, and follows a leader.
    Follower,
    /// It orders the log.
    Leader,
    /// It has the log, and no vote.
    Learner,
    /// It does nothing any more.
    Stopped,
}

/// How a node sees the log and the cluster. What it says of others may be out of date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The node that says so.
    pub id: NodeId,
    /// What it is.
    pub role: Role,
    /// The term that it is in: each has one leader at most.
    pub term: u64,
    /// The leader of that term, if it knows one. A leader that was cut off still names itself.
    pub leader: Option<NodeId>,
    /// Everybody, in the order of their ids.
    pub members: Vec<Member>,
    /// Those who vote. The other members are learners.
    pub voters: BTreeSet<NodeId>,
    /// Whether a change of the voters is half done. Whoever leads has to ask for it again if the
    /// leader that began it is gone.
    pub joint: bool,
    /// The last entry this node has.
    pub last: Option<u64>,
    /// The last entry that its machine has applied.
    pub applied: Option<u64>,
    /// The last entry that is in its snapshot.
    pub snapshot: Option<u64>,
    /// On the leader: the last entry that each other member is known to have.
    pub progress: Vec<(NodeId, Option<u64>)>,
    /// Why it stopped. The process has to end: what the node acknowledged may not be on its disk.
    pub failure: Option<String>,
}

/// A command that is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// Its place in the log.
    pub index: u64,
    /// What the machine answered.
    pub response: Vec<u8>,
}

/// Why a command is not known to be decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Not proposed: too much waits for its decision.
    #[error("too much waits for its decision")]
    Busy,
    /// Not proposed: nobody was found in time who leads.
    #[error("no leader took the command")]
    NotLeader {
        /// Who this node takes for the leader.
        leader: Option<NodeId>,
    },
    /// Not proposed: the node has stopped.
    #[error("the log has stopped: {0}")]
    Stopped(String),
    /// Not proposed: longer than [`crate::COMMAND_BYTES_MAX`].
    #[error("the command is too long")]
    TooLong,
    /// Not proposed: the leader's machine cannot read it ([`Machine::reads`]).
    #[error("the command does not read")]
    Unreadable,
    /// It may be decided, now or later.
    #[error("whether it is decided is not known")]
    Unknown,
}

/// Why leadership is not confirmed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfirmError {
    /// Too many ask at once.
    #[error("too many ask at once")]
    Busy,
    /// This node does not lead.
    #[error("this node does not lead")]
    NotLeader {
        /// Who it takes for the leader.
        leader: Option<NodeId>,
    },
    /// It may lead, but cannot reach enough voters to know.
    #[error("too few voters answered")]
    NoQuorum,
    /// The node has stopped.
    #[error("the log has stopped: {0}")]
    Stopped(String),
}

/// Why the members are not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Another change is under way. Ask again.
    #[error("another change is under way")]
    InProgress,
    /// This node does not lead.
    #[error("this node does not lead")]
    NotLeader {
        /// Who it takes for the leader.
        leader: Option<NodeId>,
    },
    /// It is not a change that can be made.
    #[error("{0}")]
    Refused(String),
    /// The node has stopped.
    #[error("the log has stopped: {0}")]
    Stopped(String),
    /// It may be made, or half made: see [`Status::joint`].
    #[error("whether it is made is not known")]
    Unknown,
}

/// Why a log does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The directory belongs to no node yet.
    #[error("the directory belongs to no node")]
    NoIdentity,
    /// openraft does not take these options.
    #[error("these options do not fit together: {0}")]
    Options(String),
    /// The directory cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is in the log or the snapshot cannot be applied.
    #[error("the log cannot be used: {0}")]
    Unusable(String),
}

/// The log of one node. Clones are the same log; it goes on until [`Log::stop`].
#[derive(Clone)]
pub struct Log {
    node: Arc<Node>,
}

impl Log {
    /// Starts the log of the node whose directory this is. The machine is brought to where the
    /// snapshot was, and what followed is applied as soon as it is known to be decided.
    pub async fn start<M: Machine>(
        directory: Directory,
        machine: M,
        wire: Arc<dyn Wire>,
        options: &Options,
    ) -> Result<Log, StartError> {
        let node = Node::start(directory, machine, wire, options).await?;
        Ok(Log { node: Arc::new(node) })
    }

    /// Whether the node has ever been a member: whether its log has an entry.
    pub async fn is_initialised(&self) -> Result<bool, ChangeError> {
        self.node.is_initialised().await
    }

    /// Begins the cluster, with this node as its only voter. For node 0 alone, once.
    pub async fn initialise(&self, address: &str) -> Result<(), ChangeError> {
        self.node.initialise(address).await
    }

    /// Has a command decided, whoever leads, and waits until the leader has applied it.
    ///
    /// Only after [`ProposeError::Unknown`] may it be decided although this failed; a command that
    /// must not be applied twice says itself which state it expects.
    pub async fn propose(&self, command: Vec<u8>) -> Result<Decided, ProposeError> {
        self.node.propose(command).await
    }

    /// Confirms that this node leads, by a round to the voters begun after the call, and that its
    /// machine has applied what was decided before: the index up to which. One round serves all who
    /// wait for one.
    pub async fn confirm(&self) -> Result<u64, ConfirmError> {
        self.node.confirm().await
    }

    /// Adds a node, which gets the log from then on and has no vote. The leader's to do.
    pub async fn add_learner(&self, member: &Member) -> Result<(), ChangeError> {
        self.node.add_learner(member).await
    }

    /// Makes these members the voters, all others learners, in one joint change. The leader's to
    /// do, and only with one, three or five: two voters stop when either does. A leader that is not
    /// among them then falls silent, and this returns when another one leads; until then, one to
    /// two election timeouts, nothing is decided. [`ChangeError::Unknown`] also says that nobody
    /// took over, and it goes on leading: ask again.
    pub async fn set_voters(&self, voters: &BTreeSet<NodeId>) -> Result<(), ChangeError> {
        self.node.set_voters(voters).await
    }

    /// Removes a learner. The leader's to do.
    pub async fn remove(&self, id: NodeId) -> Result<(), ChangeError> {
        self.node.remove(id).await
    }

    /// Answers what another node sent through its [`Wire`]. May be called many times at once; what
    /// is too much is refused in the answer.
    pub async fn answer(&self, kind: Kind, request: &[u8]) -> Vec<u8> {
        self.node.answer(kind, request).await
    }

    /// Who leads, as far as this node knows.
    pub fn leader(&self) -> Option<NodeId> {
        self.node.status().borrow().leader
    }

    /// How this node sees the log and the cluster.
    pub fn status(&self) -> Status {
        self.node.status().borrow().clone()
    }

    /// The same, to wait for what changes: leaders, members, entries that are applied.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.node.status()
    }

    /// How often the log's file was made durable since it was opened.
    pub fn syncs(&self) -> u64 {
        self.node.syncs()
    }

    /// Makes a snapshot soon, whatever is in the log.
    pub async fn make_snapshot(&self) -> Result<(), ChangeError> {
        self.node.make_snapshot().await
    }

    /// Stops. The directory is free for another start when the last clone is gone too.
    pub async fn stop(&self) {
        self.node.stop().await;
    }
}
