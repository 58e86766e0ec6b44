//! Fences: who writes a shard, and since when.
//!
//! A transaction holds the rows of its shards from before it writes until it ends, so that a claim
//! waits for it, or it for the claim, and then finds another epoch and is rolled back. A condition
//! that does not hold the row (`WHERE EXISTS`) lets a late write take effect after the new owner
//! has read.

use std::collections::{BTreeMap, HashMap};

use jackdaw_store::{Fence, StoreError};

use crate::session::{Session, failure};

/// The bytes of a cluster's name.
pub const CLUSTER_BYTES: usize = 16;

/// A cluster, by the random bytes it was made with. Epochs of two clusters have nothing to do with
/// each other, so rows belong to one of them.
pub type ClusterId = [u8; CLUSTER_BYTES];

/// By which rights one commit writes: at most one epoch for each shard.
#[derive(Clone, Default)]
pub(crate) struct Fences(BTreeMap<u16, u64>);

impl Fences {
    /// Adds what a batch needs. False: it does not go with the others, for one of them is of a
    /// former owner.
    pub fn add(&mut self, fences: &[Fence]) -> bool {
        let differs =
            |fence: &Fence| self.0.get(&fence.shard).is_some_and(|epoch| *epoch != fence.epoch);
        if fences.iter().any(differs) {
            return false;
        }
        self.0.extend(fences.iter().map(|fence| (fence.shard, fence.epoch)));
        true
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn shards(&self) -> Vec<i64> {
        self.0.keys().map(|shard| i64::from(*shard)).collect()
    }

    /// As the database counts. An epoch is an index of a log, far below the sign.
    fn epochs(&self) -> Vec<i64> {
        self.0.values().map(|epoch| *epoch as i64).collect()
    }

    /// Holds the rows, as part of a transaction, or fails it.
    pub async fn hold(
        &self,
        session: &Session,
        cluster: Option<ClusterId>,
    ) -> Result<(), tokio_postgres::Error> {
        if self.is_empty() {
            return Ok(());
        }
        // Without a cluster there are no rows to hold: nothing is written.
        let cluster: &[u8] = cluster.as_ref().map_or(&[], |cluster| cluster);
        let count = self.0.len() as i64;
        let (shards, epochs) = (self.shards(), self.epochs());
        session.client.query(&session.fence, &[&cluster, &shards, &epochs, &count]).await?;
        Ok(())
    }

    /// What the database has for these shards.
    pub async fn read(
        &self,
        session: &Session,
        cluster: &ClusterId,
    ) -> Result<HashMap<u16, u64>, StoreError> {
        let shards = self.shards();
        let rows = session.client.query(&session.epochs, &[&&cluster[..], &shards]).await;
        let rows = rows.map_err(|error| failure(&error))?;
        let pair =
            |row: &tokio_postgres::Row| (row.get::<_, i64>(0) as u16, row.get::<_, i64>(1) as u64);
        Ok(rows.iter().map(pair).collect())
    }

    /// Raises the rows in a transaction, and reads what they are.
    pub async fn claim(
        &self,
        session: &Session,
        cluster: &ClusterId,
    ) -> Result<HashMap<u16, u64>, StoreError> {
        let client = &session.client;
        let (shards, epochs) = (self.shards(), self.epochs());
        let raised = async {
            client.batch_execute("BEGIN").await.map_err(said)?;
            let owner = client.query_opt(&session.owner, &[]).await.map_err(said)?;
            if owner.as_ref().map(|row| row.get::<_, &[u8]>(0)) != Some(&cluster[..]) {
                return Err(StoreError::Failed("the database has another cluster's rows".into()));
            }
            let cluster = &cluster[..];
            let raised = client.execute(&session.claim, &[&cluster, &shards, &epochs]).await;
            raised.map_err(said)?;
            client.batch_execute("COMMIT").await.map_err(said)
        };
        if let Err(error) = raised.await {
            // After a failed COMMIT there is no transaction, and this is a warning.
            client.batch_execute("ROLLBACK").await.map_err(said)?;
            return Err(error);
        }
        self.read(session, cluster).await
    }

    /// Those of which the database has less than its owner gave it.
    pub fn above(&self, found: &HashMap<u16, u64>) -> Fences {
        let is_above =
            |(shard, epoch): &(&u16, &u64)| found.get(shard).is_none_or(|found| found < epoch);
        let above = self.0.iter().filter(is_above).map(|(shard, epoch)| (*shard, *epoch));
        Fences(above.collect())
    }

    /// Whether a batch of these is of a former owner.
    pub fn is_former(fences: &[Fence], found: &HashMap<u16, u64>) -> bool {
        let is_later = |fence: &Fence| found.get(&fence.shard).is_some_and(|it| *it > fence.epoch);
        fences.iter().any(is_later)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

fn said(error: tokio_postgres::Error) -> StoreError {
    failure(&error)
}
