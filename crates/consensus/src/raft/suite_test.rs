//! openraft's own suite of tests for a store, and what the store must not forget.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use openraft::storage::{RaftLogStorage, RaftLogStorageExt as _};
use openraft::testing::{StoreBuilder, Suite};
use openraft::{CommittedLeaderId, RaftLogReader as _};
use tempfile::TempDir;

use super::applying::Applying;
use super::storage::LogStore;
use super::types::{Command, Entry, LogId, StorageError, Types, Vote};
use crate::machine::{Machine, MachineError};
use crate::node::DirectoryId;
use crate::store::{Directory, StoreError};

/// Counts what it applied.
#[derive(Debug, Default)]
struct Counter(u64);

impl Machine for Counter {
    fn reads(_: &[u8]) -> bool {
        true
    }

    fn apply(&mut self, _: u64, _: &[u8]) -> Result<Vec<u8>, MachineError> {
        self.0 += 1;
        Ok(Vec::new())
    }

    fn snapshot(&self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), MachineError> {
        let bytes = snapshot.try_into().map_err(|_| MachineError("length".into()))?;
        self.0 = u64::from_be_bytes(bytes);
        Ok(())
    }
}

struct InDirectories;

impl StoreBuilder<Types, LogStore, Applying<Counter>, TempDir> for InDirectories {
    async fn build(&self) -> Result<(TempDir, LogStore, Applying<Counter>), StorageError> {
        let path = tempfile::tempdir().expect("a directory");
        let directory = open(&path).expect("opens");
        let applying = Applying::restored(Counter::default(), Arc::clone(&directory.rows))?;
        Ok((path, LogStore::new(Arc::clone(&directory.rows)), applying))
    }
}

fn open(path: &TempDir) -> Result<Directory, StoreError> {
    Directory::open(path.path(), DirectoryId(7))
}

fn entry(term: u64, index: u64) -> Entry {
    let log_id = log_id(term, index);
    Entry { log_id, payload: openraft::EntryPayload::Normal(Command(vec![1, 2, 3])) }
}

fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(term, 0), index)
}

#[test]
fn the_store_passes_the_suite_of_openraft() {
    Suite::test_all(InDirectories).expect("passes");
}

#[tokio::test]
async fn vote_log_and_purged_survive_a_directory_that_is_dropped_without_being_closed() {
    let path = tempfile::tempdir().expect("a directory");
    let mut store = LogStore::new(open(&path).expect("opens").rows);
    store.save_vote(&Vote::new_committed(3, 1)).await.expect("saved");
    store.blocking_append([entry(1, 1), entry(3, 2), entry(3, 3)]).await.expect("appended");
    store.save_committed(Some(log_id(3, 2))).await.expect("saved");
    store.purge(log_id(1, 1)).await.expect("purged");
    store.truncate(log_id(3, 3)).await.expect("truncated");
    store.blocking_append([entry(4, 3)]).await.expect("appended");
    drop(store);

    let mut store = LogStore::new(open(&path).expect("opens").rows);
    assert_eq!(store.read_vote().await.expect("read"), Some(Vote::new_committed(3, 1)));
    assert_eq!(store.read_committed().await.expect("read"), Some(log_id(3, 2)));
    let state = store.get_log_state().await.expect("read");
    assert_eq!(state.last_purged_log_id, Some(log_id(1, 1)));
    assert_eq!(state.last_log_id, Some(log_id(4, 3)));
    let entries = store.try_get_log_entries(0..).await.expect("read");
    assert_eq!(entries, [entry(3, 2), entry(4, 3)]);
}

#[tokio::test]
async fn entries_are_read_in_pieces_that_fit_a_message() {
    let path = tempfile::tempdir().expect("a directory");
    let mut store = LogStore::new(open(&path).expect("opens").rows);
    let large = |index| Entry {
        log_id: log_id(1, index),
        payload: openraft::EntryPayload::Normal(Command(vec![0; crate::COMMAND_BYTES_MAX])),
    };
    store.blocking_append((1..=9).map(large)).await.expect("appended");
    let fit = crate::wire::APPEND_BYTES_MAX / crate::COMMAND_BYTES_MAX;
    let read = store.limited_get_log_entries(1, 10).await.expect("read");
    assert!((1..=fit).contains(&read.len()), "{} entries", read.len());
    assert_eq!(read[0].log_id.index, 1);
}

#[tokio::test]
async fn nothing_is_acknowledged_once_the_disk_does_not_sync() {
    let path = tempfile::tempdir().expect("a directory");
    let directory = open(&path).expect("opens");
    let mut store = LogStore::new(Arc::clone(&directory.rows));
    store.blocking_append([entry(1, 1)]).await.expect("appended");
    directory.rows.syncs().broken.store(true, Ordering::Relaxed);
    assert!(store.save_vote(&Vote::new(2, 0)).await.is_err());
    assert!(store.blocking_append([entry(1, 2)]).await.is_err());

    directory.rows.syncs().broken.store(false, Ordering::Relaxed);
    assert!(store.blocking_append([entry(1, 2)]).await.is_err(), "it does not try again");
    assert!(store.save_vote(&Vote::new(2, 0)).await.is_err(), "nor for a vote");
}
