//! What a node says when its disk fails.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::machine::{Machine, MachineError};
use crate::node::{ClusterId, DirectoryId, Identity, Member, NodeId};
use crate::store::Directory;
use crate::wire::{Answering, Kind, Wire, WireError};
use crate::{Log, Options, ProposeError, Role, StartError};

/// Much more than anything takes.
const DEADLINE: Duration = Duration::from_secs(60);

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

struct Nowhere;

impl Wire for Nowhere {
    fn call(&self, _: &Member, _: Kind, _: Vec<u8>) -> Answering {
        Box::pin(async { Err(WireError::Unreachable("nowhere".into())) })
    }
}

async fn start(directory: Directory) -> Result<Log, StartError> {
    Log::start(directory, Nothing, Arc::new(Nowhere), &Options::default()).await
}

#[tokio::test]
async fn a_log_whose_disk_fails_stops_and_says_why() {
    let path = tempfile::tempdir().expect("a directory");
    let directory = Directory::open(path.path(), DirectoryId(1)).expect("opens");
    directory.adopt(Identity { cluster: ClusterId([1; 16]), node: NodeId(0) }).expect("adopted");
    let log = start(directory.clone()).await.expect("starts");
    log.initialise("here:1").await.expect("begun");
    let mut status = log.watch();
    let waited = tokio::time::timeout(DEADLINE, status.wait_for(|s| s.role == Role::Leader)).await;
    waited.expect("in time").expect("it runs");
    log.propose(b"fine".to_vec()).await.expect("decided");

    directory.rows.syncs().broken.store(true, Ordering::Relaxed);
    let proposed = log.propose(b"not fine".to_vec()).await;
    assert_eq!(proposed, Err(ProposeError::Unknown));
    let waited = tokio::time::timeout(DEADLINE, status.wait_for(|s| s.failure.is_some())).await;
    let failure = waited.expect("in time").expect("said").failure.clone().expect("why");
    assert!(failure.contains("does not sync"), "{failure}");
    directory.rows.syncs().broken.store(false, Ordering::Relaxed);
    let proposed = log.propose(b"later".to_vec()).await;
    assert!(matches!(proposed, Err(ProposeError::Stopped(_))), "{proposed:?}");
}

#[tokio::test]
async fn a_directory_of_nobody_starts_no_log() {
    let path = tempfile::tempdir().expect("a directory");
    let directory = Directory::open(path.path(), DirectoryId(1)).expect("opens");
    assert!(matches!(start(directory).await, Err(StartError::NoIdentity)));
}
