//! The engine does what every engine does, and what it wrote is there after a restart.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use jackdaw_jid::BareJid;
use jackdaw_store::conformance;
use jackdaw_store::{Engine, ItemRange, StoreError, Table};
use jackdaw_store_fjall::{FjallEngine, Options};

const TABLE: Table = Table::new("conformance");

fn account() -> BareJid {
    BareJid::parse("juliet@example.org").expect("a JID")
}

/// Segments of a megabyte: each is written in full before it is used.
fn options(path: &Path) -> Options {
    Options { segment_bytes: 1 << 20, ..Options::new(path) }
}

#[test]
fn the_embedded_engine_conforms() {
    let directories = RefCell::new(Vec::new());
    conformance::run(&|| {
        let directory = tempfile::tempdir().expect("a directory");
        let engine = FjallEngine::open(&options(directory.path())).expect("opens");
        directories.borrow_mut().push(directory);
        Arc::new(engine)
    });
}

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    conformance::reopening(&|| {
        Arc::new(FjallEngine::open(&options(directory.path())).expect("opens"))
    });
}

#[test]
fn a_directory_serves_one_process() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = FjallEngine::open(&options(directory.path())).expect("opens");
    let second = FjallEngine::open(&options(directory.path())).map(|_| ());
    assert!(matches!(second, Err(StoreError::Locked(_))), "{second:?}");
    first.close();
}

#[test]
fn a_closed_engine_leaves_no_file_open() {
    let directory = tempfile::tempdir().expect("a directory");
    let open_files = || {
        let all = std::fs::read_dir("/proc/self/fd").expect("listed");
        let links = all.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        links.filter(|link| link.starts_with(directory.path())).count()
    };
    for _ in 0..3 {
        let engine = FjallEngine::open(&options(directory.path())).expect("opens");
        conformance::wait(engine.list(TABLE, &account(), ItemRange::first(9))).expect("listed");
        assert!(open_files() > 0);
        engine.close();
        drop(engine);
        assert_eq!(open_files(), 0);
    }
}
