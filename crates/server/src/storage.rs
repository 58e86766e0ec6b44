//! Opening the store the configuration asks for, with a clock around its commits.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use jackdaw_http::Metrics;
use jackdaw_jid::BareJid;
use jackdaw_store::{
    Answer, Batch, Done, Durability, Engine, ItemRange, MemoryEngine, Row, StoreError, StoreStats,
    Stores, Table,
};
use jackdaw_store_fjall::{FjallEngine, Options};
use jackdaw_store_postgres::{About, Options as PostgresOptions, PostgresEngine, Tls};

use crate::collect;
use crate::config::{self, Ack, Config, DatabaseTls, Dsn};

/// Where PostgreSQL's own programs look for a password too.
const PASSWORD_VARIABLE: &str = "PGPASSWORD";

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
    /// The database cannot be used.
    #[error("storage.postgres: {0}")]
    Database(String),
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

/// A store that is open, and what it is.
pub struct Opened {
    /// The rows.
    pub stores: Stores,
    /// Where they are, for the start-up report.
    pub place: String,
}

/// Opens the store for a command that works offline.
pub async fn open_offline(config: &Config) -> Result<Stores, StorageError> {
    if config.storage.engine == config::Engine::Memory {
        return Err(StorageError::Memory);
    }
    make_data_dir(config)?;
    let (engine, _) = engine(config).await?;
    Ok(Stores::new(engine, durability(config)))
}

/// Opens the store of a node. Its commit latency and its queues are in the metrics.
pub async fn open(config: &Config, metrics: &Metrics) -> Result<Opened, StorageError> {
    let (engine, place) = engine(config).await?;
    let latency = metrics.commit_latency();
    let observed = Arc::clone(&engine);
    metrics.collect(move |sample| collect::store(sample, &observed.stats(), &observed.health()));
    let stores = Stores::new(Arc::new(Measured { engine, latency }), durability(config));
    Ok(Opened { stores, place })
}

/// The engine, and where it is.
async fn engine(config: &Config) -> Result<(Arc<dyn Engine>, String), StorageError> {
    match config.storage.engine {
        config::Engine::Fjall => {
            let path = config.store_path();
            let place = format!("fjall in {}", path.display());
            let opened = FjallEngine::open(&Options::new(&path));
            let engine = opened.map_err(|source| StorageError::Engine { path, source })?;
            Ok((Arc::new(engine), place))
        }
        config::Engine::Memory => {
            Ok((Arc::new(MemoryEngine::default()), "memory, gone after a stop".into()))
        }
        config::Engine::Postgres => postgres(&config.storage.postgres).await,
    }
}

async fn postgres(settings: &config::Postgres) -> Result<(Arc<dyn Engine>, String), StorageError> {
    let options = postgres_options(settings)?;
    let protection = match (options.is_tcp(), settings.tls) {
        (false, _) => "",
        (true, DatabaseTls::Disable) => ", NO TLS",
        (true, DatabaseTls::Require) => ", TLS to whoever answers",
        (true, DatabaseTls::VerifyFull) => ", TLS",
    };
    // It waits for the network.
    let opened = tokio::task::spawn_blocking(|| PostgresEngine::open(options)).await;
    let engine = opened.map_err(|error| StorageError::Database(error.to_string()))?;
    let engine = engine.map_err(|error| StorageError::Database(error.to_string()))?;
    let About { version, place, synchronous_commit } = engine.about();
    let place = format!(
        "PostgreSQL {version}, {place}{protection}; synchronous_commit = {synchronous_commit}"
    );
    Ok((Arc::new(engine), place))
}

/// What the settings say, with the password from where it is.
fn postgres_options(settings: &config::Postgres) -> Result<PostgresOptions, StorageError> {
    let dsn = settings.dsn.as_ref().ok_or_else(|| "there is no `dsn`".to_owned());
    let mut options = dsn.and_then(Dsn::options).map_err(StorageError::Database)?;
    options.tls = match (settings.tls, &settings.ca_file) {
        (DatabaseTls::Disable, _) => Tls::Disable,
        (DatabaseTls::Require, _) => Tls::Require,
        (DatabaseTls::VerifyFull, Some(file)) => Tls::VerifyFull { authorities: file.clone() },
        // The configuration was checked: there is no network on the way.
        (DatabaseTls::VerifyFull, None) => Tls::Require,
    };
    options.readers = settings.connections as usize;
    options.connect_timeout = settings.connect_timeout_secs.duration();
    options.deadline = settings.deadline_secs.duration();
    if let Some(file) = &settings.password_file {
        let password = std::fs::read_to_string(file).map_err(|source| {
            StorageError::Database(format!(
                "{}: cannot read the password: {source}",
                file.display()
            ))
        })?;
        options.config.password(password.trim_end_matches(['\r', '\n']));
    } else if options.config.get_password().is_none()
        && let Ok(password) = std::env::var(PASSWORD_VARIABLE)
    {
        options.config.password(password);
    }
    Ok(options)
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
        let stores = open(&config, &metrics).await.unwrap().stores;
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
