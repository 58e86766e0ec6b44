//! A process that is killed while it appends loses nothing that it acknowledged.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use super::rows::{Appended, Fact};
use super::{Directory, StoreError};
use crate::node::{ClusterId, DirectoryId, Identity, NodeId};

/// Set for the child, to the directory that it appends to.
const CHILD: &str = "JACKDAW_CONSENSUS_APPENDS_TO";

/// How often a child is killed. Each goes on in the directory of the one before.
const KILLS: u64 = 6;

pub(super) fn open(path: &Path) -> Result<Directory, StoreError> {
    Directory::open(path, DirectoryId(7))
}

fn append(directory: &Directory, index: u64) {
    let rows = vec![(index, index.to_be_bytes().repeat(40))];
    directory.rows.append(&Appended { rows, committed: None }).expect("appended");
}

/// Appends and votes until it is killed, and says so each time it may.
fn append_until_killed(path: &OsStr) -> ! {
    let directory = open(Path::new(path)).expect("opens");
    let last = directory.rows.entries(.., usize::MAX).expect("read").len() as u64;
    let mut said = std::io::stderr().lock();
    for index in last.. {
        append(&directory, index);
        directory.rows.put_fact(Fact::Vote, &index.to_be_bytes()).expect("voted");
        writeln!(said, "{index}").expect("said");
    }
    unreachable!("it is killed before")
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed_while_it_appends() {
    if let Some(path) = std::env::var_os(CHILD) {
        append_until_killed(&path);
    }
    let path = tempfile::tempdir().expect("a directory");
    for kill in 1..=KILLS {
        let acknowledged = acknowledged_before_kill(path.path(), 7 * kill);
        let directory = open(path.path()).expect("opens after a kill");
        let entries = directory.rows.entries(.., usize::MAX).expect("read");
        let expected = |index: u64| index.to_be_bytes().repeat(40);
        assert!(entries.len() as u64 > acknowledged, "entry {acknowledged} is lost");
        assert!(entries.iter().zip(0..).all(|(entry, index)| *entry == expected(index)));
        let vote = directory.rows.read_fact(Fact::Vote).expect("read").expect("a vote");
        let vote = u64::from_be_bytes(vote.try_into().expect("eight bytes"));
        assert!(vote >= acknowledged, "the vote of {acknowledged} is lost, {vote} is there");
    }
}

/// Runs a child, kills it when it has acknowledged so many entries, and says which was the last.
fn acknowledged_before_kill(path: &Path, count: u64) -> u64 {
    let name = "store::crash_test::\
                nothing_acknowledged_is_lost_when_the_process_is_killed_while_it_appends";
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, path)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut said = BufReader::new(child.stderr.take().expect("piped")).lines();
    let number = |line: std::io::Result<String>| line.ok()?.parse::<u64>().ok();
    let before = said.by_ref().take(count as usize).filter_map(number).last();
    child.kill().expect("killed");
    let after = said.filter_map(number).last();
    child.wait().expect("ended");
    after.or(before).expect("acknowledged")
}

#[test]
fn votes_and_entries_are_synced_before_they_are_acknowledged() {
    let path = tempfile::tempdir().expect("a directory");
    let directory = open(path.path()).expect("opens");
    let before = directory.syncs();
    append(&directory, 0);
    let after_append = directory.syncs();
    directory.rows.put_fact(Fact::Vote, b"x").expect("voted");
    assert!(after_append > before);
    assert!(directory.syncs() > after_append);
}

#[test]
fn one_process_at_a_time_uses_a_directory() {
    let path = tempfile::tempdir().expect("a directory");
    let first = open(path.path()).expect("opens");
    assert!(matches!(open(path.path()), Err(StoreError::Locked(_))));
    drop(first);
    open(path.path()).expect("opens again");
}

#[test]
fn a_directory_keeps_its_name_and_refuses_another_node() {
    let path = tempfile::tempdir().expect("a directory");
    let mine = Identity { cluster: ClusterId([1; 16]), node: NodeId(2) };
    {
        let directory = open(path.path()).expect("opens");
        assert_eq!(directory.identity().expect("read"), None);
        directory.adopt(mine).expect("adopted");
        directory.keep_notes(b"notes").expect("kept");
    }
    let directory = Directory::open(path.path(), DirectoryId(8)).expect("opens");
    assert_eq!(directory.id(), DirectoryId(7));
    assert_eq!(directory.identity().expect("read"), Some(mine));
    assert_eq!(directory.notes().expect("read").as_deref(), Some(&b"notes"[..]));
    directory.adopt(mine).expect("it is that already");
    for other in
        [Identity { node: NodeId(3), ..mine }, Identity { cluster: ClusterId([4; 16]), ..mine }]
    {
        assert!(matches!(directory.adopt(other), Err(StoreError::Identity { .. })));
    }
}
