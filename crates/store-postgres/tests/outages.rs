//! A database that stops, goes, or whose answers are lost: what was acknowledged is there, once,
//! and nothing takes effect late.

mod proxy;

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use jackdaw_jid::BareJid;
use jackdaw_store::{Batch, Durability, Engine, StoreError, Table, conformance};
use jackdaw_store_postgres::{Options, PostgresEngine};
use jackdaw_test_postgres::Postgres;

use proxy::{Proxy, Way};

const TABLE: Table = Table::new("conformance");

/// Long enough for a database that works, on any disk.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a database that stands still is waited for. One that works may miss it, too.
const SHORT: Duration = Duration::from_millis(500);

fn account() -> BareJid {
    BareJid::parse("juliet@example.org").expect("a JID")
}

fn batch(value: &str) -> Batch {
    let mut batch = Batch::new();
    batch.put(TABLE, &account(), b"item", value.as_bytes().to_vec());
    batch
}

fn put(engine: &PostgresEngine, value: &str) -> Result<(), StoreError> {
    conformance::wait(engine.commit(batch(value), Durability::Durable))
}

/// A commit, and where its outcome will be heard.
fn start_put(engine: &PostgresEngine, value: &str) -> Receiver<Result<(), StoreError>> {
    let (sender, receiver) = channel();
    let done = Box::new(move |outcome| drop(sender.send(outcome)));
    engine.commit_then(batch(value), Durability::Durable, done);
    receiver
}

fn value(server: &Postgres, database: &str) -> String {
    server.query(database, "SELECT convert_from(value, 'UTF8') FROM jackdaw_rows")
}

/// Waits for a state, for as long as a slow machine may take.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "a test that fails is to end")]
fn until(mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "it does not come about");
        std::thread::yield_now();
    }
}

/// An engine on a database with the tables made, that gives up after `deadline`. While the database
/// is there, nothing is asked but what the test asks.
fn open(dsn: &str, deadline: Duration) -> PostgresEngine {
    let asked_every = Duration::from_secs(3600);
    let options = Options { deadline: PATIENCE, asked_every, ..Options::new(dsn).expect("a DSN") };
    PostgresEngine::open(options.clone()).expect("opens").close();
    let options = Options { deadline, ..options };
    loop {
        if let Ok(engine) = PostgresEngine::open(options.clone()) {
            return engine;
        }
    }
}

#[test]
fn a_database_that_stands_still_is_told_and_found_again_without_a_commit() {
    let server = Postgres::start();
    let engine = open(&server.new_database(), SHORT);
    until(|| put(&engine, "before").is_ok());
    server.pause();
    assert_eq!(put(&engine, "in doubt"), Err(StoreError::Unavailable), "it may arrive yet");
    assert_eq!(engine.health(), Err(StoreError::Unavailable));
    assert_eq!(put(&engine, "never"), Err(StoreError::Busy), "nothing of it was sent");
    let read = conformance::wait(engine.get(TABLE, &account(), b"item"));
    assert_eq!(read, Err(StoreError::Unavailable));
    server.resume();
    until(|| engine.health().is_ok());
    until(|| put(&engine, "after").is_ok());
    assert_eq!(value(&server, "test0"), "after");
    let stats = engine.stats();
    assert!(stats.reconnects > 0 && stats.commits_failed > 0, "{stats:?}");
}

#[test]
fn a_database_that_goes_is_noticed_without_a_commit() {
    let server = Postgres::start();
    let options = Options::new(&server.new_database()).expect("a DSN");
    let asked_every = Duration::from_millis(20);
    let options = Options { deadline: PATIENCE, asked_every, ..options };
    let engine = PostgresEngine::open(options).expect("opens");
    server.stop();
    // It refuses at once: no deadline runs out.
    until(|| engine.health() == Err(StoreError::Unavailable));
    assert_eq!(put(&engine, "while"), Err(StoreError::Busy));
    server.restart();
    until(|| engine.health().is_ok());
    assert_eq!(put(&engine, "after"), Ok(()));
}

#[test]
fn a_commit_whose_answer_is_lost_is_not_made_twice() {
    let server = Postgres::start();
    let database = server.create_database();
    let proxy = Proxy::start(&server.socket());
    let engine = open(&proxy.dsn(&database), PATIENCE);
    assert_eq!(put(&engine, "1"), Ok(()));
    let version = || server.query(&database, "SELECT xmin FROM jackdaw_rows");
    proxy.set(Way::NoAnswers);
    let outcome = start_put(&engine, "2");
    until(|| value(&server, &database) == "2");
    let written = version();
    proxy.set(Way::Through);
    proxy.cut();
    assert_eq!(outcome.recv_timeout(PATIENCE), Ok(Ok(())));
    assert_eq!(version(), written, "it was found, and not written again");
}

#[test]
fn a_commit_that_never_arrived_is_made_again() {
    let server = Postgres::start();
    let database = server.create_database();
    let proxy = Proxy::start(&server.socket());
    let engine = open(&proxy.dsn(&database), PATIENCE);
    proxy.set(Way::Held);
    let outcome = start_put(&engine, "1");
    until(|| proxy.held() > 0);
    proxy.set(Way::Through);
    proxy.cut();
    assert_eq!(outcome.recv_timeout(PATIENCE), Ok(Ok(())));
    assert_eq!(value(&server, &database), "1");
}

#[test]
fn a_commit_that_was_given_up_does_not_take_effect_after_a_later_one() {
    let server = Postgres::start();
    let database = server.create_database();
    let proxy = Proxy::start(&server.socket());
    let engine = open(&proxy.dsn(&database), SHORT);
    until(|| put(&engine, "0").is_ok());
    proxy.set(Way::Held);
    assert_eq!(put(&engine, "1"), Err(StoreError::Unavailable));
    proxy.set(Way::Through);
    until(|| put(&engine, "2").is_ok());
    // Now the network delivers what it had kept.
    proxy.release();
    until(|| proxy.has_answered("23502"));
    assert_eq!(value(&server, &database), "2");
}
