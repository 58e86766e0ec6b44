//! The engine does what every engine does, and what it wrote is there after a restart.

use std::cell::RefCell;
use std::sync::Arc;

use jackdaw_store::conformance;
use jackdaw_store::{Engine, StoreError};
use jackdaw_store_fjall::{FjallEngine, Options};

#[test]
fn the_embedded_engine_conforms() {
    let directories = RefCell::new(Vec::new());
    conformance::run(&|| {
        let directory = tempfile::tempdir().expect("a directory");
        let engine = FjallEngine::open(&Options::new(directory.path())).expect("opens");
        directories.borrow_mut().push(directory);
        Arc::new(engine)
    });
}

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    conformance::reopening(&|| {
        Arc::new(FjallEngine::open(&Options::new(directory.path())).expect("opens"))
    });
}

#[test]
fn a_directory_serves_one_process() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = FjallEngine::open(&Options::new(directory.path())).expect("opens");
    let second = FjallEngine::open(&Options::new(directory.path())).map(|_| ());
    assert!(matches!(second, Err(StoreError::Locked(_))), "{second:?}");
    first.close();
}
