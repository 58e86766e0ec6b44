//! The rows: an LSM tree whose memtables end where the log's segments do.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jackdaw_store::StoreError;
use lsm_tree::compaction::Leveled;
use lsm_tree::{AbstractTree, AnyTree, Cache, Config, Guard as _, SequenceNumberCounter};
use parking_lot::RwLock;

use crate::manifest::{self, TableFile};

/// The row that says up to which group the tables have everything. No table's name begins with a
/// zero byte.
const FLUSHED: &[u8] = b"\0flushed";

/// The tree, with what its readers may see.
pub(crate) struct Tree {
    tree: AnyTree,
    path: PathBuf,
    /// Sequence numbers, of groups and of versions alike: a version has to be older than the groups
    /// that are written into it.
    sequences: SequenceNumberCounter,
    /// Rows below this are visible. A reader holds it while it takes hold of its version; who
    /// removes versions takes it alone, and knows then that no reader is behind.
    visible: RwLock<u64>,
}

/// Why work on the tables did not succeed.
#[derive(Debug)]
pub(crate) enum TreeError {
    /// There is no room. What was written is removed; try again later.
    Full,
    /// Something that was written is not there any more.
    Damaged(String),
    /// Writing failed.
    Failed(String),
}

impl From<lsm_tree::Error> for TreeError {
    fn from(error: lsm_tree::Error) -> TreeError {
        match &error {
            lsm_tree::Error::Io(io) if is_full(io) => TreeError::Full,
            lsm_tree::Error::Io(io) if io.kind() != std::io::ErrorKind::UnexpectedEof => {
                TreeError::Failed(io.to_string())
            }
            _ => TreeError::Damaged(error.to_string()),
        }
    }
}

/// Whether it is room that is missing.
pub(crate) fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

impl Tree {
    /// Makes an empty tree that is on disk when this returns.
    pub fn make(path: &Path) -> Result<(), StoreError> {
        let counter = SequenceNumberCounter::default;
        let made = Config::new(path, counter(), counter()).open();
        made.map(drop).map_err(|error| StoreError::Failed(error.to_string()))
    }

    /// Opens the tree. What is damaged is named.
    pub fn open(path: &Path, cache_bytes: u64) -> Result<Tree, StoreError> {
        manifest::check(path)?;
        let sequences = SequenceNumberCounter::default();
        // Of its two counters the second would let a flush make half a group visible.
        let config = Config::new(path, sequences.clone(), SequenceNumberCounter::default())
            .use_cache(Arc::new(Cache::with_capacity_bytes(cache_bytes)));
        // A damaged table makes the tree panic here and there.
        let opened = catch_unwind(AssertUnwindSafe(|| config.open()));
        let tree = match opened {
            Ok(Ok(tree)) => tree,
            Ok(Err(error)) => return Err(blame(path, &error.to_string())),
            Err(_) => return Err(blame(path, "opening it panicked")),
        };
        let first = tree.get_highest_persisted_seqno().map_or(1, |last| last + 1);
        sequences.fetch_max(first);
        Ok(Tree { tree, path: path.to_owned(), sequences, visible: RwLock::new(first) })
    }

    /// The last group whose rows are in tables.
    pub fn flushed(&self) -> Result<u64, StoreError> {
        let row = self.tree.get(FLUSHED, u64::MAX);
        let row = row.map_err(|error| blame(&self.path, &error.to_string()))?;
        let number = row.map(|row| <[u8; 8]>::try_from(&*row).map(u64::from_be_bytes));
        number.transpose().map(Option::unwrap_or_default).map_err(|_| {
            let what = "the row that says what was flushed does not read".into();
            StoreError::Damaged { file: self.path.display().to_string(), what }
        })
    }

    /// The sequence number for the rows of a group.
    pub fn next_sequence(&self) -> u64 {
        self.sequences.next()
    }

    /// No number up to this one is given out any more.
    pub fn skip_to(&self, sequence: u64) {
        self.sequences.fetch_max(sequence + 1);
    }

    /// Writes or removes a row. Not visible before `show`.
    pub fn write(&self, key: &[u8], value: Option<&[u8]>, sequence: u64) {
        match value {
            Some(value) => self.tree.insert(key, value, sequence),
            None => self.tree.remove(key, sequence),
        };
    }

    /// Makes everything up to this sequence number visible.
    pub fn show(&self, sequence: u64) {
        let mut visible = self.visible.write();
        *visible = (*visible).max(sequence + 1);
    }

    /// The newest value of a row.
    pub fn get(&self, key: &[u8]) -> Result<Option<lsm_tree::Slice>, StoreError> {
        // One row is never half written, so its newest version will do.
        self.tree.get(key, u64::MAX).map_err(|error| read_failed(&error))
    }

    /// Rows of a range, as they are now.
    pub fn range(
        &self,
        range: std::ops::Range<Vec<u8>>,
    ) -> impl DoubleEndedIterator<Item = Result<(lsm_tree::Slice, lsm_tree::Slice), StoreError>> + use<>
    {
        let found = {
            let visible = self.visible.read();
            self.tree.range(range, *visible, None)
        };
        found.map(|guard| guard.into_inner().map_err(|error| read_failed(&error)))
    }

    /// The active memtable ends with this group and waits to be flushed. False: it was empty.
    pub fn seal(&self, number: u64) -> bool {
        if self.tree.active_memtable().is_empty() {
            return false;
        }
        self.tree.insert(FLUSHED, number.to_be_bytes(), self.next_sequence());
        self.tree.rotate_memtable().is_some()
    }

    /// Runs of tables that every read has to look at.
    pub fn young_runs(&self) -> usize {
        self.tree.l0_run_count()
    }

    /// Writes sealed memtables into tables, durably.
    pub fn flush(&self) -> Result<(), TreeError> {
        let watermark = *self.visible.write();
        let lock = self.tree.get_flush_lock();
        self.tree.flush(&lock, watermark)?;
        Ok(())
    }

    /// One step of compaction. False: there was nothing to do.
    pub fn compact(&self) -> Result<bool, TreeError> {
        let watermark = *self.visible.write();
        let before = self.tree.current_version().id();
        self.tree.compact(Arc::new(Leveled::default()), watermark)?;
        Ok(self.tree.current_version().id() != before)
    }

    /// Where the next table's file will be.
    pub fn next_table(&self) -> u64 {
        self.tree.next_table_id()
    }

    /// Removes what an interrupted flush or compaction left, from this table on. Nobody may flush
    /// or compact meanwhile.
    pub fn remove_leftovers(&self, from: u64) {
        let version = self.tree.current_version();
        let known: Vec<u64> = version.iter_tables().map(|table| table.id()).collect();
        for id in from..self.tree.next_table_id() {
            if !known.contains(&id) {
                // Most were never made.
                let _ = std::fs::remove_file(manifest::table_path(&self.path, id));
            }
        }
    }

    /// The tables there are.
    pub fn tables(&self) -> Vec<TableFile> {
        let version = self.tree.current_version();
        let tables = version.iter_tables();
        tables
            .map(|table| TableFile {
                path: manifest::table_path(&self.path, table.id()),
                checksum: table.checksum().into_u128(),
            })
            .collect()
    }
}

/// Says which file it is that keeps the tree from opening.
fn blame(path: &Path, why: &str) -> StoreError {
    let tables = match manifest::tables(path) {
        Ok(tables) => tables,
        Err(error) => return error,
    };
    let checked = tables.iter().try_for_each(|table| manifest::check_table(table, &mut |_| {}));
    match checked {
        Ok(()) => StoreError::Failed(format!("{}: {why}", path.display())),
        Err(error) => error,
    }
}

fn read_failed(error: &lsm_tree::Error) -> StoreError {
    tracing::error!(%error, "a read failed");
    StoreError::Failed(format!("a read failed: {error}"))
}
