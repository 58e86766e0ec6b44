//! openraft's log and vote, on the tables of a directory.

use std::fmt::Debug;
use std::ops::RangeBounds;
use std::sync::Arc;

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{LogState, RaftLogReader};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::types::{At, Entry, LogId, StorageError, Types, Vote, storage_error};
use crate::store::{Appended, Fact, Rows, StoreError};
use crate::wire::APPEND_BYTES_MAX;

/// The log of a node. Clones read the same log.
#[derive(Clone, Debug)]
pub(super) struct LogStore {
    rows: Arc<Rows>,
    /// How far the log is decided, not yet written. It goes with the next entries: a sync for a
    /// hint would double the price of a commit.
    committed: Arc<Mutex<Option<LogId>>>,
}

impl LogStore {
    pub fn new(rows: Arc<Rows>) -> LogStore {
        LogStore { rows, committed: Arc::default() }
    }

    /// Changes the tables on a thread that may block. openraft waits for one change before it makes
    /// the next.
    async fn change(
        &self,
        at: At,
        change: impl FnOnce(&Rows) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), StorageError> {
        let rows = Arc::clone(&self.rows);
        on_disk(at, move || change(&rows)).await
    }

    fn read<T: DeserializeOwned>(&self, at: At, fact: Fact) -> Result<Option<T>, StorageError> {
        let bytes = self.rows.read_fact(fact).map_err(|error| storage_error(at, &error))?;
        bytes.map(|bytes| decode(&self.rows, at, &bytes)).transpose()
    }

    fn entries(
        &self,
        range: impl RangeBounds<u64>,
        bytes_max: usize,
    ) -> Result<Vec<Entry>, StorageError> {
        let rows = self.rows.entries(range, bytes_max);
        let rows = rows.map_err(|error| storage_error(At::ReadLog, &error))?;
        rows.iter().map(|row| decode(&self.rows, At::ReadLog, row)).collect()
    }
}

/// Runs what may block where it may.
pub(super) async fn on_disk<T: Send + 'static>(
    at: At,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StorageError> {
    let done = tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(StoreError::System { path: "the disk".into(), error: std::io::Error::other(error) })
    });
    done.map_err(|error| storage_error(at, &error))
}

/// A value of ours as it is kept.
pub(super) fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(value).expect("the types of the log have a serialised form")
}

/// A value as it was kept.
pub(super) fn decode<T: DeserializeOwned>(
    rows: &Rows,
    at: At,
    bytes: &[u8],
) -> Result<T, StorageError> {
    postcard::from_bytes(bytes).map_err(|error| {
        let why = format!("a row does not read: {error}");
        storage_error(at, &StoreError::Damaged { path: rows.path().display().to_string(), why })
    })
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        self.entries(range, usize::MAX)
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, StorageError> {
        self.entries(start..end, APPEND_BYTES_MAX)
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError> {
        let purged = self.read(At::ReadLog, Fact::Purged)?;
        let last = self.rows.last().map_err(|error| storage_error(At::ReadLog, &error))?;
        let last = last.map(|row| decode::<Entry>(&self.rows, At::ReadLog, &row)).transpose()?;
        let last_log_id = last.map(|entry| entry.log_id).or(purged);
        Ok(LogState { last_purged_log_id: purged, last_log_id })
    }

    async fn get_log_reader(&mut self) -> LogStore {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let vote = encode(vote);
        self.change(At::WriteVote, move |rows| rows.put_fact(Fact::Vote, &vote)).await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        self.read(At::ReadVote, Fact::Vote)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        *self.committed.lock() = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        let unwritten = *self.committed.lock();
        if unwritten.is_some() {
            return Ok(unwritten);
        }
        self.read(At::ReadLog, Fact::Committed)
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<Types>,
    ) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let rows = entries.into_iter().map(|entry| (entry.log_id.index, encode(&entry))).collect();
        let committed = self.committed.lock().map(|committed| encode(&committed));
        let appended = Appended { rows, committed };
        self.change(At::WriteLog, move |rows| rows.append(&appended)).await?;
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.change(At::WriteLog, move |rows| rows.truncate(log_id.index)).await
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let purged = encode(&log_id);
        self.change(At::WriteLog, move |rows| rows.purge(log_id.index, &purged)).await
    }
}
