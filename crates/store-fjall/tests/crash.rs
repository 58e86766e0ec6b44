//! What a start makes of what a crash left, and of what a disk did to it.
//!
//! A copy of the directory of an open store is what `kill -9` leaves: everything the kernel has.

mod support;

use jackdaw_store::{Durability, Engine, StoreError};
use jackdaw_store_fjall::FjallEngine;

use support::{Store, cut, difference, files, flip, put, rows_of, wait_until};

/// Places at which each file is damaged: all of a small one, and of a large one the ends and a
/// regular choice between.
const PLACES: usize = 40;

/// What a store with damage may be: refused by an error that names the file, or found damaged
/// while it runs, or the same as ever.
fn check_damaged(store: &Store, name: &str, what: &str) {
    let engine = match FjallEngine::open(&store.options()) {
        Err(StoreError::Damaged { file, .. }) => {
            assert!(file.contains(name), "{what}: `{file}` is named, not `{name}`");
            return;
        }
        Err(StoreError::Version { .. }) => return assert_eq!(name, "format", "{what}"),
        Err(other) => panic!("{what}: {other}"),
        Ok(engine) => engine,
    };
    // The check of the tables runs beside; it must have seen the file before the rows are judged.
    let found = wait_until(|| engine.stats().tables_checked || engine.health().is_err());
    assert!(found, "{what}: the tables were not checked");
    match engine.health() {
        Err(StoreError::Damaged { file, .. }) => {
            assert!(file.contains(name), "{what}: `{file}` is named, not `{name}`");
        }
        Err(other) => panic!("{what}: {other}"),
        Ok(()) => {
            let wrong = difference(&rows_of(&engine), &store.expected());
            assert_eq!(wrong, [""; 0], "{what}: silently wrong");
        }
    }
}

fn places(length: usize) -> Vec<usize> {
    let step = (length / PLACES).max(1);
    let mut places: Vec<usize> = (0..length).step_by(step).collect();
    places.extend([length.saturating_sub(1), length / 2].into_iter().filter(|at| *at < length));
    places
}

#[test]
fn a_flipped_bit_in_any_file_is_found_or_changes_nothing() {
    let store = Store::with_tables_and_log();
    for (name, length) in files(&store.crashed().path()) {
        for at in places(length) {
            let damaged = store.crashed();
            flip(&damaged.path().join(&name), at, at % 8);
            let base = name.rsplit('/').next().expect("a name");
            check_damaged(&damaged, base, &format!("bit {} of byte {at} of {name}", at % 8));
        }
    }
}

#[test]
fn a_file_cut_short_anywhere_is_found_or_changes_nothing() {
    let store = Store::with_tables_and_log();
    for (name, length) in files(&store.crashed().path()) {
        for to in places(length) {
            let damaged = store.crashed();
            cut(&damaged.path().join(&name), to);
            let base = name.rsplit('/').next().expect("a name");
            check_damaged(&damaged, base, &format!("{name} cut to {to} bytes"));
        }
    }
}

#[test]
fn a_missing_file_is_found_or_changes_nothing() {
    let store = Store::with_tables_and_log();
    for (name, _) in files(&store.crashed().path()) {
        let damaged = store.crashed();
        std::fs::remove_file(damaged.path().join(&name)).expect("removed");
        match FjallEngine::open(&damaged.options()) {
            Ok(engine) => {
                let wrong = difference(&rows_of(&engine), &store.expected());
                assert_eq!(wrong, [""; 0], "without {name}");
            }
            Err(error) => assert!(matches!(error, StoreError::Damaged { .. }), "{name}: {error}"),
        }
    }
}

#[test]
fn a_directory_without_its_files_is_not_begun_anew() {
    let store = Store::with_tables_and_log();
    for kept in ["log", "rows"] {
        let damaged = store.crashed();
        for gone in ["log", "rows"].iter().filter(|name| **name != kept) {
            std::fs::remove_dir_all(damaged.path().join(gone)).expect("removed");
        }
        std::fs::remove_file(damaged.path().join("format")).expect("removed");
        let opened = FjallEngine::open(&damaged.options()).map(drop);
        assert!(matches!(opened, Err(StoreError::Damaged { .. })), "only {kept} left: {opened:?}");
    }
}

#[test]
fn a_torn_tail_that_was_not_acknowledged_is_cut_off() {
    let store = Store::with_tables_and_log();
    let crashed = store.crashed();
    // As if the machine had lost power in the middle of a group: the witness is behind as well.
    let (segment, end) = crashed.last_row();
    std::fs::remove_file(crashed.path().join("log/synced")).expect("removed");
    flip(&segment, end - 1, 0);
    let engine = FjallEngine::open(&crashed.options()).expect("opens");
    let mut expected = store.expected();
    expected.pop();
    assert_eq!(difference(&rows_of(&engine), &expected), [""; 0], "the last group alone is gone");
    put(&engine, "after", Durability::Durable).expect("committed");
    engine.close();
    drop(engine);
    let engine = FjallEngine::open(&crashed.options()).expect("opens again");
    assert_eq!(rows_of(&engine).len(), expected.len() + 1);
}

#[test]
fn a_start_that_was_cut_short_is_begun_again() {
    let store = Store::empty();
    FjallEngine::open(&store.options()).expect("opens").close();
    std::fs::remove_file(store.path().join("format")).expect("removed");
    std::fs::remove_file(store.path().join("log/0000000000000002.log")).ok();
    FjallEngine::open(&store.options()).expect("opens").close();
}

#[test]
fn fast_commits_survive_the_process() {
    let store = Store::empty();
    let engine = FjallEngine::open(&store.options()).expect("opens");
    put(&engine, "fast", Durability::Fast).expect("committed");
    let crashed = store.crashed();
    let again = FjallEngine::open(&crashed.options()).expect("opens");
    assert_eq!(rows_of(&again), ["fast"]);
    again.close();
    engine.close();
}
