//! What a commit costs: latency, and how often the disk has to sync for it.
//!
//! `cargo run --release -p jackdaw-consensus --example commits -- [directory] [commits]` starts
//! clusters of one and three nodes in this process, each with its log in the directory, and
//! proposes one command after the other, then 32 at a time. Between the nodes there is no network,
//! so what is measured is the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jackdaw_consensus::store::Directory;
use jackdaw_consensus::{
    Answering, ClusterId, DirectoryId, Identity, Kind, Log, Machine, MachineError, Member, NodeId,
    Options, Wire, WireError,
};

/// A command as long as one that moves a few shards.
const COMMAND_BYTES: usize = 100;

/// Proposals under way at once in the second part.
const AT_ONCE: usize = 32;

struct Nothing;

impl Machine for Nothing {
    fn reads(_: &[u8]) -> bool {
        true
    }

    fn apply(&mut self, _: u64, _: &[u8]) -> Result<Vec<u8>, MachineError> {
        Ok(Vec::new())
    }

    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }

    fn restore(&mut self, _: &[u8]) -> Result<(), MachineError> {
        Ok(())
    }
}

#[derive(Default)]
struct Here(Mutex<BTreeMap<NodeId, Log>>);

struct Port(Arc<Here>);

impl Wire for Port {
    fn call(&self, to: &Member, kind: Kind, request: Vec<u8>) -> Answering {
        let tenant = self.0.0.lock().expect("nobody panics with it").get(&to.id).cloned();
        Box::pin(async move {
            let tenant = tenant.ok_or(WireError::Unreachable("not there".into()))?;
            Ok(tenant.answer(kind, &request).await)
        })
    }
}

async fn start(path: &Path, id: NodeId, here: &Arc<Here>) -> (Log, Member) {
    let directory = Directory::open(&path.join(id.to_string()), DirectoryId(u128::from(id.0) + 1));
    let directory = directory.expect("opens");
    directory.adopt(Identity { cluster: ClusterId([1; 16]), node: id }).expect("adopted");
    let member = Member { address: format!("{id}"), directory: directory.id(), id };
    let wire = Arc::new(Port(Arc::clone(here)));
    let log = Log::start(directory, Nothing, wire, &Options::default()).await.expect("starts");
    here.0.lock().expect("nobody panics with it").insert(id, log.clone());
    (log, member)
}

async fn cluster(path: &Path, count: u64) -> Log {
    let here = Arc::default();
    let (leader, _) = start(path, NodeId(0), &here).await;
    leader.initialise("0").await.expect("begun");
    leader.watch().wait_for(|s| s.leader.is_some()).await.expect("leads");
    let mut voters = BTreeSet::from([NodeId(0)]);
    for _ in 1..count {
        let id = NodeId(leader.propose(Vec::new()).await.expect("decided").index);
        let (_, member) = start(path, id, &here).await;
        leader.add_learner(&member).await.expect("added");
        voters.insert(id);
    }
    leader.set_voters(&voters).await.expect("changed");
    leader
}

fn percentile(times: &[Duration], of_hundred: usize) -> Duration {
    times.get(times.len() * of_hundred / 100).copied().unwrap_or_default()
}

async fn timed(log: &Log) -> Duration {
    #[allow(clippy::disallowed_methods, reason = "a measuring tool")]
    let start = Instant::now();
    log.propose(vec![0; COMMAND_BYTES]).await.expect("decided");
    start.elapsed()
}

async fn measure(nodes: u64, path: &Path, commits: usize) {
    let log = cluster(&path.join(format!("of-{nodes}")), nodes).await;
    let before = log.syncs();
    let mut times = Vec::new();
    for _ in 0..commits {
        times.push(timed(&log).await);
    }
    report(&format!("{nodes} nodes, one at a time"), times, log.syncs() - before);

    let before = log.syncs();
    let tasks: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let log = log.clone();
            tokio::spawn(async move {
                let mut times = Vec::new();
                for _ in 0..commits / AT_ONCE {
                    times.push(timed(&log).await);
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.expect("ends"));
    }
    report(&format!("{nodes} nodes, {AT_ONCE} at a time"), times, log.syncs() - before);
}

fn report(what: &str, mut times: Vec<Duration>, syncs: u64) {
    times.sort();
    println!(
        "{what:<24} {:>6} commits, p50 {:>9.2?}, p99 {:>9.2?}, {:.2} syncs per commit on the leader",
        times.len(),
        percentile(&times, 50),
        percentile(&times, 99),
        syncs as f64 / times.len().max(1) as f64,
    );
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let commits = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(500);
    let path = path.join(format!("commits-{}", std::process::id()));
    for nodes in [1, 3] {
        measure(nodes, &path, commits).await;
    }
    if let Err(error) = std::fs::remove_dir_all(&path) {
        eprintln!("{} is still there: {error}", path.display());
    }
}
