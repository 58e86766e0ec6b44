//! The engine does what every engine does, against a PostgreSQL of its own.

use std::sync::Arc;
use std::time::Duration;

use jackdaw_jid::BareJid;
use jackdaw_store::{Batch, Durability, Engine, StoreError, Table, conformance};
use jackdaw_store_postgres::{Options, PostgresEngine};
use jackdaw_test_postgres::Postgres;

const TABLE: Table = Table::new("conformance");

/// Longer than any disk here takes: none of these tests is about it.
const PATIENCE: Duration = Duration::from_secs(60);

fn open(url: &str) -> PostgresEngine {
    let options = Options { deadline: PATIENCE, ..Options::new(url).expect("a URL") };
    PostgresEngine::open(options).expect("opens")
}

fn put(engine: &PostgresEngine, item: &[u8]) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    batch.put(TABLE, &account(), item, &b"value"[..]);
    conformance::wait(engine.commit(batch, Durability::Durable))
}

fn account() -> BareJid {
    BareJid::parse("juliet@example.org").expect("a JID")
}

#[test]
fn the_engine_of_a_cluster_conforms() {
    let server = Postgres::start();
    conformance::run(&|| Arc::new(open(&server.new_database())));
}

#[test]
fn what_was_committed_is_there_when_it_is_opened_again() {
    let server = Postgres::start();
    let url = server.new_database();
    conformance::reopening(&|| Arc::new(open(&url)));
}

#[test]
fn nodes_that_start_at_once_make_the_tables_once() {
    const NODES: usize = 6;
    // Where two of them meet differs from time to time.
    const TIMES: usize = 10;
    let server = Postgres::start();
    for _ in 0..TIMES {
        let url = server.new_database();
        std::thread::scope(|scope| {
            for _ in 0..NODES {
                scope.spawn(|| open(&url));
            }
        });
    }
}

#[test]
fn a_database_that_went_is_told_to_callers_and_found_again() {
    let server = Postgres::start();
    let deadline = Duration::from_secs(8);
    // Nobody notices before the commit does.
    let asked_every = Duration::from_secs(3600);
    let options = Options::new(&server.new_database()).expect("a URL");
    let options = Options { asked_every, ..options };
    let engine = PostgresEngine::open(Options { deadline: PATIENCE, ..options.clone() });
    engine.expect("opens").close();
    let options = Options { deadline, ..options };
    let engine = loop {
        if let Ok(engine) = PostgresEngine::open(options.clone()) {
            break engine;
        }
    };
    while put(&engine, b"before").is_err() {}
    server.stop();
    assert_eq!(put(&engine, b"while"), Err(StoreError::Unavailable));
    assert_eq!(engine.health(), Err(StoreError::Unavailable));
    let read = conformance::wait(engine.get(TABLE, &account(), b"before"));
    assert_eq!(read, Err(StoreError::Unavailable));
    server.restart();
    while put(&engine, b"after").is_err() {}
    assert_eq!(engine.health(), Ok(()));
    for item in [&b"before"[..], b"after"] {
        let found = loop {
            if let Ok(found) = conformance::wait(engine.get(TABLE, &account(), item)) {
                break found;
            }
        };
        assert!(found.is_some(), "what was acknowledged is there");
    }
}
