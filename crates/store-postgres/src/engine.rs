//! Opening, and the hand-over to reader and committer.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use jackdaw_jid::BareJid;
use jackdaw_store::{
    Answer, Batch, Done, Durability, Engine, Fence, Fenced, ItemRange, Row, StoreError, StoreStats,
    Table,
};
use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio_postgres::Client;

use crate::committer::{Committer, WRITER_BYTES};
use crate::fences::{ClusterId, Fences};
use crate::options::{Options, Target};
use crate::queue::Queue;
use crate::reader::Reader;
use crate::session::{Session, connect};
use crate::{About, OpenError, Place, schema};

/// Rows in a database that other nodes use as well.
pub struct PostgresEngine {
    queue: Arc<Queue>,
    reader: Arc<Reader>,
    about: About,
    target: Target,
    deadline: Duration,
    cluster: Option<ClusterId>,
    handle: Handle,
    runtime: Mutex<Option<Runtime>>,
    /// Hears nothing more when the committer has ended.
    ended: Mutex<mpsc::Receiver<()>>,
}

impl PostgresEngine {
    /// Connects, brings the tables to this version, and starts. Blocks, so never call it on a
    /// thread of an asynchronous runtime.
    pub fn open(options: Options) -> Result<PostgresEngine, OpenError> {
        let failed = |error: &dyn std::fmt::Display| OpenError::System(error.to_string());
        let mut writer = [0; WRITER_BYTES];
        aws_lc_rs::rand::fill(&mut writer).map_err(|error| failed(&error))?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("store-postgres")
            .enable_all()
            .build()
            .map_err(|error| failed(&error))?;
        let queue = Arc::new(Queue::default());
        let target = options.target()?;
        let (committer, about) = runtime.block_on(async {
            let start = start(&options, &target, Arc::clone(&queue), writer);
            let started = tokio::time::timeout(options.deadline, start).await;
            let (place, deadline) = (options.place(), options.deadline);
            started.unwrap_or(Err(OpenError::Late { place, deadline }))
        })?;
        let (end, ended) = mpsc::channel();
        runtime.spawn(async move {
            committer.run().await;
            drop(end);
        });
        Ok(PostgresEngine {
            reader: Arc::new(Reader::new(
                target.clone(),
                options.readers,
                options.deadline,
                Arc::clone(&queue),
            )),
            queue,
            about,
            target,
            deadline: options.deadline,
            cluster: options.cluster,
            handle: runtime.handle().clone(),
            runtime: Mutex::new(Some(runtime)),
            ended: Mutex::new(ended),
        })
    }

    /// Gives the rows of a database to the cluster of these options, whoever had them: after its
    /// old cluster, whose nodes must not run, is lost. Blocks.
    pub fn adopt(options: &Options, cluster: &ClusterId) -> Result<(), OpenError> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| OpenError::System(error.to_string()))?;
        let (target, place) = (options.target()?, options.place());
        runtime.block_on(async {
            let (mut client, _) = prepared(options, &target, &place).await?;
            schema::adopt(&mut client, &place, cluster).await
        })
    }

    /// What was found at the start.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Reads on our runtime: whoever waits may be on a thread that has none.
    fn read<T: Send + Unpin + 'static>(
        &self,
        read: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Answer<T> {
        if self.queue.health() == Err(StoreError::Closed) {
            return Answer::ready(Err(StoreError::Closed));
        }
        let task = self.handle.spawn(read);
        // A task is given up only when the engine is closed.
        Answer::pending(async move { task.await.unwrap_or(Err(StoreError::Closed)) })
    }
}

async fn start(
    options: &Options,
    target: &Target,
    queue: Arc<Queue>,
    writer: [u8; WRITER_BYTES],
) -> Result<(Committer, About), OpenError> {
    let place = options.place();
    let said = |error: tokio_postgres::Error| OpenError::new(&place, &error);
    let (client, about) = prepared(options, target, &place).await?;
    schema::belong(&client, &place, options.cluster.as_ref()).await?;
    let session = Session::prepare(client).await.map_err(said)?;
    let committer = Committer::new(options, target.clone(), queue, session, writer).await;
    Ok((committer.map_err(said)?, about))
}

/// A connection to a database that can be used and has our tables.
async fn prepared(
    options: &Options,
    target: &Target,
    place: &Place,
) -> Result<(Client, About), OpenError> {
    let connected = tokio::time::timeout(options.connect_timeout, connect(target)).await;
    let late = |_| OpenError::Late { place: place.clone(), deadline: options.connect_timeout };
    let client = connected.map_err(late)?.map_err(|error| OpenError::new(place, &error))?;
    let about = schema::examine(&client, place).await?;
    schema::migrate(&client, place).await?;
    Ok((client, about))
}

/// As the database counts.
fn rows_max(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn bytes(row: &tokio_postgres::Row, column: usize) -> Bytes {
    Bytes::copy_from_slice(row.get(column))
}

impl Engine for PostgresEngine {
    fn get(&self, table: Table, account: &BareJid, item: &[u8]) -> Answer<Option<Bytes>> {
        let (reader, account, item) = (Arc::clone(&self.reader), account.clone(), item.to_vec());
        self.read(async move {
            let found = reader.read(async |session: &Session| {
                let (table, account) = (table.name().as_bytes(), account.as_str().as_bytes());
                session.client.query_opt(&session.get, &[&table, &account, &item]).await
            });
            Ok(found.await?.map(|row| bytes(&row, 0)))
        })
    }

    fn list(&self, table: Table, account: &BareJid, range: ItemRange) -> Answer<Vec<Row>> {
        let (reader, account) = (Arc::clone(&self.reader), account.clone());
        self.read(async move {
            let found = reader.read(async |session: &Session| {
                let (table, account) = (table.name().as_bytes(), account.as_str().as_bytes());
                let limit = rows_max(range.limit);
                let client = &session.client;
                match (range.is_reversed, &range.after) {
                    (false, after) => {
                        // The least item that is greater.
                        let above = |item: &Bytes| [&item[..], &[0]].concat();
                        let from = after.as_ref().map(above).unwrap_or_default();
                        client.query(&session.list, &[&table, &account, &from, &limit]).await
                    }
                    (true, Some(below)) => {
                        let below = &below[..];
                        client.query(&session.list_below, &[&table, &account, &below, &limit]).await
                    }
                    (true, None) => {
                        client.query(&session.list_last, &[&table, &account, &limit]).await
                    }
                }
            });
            let row = |row| Row { item: bytes(&row, 0), value: bytes(&row, 1) };
            Ok(found.await?.into_iter().map(row).collect())
        })
    }

    fn accounts(
        &self,
        table: Table,
        after: Option<&BareJid>,
        limit: usize,
    ) -> Answer<Vec<BareJid>> {
        let after = after.map(|account| account.as_str().as_bytes().to_vec()).unwrap_or_default();
        let reader = Arc::clone(&self.reader);
        self.read(async move {
            let found = reader.read(async |session: &Session| {
                let (table, limit) = (table.name().as_bytes(), rows_max(limit));
                session.client.query(&session.accounts, &[&table, &after, &limit]).await
            });
            let account = |row: tokio_postgres::Row| {
                let name = std::str::from_utf8(row.get(0)).ok();
                let account = name.and_then(|name| BareJid::parse(name).ok());
                account.ok_or(StoreError::Corrupt("a key is no JID"))
            };
            found.await?.into_iter().map(account).collect()
        })
    }

    fn commit_then(&self, batch: Batch, _: Durability, done: Done) {
        self.queue.push(batch, done);
    }

    fn health(&self) -> Result<(), StoreError> {
        self.queue.health()
    }

    fn stats(&self) -> StoreStats {
        self.queue.stats()
    }

    fn close(&self) {
        self.queue.close();
        // An error is what is waited for: the committer has ended.
        if self.ended.lock().recv().is_err()
            && let Some(runtime) = self.runtime.lock().take()
        {
            runtime.shutdown_background();
        }
    }
}

impl Fenced for PostgresEngine {
    /// On a connection of its own: it waits for what former owners have on its way.
    fn claim(&self, claims: &[Fence]) -> Answer<Vec<Fence>> {
        let (claims, target, deadline) = (claims.to_vec(), self.target.clone(), self.deadline);
        let cluster = self.cluster;
        self.read(async move {
            let Some(cluster) = cluster else {
                return Err(StoreError::Failed("a claim, and no cluster that it is for".into()));
            };
            let mut fences = Fences::default();
            if !fences.add(&claims) {
                return Err(StoreError::Failed("a shard is claimed for two epochs".into()));
            }
            let claimed = tokio::time::timeout(deadline, async {
                let session = Session::open(&target, deadline).await?;
                fences.claim(&session, &cluster).await
            });
            let found = claimed.await.unwrap_or(Err(StoreError::Unavailable))?;
            let now = |claim: &Fence| {
                let epoch = found.get(&claim.shard).copied()?;
                Some(Fence { shard: claim.shard, epoch })
            };
            let all = claims.iter().map(now).collect::<Option<Vec<Fence>>>();
            // Deleted meanwhile: by the adoption.
            all.ok_or_else(|| StoreError::Failed("the rows were given to another cluster".into()))
        })
    }
}

impl Drop for PostgresEngine {
    fn drop(&mut self) {
        self.close();
    }
}
