//! Opening the store the configuration asks for, with a clock around its commits.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use jackdaw_http::{Metrics, names};
use jackdaw_jid::BareJid;
use jackdaw_store::{
    Answer, Batch, Done, Durability, Engine, ItemRange, MemoryEngine, Row, StoreError, StoreStats,
    Stores, Table,
};
use jackdaw_store_fjall::{FjallEngine, Options};

use crate::config::{self, Ack, Config};

/// Why the store could not be opened. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The directory could not be made.
    #[error("{}: cannot make the data directory: {source}; name another with --data", directory.display())]
    Directory {
        /// Which.
        directory: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The engine refused.
    #[error("{}: cannot open the store: {source}", path.display())]
    Engine {
        /// Where it is.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
    /// There is nothing to open.
    #[error(
        "storage.engine is \"memory\": accounts are only there while the server runs; start it first"
    )]
    Memory,
}

/// Makes the data directory such that only the server's user can enter it; one that exists keeps
/// its permissions.
pub fn make_data_dir(config: &Config) -> Result<(), StorageError> {
    let directory = &config.server.data_dir;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|source| StorageError::Directory { directory: directory.clone(), source })
}

/// Opens the store for a command that works offline.
pub fn open_offline(config: &Config) -> Result<Stores, StorageError> {
    if config.storage.engine == config::Engine::Memory {
        return Err(StorageError::Memory);
    }
    make_data_dir(config)?;
    Ok(Stores::new(engine(config)?, durability(config)))
}

/// Opens the store of a node. Its commit latency and its queues are in the metrics.
pub fn open(config: &Config, metrics: &Metrics) -> Result<Stores, StorageError> {
    let engine = engine(config)?;
    let latency = metrics.commit_latency();
    let observed = Arc::clone(&engine);
    metrics.collect(move |sample| {
        let stats = observed.stats();
        let batches = [("queue", "store_batches")];
        sample.gauge(names::QUEUE_DEPTH, &batches, stats.queue_batches as f64);
        sample.gauge(names::STORE_QUEUE_BYTES, &[], stats.queue_bytes as f64);
        sample.gauge(names::STORE_JOURNALS, &[], stats.journals as f64);
        sample.counter(names::STORE_COMMITS, &[], stats.commits);
        sample.counter(names::STORE_ROWS, &[], stats.rows);
        let health = observed.health();
        for (reason, holds) in [
            ("full", health == Err(StoreError::Full)),
            ("failed", matches!(health, Err(StoreError::Failed(_)))),
            ("damaged", matches!(health, Err(StoreError::Damaged { .. }))),
        ] {
            sample.gauge(names::STORE_IMPAIRED, &[("reason", reason)], f64::from(u8::from(holds)));
        }
    });
    Ok(Stores::new(Arc::new(Measured { engine, latency }), durability(config)))
}

fn engine(config: &Config) -> Result<Arc<dyn Engine>, StorageError> {
    match config.storage.engine {
        config::Engine::Fjall => {
            let path = config.store_path();
            let opened = FjallEngine::open(&Options::new(&path));
            let engine = opened.map_err(|source| StorageError::Engine { path, source })?;
            Ok(Arc::new(engine))
        }
        config::Engine::Memory => Ok(Arc::new(MemoryEngine::default())),
    }
}

fn durability(config: &Config) -> Durability {
    match config.storage.ack {
        Ack::Durable => Durability::Durable,
        Ack::Fast => Durability::Fast,
    }
}

/// An engine whose durable commits are timed, from the hand-over to the report that they are done:
/// the time an acknowledgement waits for.
struct Measured {
    engine: Arc<dyn Engine>,
    latency: metrics::Histogram,
}

impl Engine for Measured {
    fn get(&self, table: Table, account: &BareJid, item: &[u8]) -> Answer<Option<Bytes>> {
        self.engine.get(table, account, item)
    }

    fn list(&self, table: Table, account: &BareJid, range: ItemRange) -> Answer<Vec<Row>> {
        self.engine.list(table, account, range)
    }

    fn accounts(
        &self,
        table: Table,
        after: Option<&BareJid>,
        limit: usize,
    ) -> Answer<Vec<BareJid>> {
        self.engine.accounts(table, after, limit)
    }

    fn commit_then(&self, batch: Batch, durability: Durability, done: Done) {
        if durability == Durability::Fast {
            return self.engine.commit_then(batch, durability, done);
        }
        let (began, latency) = (now(), self.latency.clone());
        let timed = Box::new(move |result: Result<(), StoreError>| {
            if result.is_ok() {
                latency.record(now().saturating_duration_since(began));
            }
            done(result);
        });
        self.engine.commit_then(batch, durability, timed);
    }

    fn health(&self) -> Result<(), StoreError> {
        self.engine.health()
    }

    fn stats(&self) -> StoreStats {
        self.engine.stats()
    }

    fn close(&self) {
        self.engine.close();
    }
}

#[expect(clippy::disallowed_methods, reason = "the server is where the clock is read")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table = Table::new("test");

    #[tokio::test]
    async fn durable_commits_are_timed_and_counted() {
        let config = Config::parse("test", "[storage]\nengine = \"memory\"\n").unwrap();
        let metrics = Metrics::new().unwrap();
        let stores = open(&config, &metrics).unwrap();
        let account = BareJid::parse("juliet@localhost").unwrap();
        for durability in [Durability::Durable, Durability::Fast] {
            let mut batch = Batch::new();
            batch.put(TABLE, &account, b"item", Bytes::from_static(b"value"));
            stores.engine().commit(batch, durability).await.unwrap();
        }
        let text = metrics.render();
        assert!(text.contains("xmpp_commit_latency_seconds_count 1\n"), "{text}");
        assert!(text.contains("xmpp_queue_depth{queue=\"store_batches\"} 0\n"), "{text}");
    }

    #[test]
    fn the_conformance_suite_passes_through_the_clock() {
        jackdaw_store::conformance::run(&|| {
            let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::default());
            Arc::new(Measured { engine, latency: metrics::Histogram::noop() })
        });
    }
}
