//! openraft's state machine, on ours.

use std::sync::Arc;

use openraft::storage::RaftStateMachine;
use openraft::{EntryPayload, RaftSnapshotBuilder};
use parking_lot::Mutex;

use super::storage::{decode, encode, on_disk};
use super::types::{
    At, Entry, LogId, Response, Snapshot, SnapshotMeta, StorageError, StoredMembership, Types,
    storage_error,
};
use crate::machine::{Machine, MachineError};
use crate::store::{Fact, Rows, StoreError};

/// The machine, and how far it is.
#[derive(Debug)]
pub(super) struct Applying<M> {
    /// Never locked: openraft wants a type that may be shared, and shares it with nobody.
    machine: Mutex<M>,
    rows: Arc<Rows>,
    applied: Option<LogId>,
    membership: StoredMembership,
}

impl<M: Machine> Applying<M> {
    /// The machine as of the snapshot that is on disk, if there is one.
    pub fn restored(machine: M, rows: Arc<Rows>) -> Result<Applying<M>, StorageError> {
        let mut applying = Applying {
            machine: Mutex::new(machine),
            rows,
            applied: None,
            membership: StoredMembership::default(),
        };
        if let Some(snapshot) = current(&applying.rows)? {
            applying.become_as(&snapshot.meta, &snapshot.snapshot)?;
        }
        Ok(applying)
    }

    fn become_as(&mut self, meta: &SnapshotMeta, data: &[u8]) -> Result<(), StorageError> {
        self.machine.get_mut().restore(data).map_err(|error| self.unreadable(&error))?;
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        Ok(())
    }

    fn unreadable(&self, error: &MachineError) -> StorageError {
        let path = self.rows.path().display().to_string();
        storage_error(At::ReadSnapshot, &StoreError::Damaged { path, why: error.to_string() })
    }
}

/// The snapshot on disk.
fn current(rows: &Rows) -> Result<Option<Snapshot>, StorageError> {
    let read = |fact| rows.read_fact(fact).map_err(|error| storage_error(At::ReadSnapshot, &error));
    let (Some(meta), Some(data)) = (read(Fact::SnapshotMeta)?, read(Fact::Snapshot)?) else {
        return Ok(None);
    };
    let meta = decode(rows, At::ReadSnapshot, &meta)?;
    Ok(Some(Snapshot { meta, snapshot: Box::new(data) }))
}

/// Puts a snapshot in the place of the one before, in one commit.
async fn keep(rows: &Arc<Rows>, meta: &SnapshotMeta, data: Vec<u8>) -> Result<(), StorageError> {
    let rows = Arc::clone(rows);
    let meta = encode(meta);
    on_disk(At::WriteSnapshot, move || {
        rows.put_facts(&[(Fact::SnapshotMeta, &meta), (Fact::Snapshot, &data)])
    })
    .await
}

impl<M: Machine> RaftStateMachine<Types> for Applying<M> {
    type SnapshotBuilder = Built;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Response>, StorageError>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let mut responses = Vec::new();
        for entry in entries {
            self.applied = Some(entry.log_id);
            responses.push(match entry.payload {
                EntryPayload::Blank => Response(Vec::new()),
                EntryPayload::Normal(command) => {
                    let applied = self.machine.get_mut().apply(entry.log_id.index, &command.0);
                    Response(applied.map_err(|error| self.unreadable(&error))?)
                }
                EntryPayload::Membership(membership) => {
                    self.membership = StoredMembership::new(Some(entry.log_id), membership);
                    Response(Vec::new())
                }
            });
        }
        Ok(responses)
    }

    /// The state is taken here, between two commands; writing it happens beside them.
    async fn get_snapshot_builder(&mut self) -> Built {
        let at = self.applied.map_or_else(|| "empty".to_owned(), |id| id.to_string());
        let meta = SnapshotMeta {
            last_log_id: self.applied,
            last_membership: self.membership.clone(),
            snapshot_id: at,
        };
        Built { rows: Arc::clone(&self.rows), meta, data: self.machine.get_mut().snapshot() }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Vec<u8>>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<Vec<u8>>,
    ) -> Result<(), StorageError> {
        // First the machine: what it cannot read must not replace what it can.
        self.become_as(meta, &snapshot)?;
        keep(&self.rows, meta, *snapshot).await
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        current(&self.rows)
    }
}

/// A snapshot that was taken and is to be kept.
#[derive(Debug)]
pub(super) struct Built {
    rows: Arc<Rows>,
    meta: SnapshotMeta,
    data: Vec<u8>,
}

impl RaftSnapshotBuilder<Types> for Built {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        keep(&self.rows, &self.meta, self.data.clone()).await?;
        let data = Box::new(std::mem::take(&mut self.data));
        Ok(Snapshot { meta: self.meta.clone(), snapshot: data })
    }
}
