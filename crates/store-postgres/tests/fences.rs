//! Whoever lost a shard is kept out, whenever its writes arrive (interleavings 9 and 10 of the
//! cluster's list).

use std::sync::Arc;
use std::time::Duration;

use jackdaw_jid::BareJid;
use jackdaw_store::{Batch, Durability, Engine, Fence, Fenced, StoreError, Table, conformance};
use jackdaw_store_postgres::{ClusterId, OpenError, Options, PostgresEngine};
use jackdaw_test_postgres::Postgres;

const TABLE: Table = Table::new("conformance");
const CLUSTER: ClusterId = [7; 16];
const OTHER: ClusterId = [8; 16];

/// Longer than any disk here takes: none of these tests is about it.
const PATIENCE: Duration = Duration::from_secs(60);

const OLD: Fence = Fence { shard: 3, epoch: 5 };
const NEW: Fence = Fence { shard: 3, epoch: 9 };

fn options(dsn: &str, cluster: Option<ClusterId>) -> Options {
    Options { deadline: PATIENCE, cluster, ..Options::new(dsn).expect("a DSN") }
}

fn open(dsn: &str) -> PostgresEngine {
    PostgresEngine::open(options(dsn, Some(CLUSTER))).expect("opens")
}

fn account() -> BareJid {
    BareJid::parse("juliet@example.org").expect("a JID")
}

fn put(engine: &PostgresEngine, item: &str, fence: Fence) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    batch.put(TABLE, &account(), item.as_bytes(), &b"value"[..]);
    batch.fence(fence);
    conformance::wait(engine.commit(batch, Durability::Durable))
}

fn has(engine: &PostgresEngine, item: &str) -> bool {
    conformance::wait(engine.get(TABLE, &account(), item.as_bytes())).expect("read").is_some()
}

/// A connection of the test's own.
struct Hand {
    runtime: tokio::runtime::Runtime,
    client: tokio_postgres::Client,
}

impl Hand {
    fn new(dsn: &str) -> Hand {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let connected = runtime.block_on(tokio_postgres::connect(dsn, tokio_postgres::NoTls));
        let (client, connection) = connected.expect("connects");
        runtime.spawn(connection);
        Hand { runtime, client }
    }

    fn run(&self, sql: &str) {
        self.runtime.block_on(self.client.batch_execute(sql)).expect(sql);
    }

    /// Waits until so many wait for locks in this database.
    fn wait_for_waiting(&self, count: i64) {
        let sql = "SELECT COUNT(*) FROM pg_stat_activity \
                   WHERE wait_event_type = 'Lock' AND datname = current_database()";
        loop {
            let row = self.runtime.block_on(self.client.query_one(sql, &[])).expect("asked");
            if row.get::<_, i64>(0) == count {
                return;
            }
            std::thread::yield_now();
        }
    }
}

#[test]
fn former_owners_are_kept_out() {
    let server = Postgres::start();
    conformance::fencing(&|| {
        let dsn = server.new_database();
        [Arc::new(open(&dsn)), Arc::new(open(&dsn))]
    });
}

#[test]
fn a_claim_waits_for_a_write_that_was_first_and_its_owner_reads_it() {
    let server = Postgres::start();
    let dsn = server.new_database();
    let (old, new, hand) = (open(&dsn), open(&dsn), Hand::new(&dsn));
    conformance::wait(old.claim(&[OLD])).expect("claimed");
    assert_eq!(put(&old, "slow", OLD), Ok(()));
    // The write comes as far as its row, and no further.
    hand.run("BEGIN; SELECT 1 FROM jackdaw_rows FOR UPDATE");
    std::thread::scope(|scope| {
        let written = scope.spawn(|| {
            let mut batch = Batch::new();
            batch.put(TABLE, &account(), b"slow", &b"late"[..]);
            batch.fence(OLD);
            conformance::wait(old.commit(batch, Durability::Durable))
        });
        let watch = Hand::new(&dsn);
        watch.wait_for_waiting(1);
        let claimed = scope.spawn(|| {
            conformance::wait(new.claim(&[NEW])).expect("claimed");
            conformance::wait(new.get(TABLE, &account(), b"slow")).expect("read")
        });
        watch.wait_for_waiting(2);
        hand.run("COMMIT");
        assert_eq!(written.join().expect("no panic"), Ok(()));
        let read = claimed.join().expect("no panic");
        assert_eq!(read.as_deref(), Some(&b"late"[..]), "the new owner has seen it");
    });
}

#[test]
fn a_write_that_waits_for_a_claim_does_not_take_effect() {
    let server = Postgres::start();
    let dsn = server.new_database();
    let (old, hand) = (open(&dsn), Hand::new(&dsn));
    conformance::wait(old.claim(&[OLD])).expect("claimed");
    hand.run("BEGIN; UPDATE jackdaw_fences SET epoch = 9");
    std::thread::scope(|scope| {
        let written = scope.spawn(|| put(&old, "late", OLD));
        hand.wait_for_waiting(1);
        hand.run("COMMIT");
        assert_eq!(written.join().expect("no panic"), Err(StoreError::Fenced));
    });
    assert!(!has(&old, "late"));
}

#[test]
fn an_owner_claims_again_what_a_restored_backup_has_forgotten() {
    let server = Postgres::start();
    let dsn = server.new_database();
    let (engine, hand) = (open(&dsn), Hand::new(&dsn));
    conformance::wait(engine.claim(&[NEW])).expect("claimed");
    for sql in ["UPDATE jackdaw_fences SET epoch = 5", "DELETE FROM jackdaw_fences"] {
        hand.run(sql);
        assert_eq!(put(&engine, "after", NEW), Ok(()));
        assert_eq!(server.query("test0", "SELECT shard, epoch FROM jackdaw_fences"), "3|9");
    }
}

#[test]
fn rows_are_one_clusters_until_they_are_given_to_another() {
    let server = Postgres::start();
    let dsn = server.new_database();
    let old = open(&dsn);
    conformance::wait(old.claim(&[NEW])).expect("claimed");
    assert_eq!(put(&old, "old", NEW), Ok(()));
    for cluster in [Some(OTHER), None] {
        let refused = PostgresEngine::open(options(&dsn, cluster)).err().expect("refused");
        assert!(matches!(refused, OpenError::OtherCluster { .. }), "{refused}");
    }
    PostgresEngine::adopt(&options(&dsn, None), &OTHER).expect("adopted");
    let new = PostgresEngine::open(options(&dsn, Some(OTHER))).expect("opens");
    // Epochs begin anew, and what is left of the old cluster is kept out all the same.
    conformance::wait(new.claim(&[Fence { shard: 3, epoch: 1 }])).expect("claimed");
    assert!(matches!(put(&old, "late", NEW), Err(StoreError::Failed(_))));
    assert!(matches!(conformance::wait(old.claim(&[NEW])), Err(StoreError::Failed(_))));
    assert_eq!(put(&new, "new", Fence { shard: 3, epoch: 1 }), Ok(()));
    assert!(has(&new, "old") && has(&new, "new") && !has(&new, "late"));
}

#[test]
fn rows_of_a_node_that_was_alone_are_not_taken_by_chance() {
    let server = Postgres::start();
    let dsn = server.new_database();
    let alone = PostgresEngine::open(options(&dsn, None)).expect("opens");
    let mut batch = Batch::new();
    batch.put(TABLE, &account(), b"item", &b"value"[..]);
    assert_eq!(conformance::wait(alone.commit(batch, Durability::Durable)), Ok(()));
    assert!(matches!(put(&alone, "fenced", OLD), Err(StoreError::Failed(_))), "of which cluster?");
    drop(alone);
    let refused = PostgresEngine::open(options(&dsn, Some(CLUSTER))).err().expect("refused");
    assert!(matches!(refused, OpenError::OtherCluster { .. }), "{refused}");
    PostgresEngine::adopt(&options(&dsn, None), &CLUSTER).expect("adopted");
    assert!(has(&open(&dsn), "item"));
}
