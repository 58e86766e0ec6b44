//! Nodes in one process, over a wire that can be cut and slowed down.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jackdaw_consensus::store::Directory;
use jackdaw_consensus::{
    Answering, ChangeError, ClusterId, Decided, DirectoryId, Identity, Kind, Log, Machine,
    MachineError, Member, NodeId, Options, ProposeError, Role, Status, Wire, WireError,
};
use tempfile::TempDir;

/// Much more than anything takes, so that only what never happens runs into it.
const DEADLINE: Duration = Duration::from_secs(60);

/// The cluster of every test.
pub const CLUSTER: ClusterId = ClusterId([7; 16]);

/// A command, with its index.
type Line = (u64, Vec<u8>);

/// Keeps every command, in order: what it has is what was decided.
#[derive(Clone, Default)]
pub struct Book {
    pub lines: Arc<Mutex<Vec<Line>>>,
}

impl Machine for Book {
    fn reads(command: &[u8]) -> bool {
        command != b"not a command"
    }

    fn apply(&mut self, index: u64, command: &[u8]) -> Result<Vec<u8>, MachineError> {
        let mut lines = self.lines.lock().expect("no test panics with it");
        lines.push((index, command.to_vec()));
        Ok(format!("line {}", lines.len()).into_bytes())
    }

    fn snapshot(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (index, command) in self.lines.lock().expect("no test panics with it").iter() {
            bytes.extend(index.to_be_bytes());
            bytes.extend((command.len() as u32).to_be_bytes());
            bytes.extend(command);
        }
        bytes
    }

    fn restore(&mut self, mut snapshot: &[u8]) -> Result<(), MachineError> {
        let mut lines = Vec::new();
        let short = || MachineError("it ends in the middle".into());
        while !snapshot.is_empty() {
            let (index, rest) = snapshot.split_first_chunk::<8>().ok_or_else(short)?;
            let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
            let length = u32::from_be_bytes(*length) as usize;
            let (command, rest) = rest.split_at_checked(length).ok_or_else(short)?;
            lines.push((u64::from_be_bytes(*index), command.to_vec()));
            snapshot = rest;
        }
        *self.lines.lock().expect("no test panics with it") = lines;
        Ok(())
    }
}

/// Who can reach whom, and who runs where.
#[derive(Default)]
struct Net {
    tenants: BTreeMap<String, Log>,
    cut: BTreeSet<NodeId>,
    delay: Duration,
    /// How often each kind was sent.
    sent: BTreeMap<u8, u64>,
}

/// The net, as one node sees it.
struct Port {
    from: NodeId,
    net: Arc<Mutex<Net>>,
}

impl Wire for Port {
    fn call(&self, to: &Member, kind: Kind, request: Vec<u8>) -> Answering {
        let from = self.from;
        let (to, address) = (to.id, to.address.clone());
        let net = Arc::clone(&self.net);
        Box::pin(async move {
            let reach = || {
                let net = net.lock().expect("no test panics with it");
                let cut = net.cut.contains(&from) || net.cut.contains(&to);
                let tenant = net.tenants.get(&address).filter(|_| !cut).cloned();
                (tenant, net.delay)
            };
            let (tenant, delay) = reach();
            let tenant = tenant.ok_or(WireError::Unreachable("cut".into()))?;
            tokio::time::sleep(delay).await;
            let answer = tenant.answer(kind, &request).await;
            // What was cut off meanwhile has been handled, and nobody hears of it.
            reach().0.map(|_| answer).ok_or(WireError::Unknown("cut".into()))
        })
    }
}

/// A node that may be running.
pub struct Spot {
    pub member: Member,
    pub book: Book,
    pub log: Option<Log>,
    path: TempDir,
}

/// A cluster of nodes in this process.
pub struct Cluster {
    net: Arc<Mutex<Net>>,
    options: Options,
    pub spots: BTreeMap<NodeId, Spot>,
}

impl Cluster {
    /// With node 0 as its only voter.
    pub async fn of_one() -> Cluster {
        Cluster::of_one_with(Options::default()).await
    }

    pub async fn of_one_with(options: Options) -> Cluster {
        let mut cluster = Cluster { net: Arc::default(), options, spots: BTreeMap::new() };
        cluster.make(NodeId(0)).await;
        let log = cluster.log(NodeId(0));
        log.initialise(&cluster.spots[&NodeId(0)].member.address).await.expect("begun");
        cluster.until(NodeId(0), "it leads", |status| status.leader == Some(NodeId(0))).await;
        cluster
    }

    /// With so many nodes, three or five of them voters.
    pub async fn of(count: usize, voters: usize) -> Cluster {
        Cluster::of_with(count, voters, Options::default()).await
    }

    pub async fn of_with(count: usize, voters: usize, options: Options) -> Cluster {
        let mut cluster = Cluster::of_one_with(options).await;
        for _ in 1..count {
            cluster.join().await;
        }
        let voters = cluster.spots.keys().copied().take(voters).collect();
        cluster.set_voters(&cluster.ids(), &voters).await;
        cluster
    }

    /// Has these nodes agree on the voters. On a busy machine leaders come and go, so whoever leads
    /// is asked until it is so.
    pub async fn set_voters(&self, ids: &[NodeId], voters: &BTreeSet<NodeId>) {
        self.change(ids, |log| async move { log.set_voters(voters).await }).await;
        for id in ids {
            self.until(*id, "it knows the voters", |s| s.voters == *voters && !s.joint).await;
        }
    }

    /// Has whoever leads among these nodes change something.
    pub async fn change<F: Future<Output = Result<(), ChangeError>>>(
        &self,
        ids: &[NodeId],
        change: impl Fn(Log) -> F,
    ) {
        let changed = tokio::time::timeout(DEADLINE, async {
            loop {
                let leader = self.leader_among(ids).await;
                match change(self.log(leader)).await {
                    Ok(()) => return,
                    Err(ChangeError::Refused(why) | ChangeError::Stopped(why)) => panic!("{why}"),
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        });
        changed.await.expect("it is changed");
    }

    /// Whoever of these leads and can show it, and up to where it has applied.
    pub async fn confirmed_among(&self, ids: &[NodeId]) -> (NodeId, u64) {
        let confirmed = tokio::time::timeout(DEADLINE, async {
            loop {
                let leader = self.leader_among(ids).await;
                if let Ok(index) = self.log(leader).confirm().await {
                    return (leader, index);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        confirmed.await.expect("somebody leads")
    }

    pub fn ids(&self) -> Vec<NodeId> {
        self.spots.keys().copied().collect()
    }

    pub fn log(&self, id: NodeId) -> Log {
        self.spots[&id].log.clone().expect("it runs")
    }

    pub fn status(&self, id: NodeId) -> Status {
        self.log(id).status()
    }

    /// Makes a directory for a node and starts it.
    async fn make(&mut self, id: NodeId) {
        let path = tempfile::tempdir().expect("a directory");
        let directory = DirectoryId(u128::from(id.0) + 1_000);
        let member = Member { address: format!("{id}:7000"), directory, id };
        self.spots.insert(id, Spot { member, book: Book::default(), log: None, path });
        self.start(id).await;
    }

    /// Starts a node in the directory that it has.
    pub async fn start(&mut self, id: NodeId) {
        let spot = &self.spots[&id];
        let directory = open(spot.path.path(), spot.member.directory).await;
        directory.adopt(Identity { cluster: CLUSTER, node: id }).expect("adopted");
        let book = Book::default();
        let wire = Arc::new(Port { from: id, net: Arc::clone(&self.net) });
        let log = Log::start(directory, book.clone(), wire, &self.options).await.expect("starts");
        let spot = self.spots.get_mut(&id).expect("made before");
        let address = spot.member.address.clone();
        (spot.book, spot.log) = (book, Some(log.clone()));
        self.net().tenants.insert(address, log);
    }

    /// Ends a node. Its directory stays.
    pub async fn stop(&mut self, id: NodeId) {
        let spot = self.spots.get_mut(&id).expect("made before");
        let address = spot.member.address.clone();
        let log = spot.log.take().expect("it runs");
        self.net().tenants.remove(&address);
        log.stop().await;
    }

    /// Takes the disk of a node away and puts an empty one in its place.
    pub fn lose_disk(&mut self, id: NodeId) {
        let spot = self.spots.get_mut(&id).expect("made before");
        spot.path = tempfile::tempdir().expect("a directory");
    }

    /// The same, and the new directory has a name of its own, as it always has.
    pub async fn start_with_empty_disk(&mut self, id: NodeId) {
        self.lose_disk(id);
        let spot = self.spots.get_mut(&id).expect("made before");
        let before = spot.member.directory;
        spot.member.directory = DirectoryId(before.0 + 1_000_000);
        self.start(id).await;
        self.spots.get_mut(&id).expect("made before").member.directory = before;
    }

    /// A new node joins as a learner, with the index of an entry as its id.
    pub async fn join(&mut self) -> NodeId {
        self.join_by(&self.ids()).await
    }

    /// The same, by way of whoever leads among these.
    pub async fn join_by(&mut self, ids: &[NodeId]) -> NodeId {
        let joined = self.propose(ids[0], &format!("join after {}", self.spots.len())).await;
        let id = NodeId(joined.index);
        self.make(id).await;
        let member = &self.spots[&id].member;
        self.change(ids, |log| async move { log.add_learner(member).await }).await;
        self.until(id, "it is a member", |s| s.members.iter().any(|m| m.id == id)).await;
        id
    }

    /// Cuts these nodes off from everybody, each other included.
    pub fn cut(&self, ids: &[NodeId]) {
        self.net().cut.extend(ids);
    }

    /// Cuts off whoever leads, at a moment at which it can show that.
    pub async fn cut_leader(&self, ids: &[NodeId]) -> NodeId {
        loop {
            let (leader, _) = self.confirmed_among(ids).await;
            self.cut(&[leader]);
            if self.status(leader).role == Role::Leader {
                return leader;
            }
            self.heal();
        }
    }

    pub fn heal(&self) {
        self.net().cut.clear();
    }

    pub fn slow_down(&self, delay: Duration) {
        self.net().delay = delay;
    }

    fn net(&self) -> std::sync::MutexGuard<'_, Net> {
        self.net.lock().expect("no test panics with it")
    }

    /// Waits until a node's status is such.
    pub async fn until(&self, id: NodeId, what: &str, such: impl Fn(&Status) -> bool) -> Status {
        let mut status = self.log(id).watch();
        let waited = tokio::time::timeout(DEADLINE, status.wait_for(|status| such(status))).await;
        let Ok(Ok(found)) = waited else {
            panic!("node {id}: {what}, but {:?}", self.status(id));
        };
        found.clone()
    }

    /// Waits until all of them name one of them as the leader of one term.
    pub async fn leader_among(&self, ids: &[NodeId]) -> NodeId {
        let agreed = tokio::time::timeout(DEADLINE, async {
            loop {
                let said: BTreeSet<_> = ids
                    .iter()
                    .map(|id| self.status(*id))
                    .map(|status| (status.term, status.leader))
                    .collect();
                if let [(_, Some(leader))] = said.iter().copied().collect::<Vec<_>>()[..]
                    && ids.contains(&leader)
                {
                    return leader;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let said = || ids.iter().map(|id| self.status(*id)).collect::<Vec<_>>();
        agreed.await.unwrap_or_else(|_| panic!("no leader among {ids:?}: {:?}", said()))
    }

    /// Has a command decided by way of a node, perhaps more than once: a busy machine may take too
    /// long for the first time.
    pub async fn propose(&self, by: NodeId, command: &str) -> Decided {
        let proposed = tokio::time::timeout(DEADLINE, async {
            loop {
                match self.log(by).propose(command.as_bytes().to_vec()).await {
                    Ok(decided) => return decided,
                    Err(ProposeError::Busy | ProposeError::NotLeader { .. }) => {}
                    Err(ProposeError::Unknown) => {}
                    Err(error) => panic!("{by}: {command}: {error}"),
                }
            }
        });
        proposed.await.unwrap_or_else(|_| panic!("{by}: {command}: not decided"))
    }

    /// Waits until all of them have applied an entry, and have applied the same up to there.
    pub async fn agree(&self, ids: &[NodeId], index: u64) {
        let mut books = BTreeSet::new();
        for id in ids {
            self.until(*id, "it has applied it", |status| status.applied >= Some(index)).await;
            let lines = self.spots[id].book.lines.lock().expect("no test panics with it").clone();
            books.insert(lines.into_iter().filter(|(at, _)| *at <= index).collect::<Vec<_>>());
        }
        assert_eq!(books.len(), 1, "they disagree");
    }

    /// What a node has applied, as text, each command once.
    pub fn lines(&self, id: NodeId) -> Vec<String> {
        let lines = self.spots[&id].book.lines.lock().expect("no test panics with it");
        let mut seen = BTreeSet::new();
        let text = |(_, line): &Line| String::from_utf8_lossy(line).into_owned();
        lines.iter().map(text).filter(|line| seen.insert(line.clone())).collect()
    }
}

/// Opens a directory, whose last user may still be on its way out.
async fn open(path: &std::path::Path, id: DirectoryId) -> Directory {
    let opened = tokio::time::timeout(DEADLINE, async {
        loop {
            match Directory::open(path, id) {
                Err(jackdaw_consensus::store::StoreError::Locked(_)) => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                other => return other.expect("opens"),
            }
        }
    });
    opened.await.expect("the last user is gone")
}
