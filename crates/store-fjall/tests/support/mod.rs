//! Stores to be damaged.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jackdaw_jid::BareJid;
use jackdaw_store::conformance::wait;
use jackdaw_store::{Batch, Durability, Engine, ItemRange, StoreError, Table};
use jackdaw_store_fjall::{FjallEngine, Options};
use tempfile::TempDir;

pub const TABLE: Table = Table::new("crash");

/// Small, so that a few hundred rows fill several segments.
const SEGMENT_BYTES: u64 = 16 << 10;

/// Rows of the store that is damaged.
const ROWS: usize = 200;

/// How often to look before something is called lost; each look waits a moment.
const LOOKS: usize = 2_000;

/// A directory with a store, and what is free on its disk.
pub struct Store {
    directory: TempDir,
    expected: Vec<String>,
    pub free: Arc<AtomicU64>,
}

impl Store {
    pub fn empty() -> Store {
        let directory = tempfile::tempdir().expect("a directory");
        let free = Arc::new(AtomicU64::new(u64::MAX));
        Store { directory, expected: Vec::new(), free }
    }

    /// What a kill left of one with rows in tables, rows in segments that are not flushed, and rows
    /// in the last one. Nothing runs in it, so every copy of it is the same.
    pub fn with_tables_and_log() -> Store {
        let mut store = Store::empty();
        let engine = FjallEngine::open(&store.options()).expect("opens");
        for n in 0..ROWS {
            let name = format!("row {n:05} {}", "x".repeat(n % 400));
            put(&engine, &name, Durability::Durable).expect("committed");
            store.expected.push(name);
        }
        assert!(wait_until(|| engine.stats().journals == 1), "what was sealed is flushed");
        let name = "row 99999, in the log alone".to_owned();
        put(&engine, &name, Durability::Durable).expect("committed");
        store.expected.push(name);
        store.crashed()
    }

    pub fn options(&self) -> Options {
        let free = Arc::clone(&self.free);
        Options {
            segment_bytes: SEGMENT_BYTES,
            free_bytes: Arc::new(move |_: &Path| -> io::Result<u64> {
                Ok(free.load(Ordering::Relaxed))
            }),
            ..Options::new(self.directory.path())
        }
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    pub fn expected(&self) -> Vec<String> {
        self.expected.clone()
    }

    /// What is left of it when its process is killed now.
    ///
    /// A kill takes all files at one instant and a copy does not: while a thread of the store
    /// tidies up, files go and come between the first and the last one. Then it is copied again.
    pub fn crashed(&self) -> Store {
        for _ in 0..LOOKS {
            let mut copy = Store::empty();
            let before = list(self.directory.path());
            let copied = copy_all(self.directory.path(), copy.directory.path());
            let is_whole = |before: &Files| {
                [self, &copy]
                    .iter()
                    .all(|store| list(&store.path()).is_ok_and(|now| now == *before))
            };
            if copied.is_ok() && before.is_ok_and(|before| is_whole(&before)) {
                copy.expected = self.expected.clone();
                return copy;
            }
        }
        panic!("the store does not come to rest");
    }

    /// The segment with the last row, and where that ends.
    pub fn last_row(&self) -> (PathBuf, usize) {
        let last = self.expected.last().expect("a row").as_bytes();
        let found = files(&self.path()).into_iter().find_map(|(name, _)| {
            let path = self.path().join(name);
            let bytes = std::fs::read(&path).expect("read");
            let at = bytes.windows(last.len()).rposition(|window| window == last)?;
            Some((path, at + last.len()))
        });
        found.expect("in the log")
    }
}

fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir_all(&target)?;
            copy_all(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Files by name, each with its length.
type Files = Vec<(String, usize)>;

/// Every file below, by its name from there, with its length.
pub fn files(path: &Path) -> Files {
    list(path).expect("a directory at rest")
}

fn list(path: &Path) -> io::Result<Files> {
    let mut found = Vec::new();
    collect(path, "", &mut found)?;
    found.sort();
    Ok(found)
}

fn collect(path: &Path, prefix: &str, found: &mut Files) -> io::Result<()> {
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            collect(&entry.path(), &format!("{name}/"), found)?;
        } else {
            found.push((name, metadata.len() as usize));
        }
    }
    Ok(())
}

pub fn flip(path: &Path, at: usize, bit: usize) {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).expect("opens");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at as u64).expect("read");
    byte[0] ^= 1 << bit;
    file.write_all_at(&byte, at as u64).expect("written");
}

pub fn cut(path: &Path, to: usize) {
    let file = std::fs::OpenOptions::new().write(true).open(path).expect("opens");
    file.set_len(to as u64).expect("cut");
}

pub fn account() -> BareJid {
    BareJid::parse("juliet@example.org").expect("a JID")
}

pub fn put(engine: &FjallEngine, name: &str, durability: Durability) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    batch.put(TABLE, &account(), name.as_bytes(), name.as_bytes().to_vec());
    wait(engine.commit(batch, durability))
}

/// What is missing and what is too much; comparing the lists themselves would print both.
pub fn difference(found: &[String], expected: &[String]) -> Vec<String> {
    let lost = expected.iter().filter(|row| !found.contains(row)).map(|row| format!("-{row}"));
    let phantom = found.iter().filter(|row| !expected.contains(row)).map(|row| format!("+{row}"));
    lost.chain(phantom).map(|row| row.chars().take(16).collect()).collect()
}

pub fn delete(engine: &FjallEngine, name: &str) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    batch.delete(TABLE, &account(), name.as_bytes());
    wait(engine.commit(batch, Durability::Durable))
}

/// The names of all rows; each has to hold what was written under it.
pub fn rows_of(engine: &FjallEngine) -> Vec<String> {
    let rows = wait(engine.list(TABLE, &account(), ItemRange::first(usize::MAX))).expect("listed");
    let name = |row: jackdaw_store::Row| {
        assert_eq!(row.item, row.value, "a row holds its own name");
        String::from_utf8(row.item.to_vec()).expect("text")
    };
    rows.into_iter().map(name).collect()
}

/// Waits for what threads of the store bring about.
pub fn wait_until(mut holds: impl FnMut() -> bool) -> bool {
    for _ in 0..LOOKS {
        if holds() {
            return true;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    }
    false
}
