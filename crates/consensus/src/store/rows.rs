//! The tables: facts, each under its name, the log by index, and one snapshot.

use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use redb::{
    Database, ReadTransaction, ReadableDatabase as _, ReadableTable as _, TableDefinition,
    WriteTransaction,
};

use super::StoreError;
use super::file::Syncs;
use super::witness::Witness;

const FACTS: TableDefinition<&str, &[u8]> = TableDefinition::new("facts");
const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");
const COMMITS: TableDefinition<(), u64> = TableDefinition::new("commits");

/// What there is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    /// How far the log was known to be decided. A hint: it is written along with other things.
    Committed,
    /// The name of the directory.
    Directory,
    /// Notes of how the cluster forms.
    Formation,
    /// The format of the file.
    Format,
    /// Which node this is.
    Identity,
    /// The last entry that was removed at the front of the log.
    Purged,
    /// The state of the machine, as of `SnapshotMeta`.
    Snapshot,
    /// What the snapshot covers.
    SnapshotMeta,
    /// For whom this node voted.
    Vote,
}

impl Fact {
    const fn name(self) -> &'static str {
        match self {
            Fact::Committed => "committed",
            Fact::Directory => "directory",
            Fact::Formation => "formation",
            Fact::Format => "format",
            Fact::Identity => "identity",
            Fact::Purged => "purged",
            Fact::Snapshot => "snapshot",
            Fact::SnapshotMeta => "snapshot_meta",
            Fact::Vote => "vote",
        }
    }
}

/// Entries to be appended, with what is known to be decided by then.
#[derive(Debug, Default)]
pub(crate) struct Appended {
    pub rows: Vec<(u64, Vec<u8>)>,
    pub committed: Option<Vec<u8>>,
}

/// The tables. Every change is one transaction, on disk when the call returns; calls may block.
#[derive(Debug)]
pub(crate) struct Rows {
    path: PathBuf,
    database: Database,
    /// Locked around every change, so that the numbers of commits are noted in their order.
    witness: Mutex<Witness>,
    syncs: Arc<Syncs>,
}

impl Rows {
    pub fn new(
        path: PathBuf,
        database: Database,
        witness: Mutex<Witness>,
        syncs: Arc<Syncs>,
    ) -> Rows {
        Rows { path, database, witness, syncs }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn syncs(&self) -> &Syncs {
        &self.syncs
    }

    /// The first commit of a new file: every table, and the first facts.
    pub fn begin(
        database: &Database,
        path: &Path,
        facts: &[(Fact, &[u8])],
    ) -> Result<u64, StoreError> {
        let commit = || -> Result<u64, redb::Error> {
            let mut transaction = database.begin_write()?;
            transaction.set_two_phase_commit(true);
            transaction.open_table(LOG)?;
            let mut table = transaction.open_table(FACTS)?;
            for (fact, bytes) in facts {
                table.insert(fact.name(), *bytes)?;
            }
            drop(table);
            let commits = count(&transaction)?;
            transaction.commit()?;
            Ok(commits)
        };
        commit().map_err(|error| StoreError::of_redb(path, error))
    }

    /// How many commits the file holds.
    pub fn commits_of(database: &Database, path: &Path) -> Result<u64, StoreError> {
        let read = || -> Result<u64, redb::Error> {
            let table = database.begin_read()?.open_table(COMMITS)?;
            Ok(table.get(())?.map_or(0, |commits| commits.value()))
        };
        read().map_err(|error| StoreError::of_redb(path, error))
    }

    /// The entries that are there follow one another, and what was purged before them.
    pub fn check_order(&self) -> Result<(), StoreError> {
        let gap = self.read(|transaction| {
            let mut expected = None;
            for row in transaction.open_table(LOG)?.iter()? {
                let index = row?.0.value();
                if expected.is_some_and(|expected| expected != index) {
                    return Ok(Some(index));
                }
                expected = index.checked_add(1);
            }
            Ok(None)
        })?;
        match gap {
            None => Ok(()),
            Some(index) => {
                Err(StoreError::damaged(&self.path, format!("no entry before entry {index}")))
            }
        }
    }

    /// A fact, if it was ever kept.
    pub fn read_fact(&self, fact: Fact) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|transaction| {
            let table = transaction.open_table(FACTS)?;
            Ok(table.get(fact.name())?.map(|bytes| bytes.value().to_vec()))
        })
    }

    /// Keeps a fact.
    pub fn put_fact(&self, fact: Fact, bytes: &[u8]) -> Result<(), StoreError> {
        self.put_facts(&[(fact, bytes)])
    }

    /// Keeps facts that belong together.
    pub fn put_facts(&self, facts: &[(Fact, &[u8])]) -> Result<(), StoreError> {
        self.change(|transaction| {
            let mut table = transaction.open_table(FACTS)?;
            for (fact, bytes) in facts {
                table.insert(fact.name(), *bytes)?;
            }
            Ok(())
        })
    }

    /// Appends entries.
    pub fn append(&self, appended: &Appended) -> Result<(), StoreError> {
        self.change(|transaction| {
            let mut table = transaction.open_table(LOG)?;
            for (index, bytes) in &appended.rows {
                table.insert(index, bytes.as_slice())?;
            }
            if let Some(committed) = &appended.committed {
                let mut facts = transaction.open_table(FACTS)?;
                facts.insert(Fact::Committed.name(), committed.as_slice())?;
            }
            Ok(())
        })
    }

    /// Removes the entry and all behind it: another leader wrote others there.
    pub fn truncate(&self, from: u64) -> Result<(), StoreError> {
        self.change(|transaction| {
            transaction.open_table(LOG)?.retain_in(from.., |_, _| false)?;
            Ok(())
        })
    }

    /// Removes the entry and all before it, and keeps what the last of them was.
    pub fn purge(&self, to: u64, purged: &[u8]) -> Result<(), StoreError> {
        self.change(|transaction| {
            transaction.open_table(LOG)?.retain_in(..=to, |_, _| false)?;
            transaction.open_table(FACTS)?.insert(Fact::Purged.name(), purged)?;
            Ok(())
        })
    }

    /// The last entry.
    pub fn last(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|transaction| {
            Ok(transaction.open_table(LOG)?.last()?.map(|(_, bytes)| bytes.value().to_vec()))
        })
    }

    /// Entries of a range, in order: the first one, and those behind it while they take up no more
    /// than `bytes_max` together.
    pub fn entries(
        &self,
        range: impl RangeBounds<u64>,
        bytes_max: usize,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let range = (range.start_bound().cloned(), range.end_bound().cloned());
        self.read(|transaction| {
            let mut found = Vec::new();
            let mut bytes_total = 0_usize;
            for row in transaction.open_table(LOG)?.range(range)? {
                let row = row?.1;
                bytes_total = bytes_total.saturating_add(row.value().len());
                if bytes_total > bytes_max && !found.is_empty() {
                    break;
                }
                found.push(row.value().to_vec());
            }
            Ok(found)
        })
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let transaction = self.database.begin_read().map_err(redb::Error::from);
        let result = transaction.and_then(|transaction| read(&transaction));
        result.map_err(|error| StoreError::of_redb(&self.path, error))
    }

    /// One transaction in two phases. With one, redb would fall back to the commit before when the
    /// last one cannot be read, and a part of the log would be missing without a word.
    fn change(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        let witness = self.witness.lock();
        let commit = || -> Result<u64, redb::Error> {
            let mut transaction = self.database.begin_write()?;
            transaction.set_two_phase_commit(true);
            change(&transaction)?;
            let commits = count(&transaction)?;
            transaction.commit()?;
            Ok(commits)
        };
        let commits = commit().map_err(|error| StoreError::of_redb(&self.path, error))?;
        witness.record(commits).map_err(|error| StoreError::system(&self.path, error))
    }
}

/// Counts the commit that is being made.
fn count(transaction: &WriteTransaction) -> Result<u64, redb::Error> {
    let mut table = transaction.open_table(COMMITS)?;
    let commits = table.get(())?.map_or(0, |commits| commits.value()) + 1;
    table.insert((), commits)?;
    Ok(commits)
}
