//! A file that was changed is refused, or holds what it held: it is never a shorter log.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::crash_test::open;
use super::rows::{Appended, Fact};
use super::{Directory, StoreError};

/// Entries in the log that is damaged.
const ENTRIES: u64 = 40;

/// Places besides the header that are tried.
const PLACES: usize = 150;

/// The header of a redb file: magic number, flags, and two commit slots.
const HEADER_BYTES: usize = 320;

/// Which byte of it says what slot holds the last commit.
const GOD_BYTE: usize = 9;

/// Everything that is in a directory.
#[derive(Debug, PartialEq, Eq)]
struct Content {
    entries: Vec<Vec<u8>>,
    facts: Vec<Option<Vec<u8>>>,
}

fn content(directory: &Directory) -> Result<Content, StoreError> {
    let facts = [Fact::Vote, Fact::Purged, Fact::Snapshot, Fact::Directory];
    let facts = facts.map(|fact| directory.rows.read_fact(fact));
    Ok(Content {
        entries: directory.rows.entries(.., usize::MAX)?,
        facts: facts.into_iter().collect::<Result<_, _>>()?,
    })
}

fn fill(directory: &Directory) {
    for index in 0..ENTRIES {
        let rows = vec![(index, index.to_be_bytes().repeat(30))];
        directory.rows.append(&Appended { rows, committed: None }).expect("appended");
    }
    directory.rows.put_fact(Fact::Vote, b"for me").expect("voted");
    directory.rows.put_fact(Fact::Snapshot, &[5; 9_000]).expect("kept");
    directory.rows.purge(9, b"nine").expect("purged");
    let rows = vec![(ENTRIES, b"the last".to_vec())];
    directory.rows.append(&Appended { rows, committed: None }).expect("appended");
}

fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().expect("a directory");
    for name in ["log.redb", "witness"] {
        fs::copy(from.join(name), to.path().join(name)).expect("copied");
    }
    to
}

/// A directory, and what is in it.
struct Sample {
    path: TempDir,
    file: Vec<u8>,
    content: Content,
}

/// As a process leaves it that ends, and as one does that is killed.
fn samples() -> [Sample; 2] {
    let path = tempfile::tempdir().expect("a directory");
    let directory = open(path.path()).expect("opens");
    fill(&directory);
    let killed = copy(path.path());
    drop(directory);
    [path, killed].map(|path| {
        let file = fs::read(path.path().join("log.redb")).expect("read");
        let copied = copy(path.path());
        let content = content(&open(copied.path()).expect("opens")).expect("read");
        assert_eq!(content.entries.len() as u64, ENTRIES - 9);
        Sample { path, file, content }
    })
}

impl Sample {
    /// Whether a changed file is refused. If it is not, it has to hold the same as before.
    fn refused(&self, what: &str, file: &[u8]) -> bool {
        let damaged = copy(self.path.path());
        fs::write(damaged.path().join("log.redb"), file).expect("written");
        match open(damaged.path()).and_then(|directory| content(&directory)) {
            Ok(found) => {
                assert!(found == self.content, "{what}: another log without a word");
                false
            }
            Err(_) => true,
        }
    }

    /// Places with something in them, all over the file.
    fn places(&self) -> Vec<usize> {
        let used = (HEADER_BYTES..self.file.len()).filter(|&at| self.file[at] != 0);
        let used: Vec<usize> = used.collect();
        // A step that is no multiple of anything in the file.
        (0..PLACES).map(|n| used[n * 7_919 % used.len()]).collect()
    }
}

#[test]
fn a_flipped_bit_is_noticed_or_without_effect() {
    for sample in samples() {
        let header = (0..HEADER_BYTES).step_by(3).map(|at| (at, at % 8));
        let god_byte = (0..8).map(|bit| (GOD_BYTE, bit));
        let pages = sample.places().into_iter().map(|at| (at, at % 8));
        let mut refused = 0;
        for (at, bit) in header.chain(god_byte).chain(pages) {
            let mut file = sample.file.clone();
            file[at] ^= 1 << bit;
            refused += usize::from(sample.refused(&format!("bit {bit} of byte {at}"), &file));
        }
        assert!(refused > PLACES / 10, "{refused} flips were noticed");
    }
}

#[test]
fn a_torn_sector_is_noticed_or_without_effect() {
    for sample in samples() {
        let mut refused = 0;
        for at in sample.places().into_iter().step_by(3) {
            let mut file = sample.file.clone();
            let sector = at / 512 * 512;
            file[sector..sector + 512].fill(0);
            refused += usize::from(sample.refused(&format!("sector at {sector}"), &file));
        }
        assert!(refused > 0, "none was noticed");
    }
}

#[test]
fn a_file_that_was_cut_is_refused() {
    for sample in samples() {
        let length = sample.file.len();
        for to in [0, 1, 64, HEADER_BYTES, 4096, length / 2, length - 4096, length - 1] {
            assert!(sample.refused("a cut", &sample.file[..to]), "cut to {to}");
        }
    }
}

#[test]
fn an_older_copy_of_the_file_is_refused() {
    let path = tempfile::tempdir().expect("a directory");
    let directory = open(path.path()).expect("opens");
    fill(&directory);
    let older = fs::read(path.path().join("log.redb")).expect("read");
    directory.rows.put_fact(Fact::Vote, b"for another").expect("voted");
    drop(directory);
    fs::write(path.path().join("log.redb"), older).expect("written");
    assert!(matches!(open(path.path()), Err(StoreError::Damaged { .. })));
}

#[test]
fn a_missing_file_is_refused_and_not_begun_anew() {
    for name in ["log.redb", "witness"] {
        let path = tempfile::tempdir().expect("a directory");
        let directory = open(path.path()).expect("opens");
        fill(&directory);
        drop(directory);
        fs::remove_file(path.path().join(name)).expect("removed");
        assert!(matches!(open(path.path()), Err(StoreError::Damaged { .. })), "{name}");
    }
}

#[test]
fn a_witness_that_does_not_read_is_refused() {
    let path = tempfile::tempdir().expect("a directory");
    drop(open(path.path()).expect("opens"));
    for bytes in [&[][..], &[0; 16], &[1; 15]] {
        fs::write(path.path().join("witness"), bytes).expect("written");
        assert!(matches!(open(path.path()), Err(StoreError::Damaged { .. })), "{bytes:?}");
    }
}

#[test]
fn a_start_that_was_cut_short_is_made_again() {
    let path = tempfile::tempdir().expect("a directory");
    fs::write(path.path().join("log.redb.new"), b"half of a file").expect("written");
    drop(open(path.path()).expect("opens"));
    fs::remove_file(path.path().join("witness")).expect("removed");
    open(path.path()).expect("nothing was acknowledged yet");
}
