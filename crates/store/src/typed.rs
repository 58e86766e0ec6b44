//! Typed access by shape.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use jackdaw_jid::BareJid;
use parking_lot::Mutex;

use crate::{Batch, Durability, Engine, ItemRange, StoreError, Table, Value};

/// Rows read at once when a whole account is listed.
const PAGE: usize = 256;

/// The store of a node, by shape. Cheap to clone.
#[derive(Clone)]
pub struct Stores {
    engine: Arc<dyn Engine>,
    durability: Durability,
}

impl Stores {
    /// The stores of this engine; `durability` is that of ordinary writes (`storage.ack`).
    pub fn new(engine: Arc<dyn Engine>, durability: Durability) -> Stores {
        Stores { engine, durability }
    }

    /// The engine, for what has no type: batches over several tables.
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    /// Stores of the same durability over another engine: one that stands before this one.
    #[must_use]
    pub fn over(&self, engine: Arc<dyn Engine>) -> Stores {
        Stores { engine, durability: self.durability }
    }

    /// The durability that the operator chose.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// Commits a batch with the chosen durability.
    pub async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.engine.commit(batch, self.durability).await
    }

    /// One value per account.
    pub fn key_value<V: Value>(&self, table: Table) -> KeyValue<V> {
        KeyValue { stores: self.clone(), table, kind: PhantomData }
    }

    /// Values by account and key.
    pub fn map<V: Value>(&self, table: Table) -> Map<V> {
        Map { stores: self.clone(), table, kind: PhantomData }
    }
}

/// One value per account.
pub struct KeyValue<V> {
    stores: Stores,
    table: Table,
    kind: PhantomData<fn() -> V>,
}

/// The only item of an account in a key-value table.
const ONLY: &[u8] = b"";

impl<V> Clone for KeyValue<V> {
    fn clone(&self) -> Self {
        KeyValue { stores: self.stores.clone(), table: self.table, kind: PhantomData }
    }
}

impl<V: Value> KeyValue<V> {
    /// The account's value.
    pub async fn get(&self, account: &BareJid) -> Result<Option<V>, StoreError> {
        let row = self.stores.engine.get(self.table, account, ONLY).await?;
        row.map(|row| V::decode(&row)).transpose()
    }

    /// Sets the account's value.
    pub async fn put(&self, account: &BareJid, value: &V) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.put(self.table, account, ONLY, value.encode());
        self.stores.commit(batch).await
    }

    /// Removes the account's value.
    pub async fn delete(&self, account: &BareJid) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.clear(self.table, account);
        self.stores.commit(batch).await
    }
}

/// Values by account and key.
pub struct Map<V> {
    stores: Stores,
    table: Table,
    kind: PhantomData<fn() -> V>,
}

impl<V> Clone for Map<V> {
    fn clone(&self) -> Self {
        Map { stores: self.stores.clone(), table: self.table, kind: PhantomData }
    }
}

impl<V: Value> Map<V> {
    /// One value.
    pub async fn get(&self, account: &BareJid, key: &[u8]) -> Result<Option<V>, StoreError> {
        let row = self.stores.engine.get(self.table, account, key).await?;
        row.map(|row| V::decode(&row)).transpose()
    }

    /// Sets one value.
    pub async fn put(&self, account: &BareJid, key: &[u8], value: &V) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.put(self.table, account, key, value.encode());
        self.stores.commit(batch).await
    }

    /// Removes one value.
    pub async fn delete(&self, account: &BareJid, key: &[u8]) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.delete(self.table, account, key);
        self.stores.commit(batch).await
    }

    /// Removes everything of the account.
    pub async fn clear(&self, account: &BareJid) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.clear(self.table, account);
        self.stores.commit(batch).await
    }

    /// Every key and value of the account, at most `limit`, in the order of the keys.
    pub async fn list(
        &self,
        account: &BareJid,
        limit: usize,
    ) -> Result<Vec<(bytes::Bytes, V)>, StoreError> {
        let mut all = Vec::new();
        while all.len() < limit {
            let page = PAGE.min(limit - all.len());
            let range = match all.last() {
                None => ItemRange::first(page),
                Some((key, _)) => ItemRange::after(key, page),
            };
            let rows = self.stores.engine.list(self.table, account, range).await?;
            let is_last = rows.len() < page;
            for row in rows {
                let value = V::decode(&row.value)?;
                all.push((row.item, value));
            }
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    /// The table, for batches over several.
    pub fn table(&self) -> Table {
        self.table
    }
}

/// Where a commit's outcome waits for its future.
#[derive(Default)]
struct Slot {
    result: Option<Result<(), StoreError>>,
    waker: Option<Waker>,
}

pub(crate) struct Sender(Arc<Mutex<Slot>>);

pub(crate) struct Receiver(Arc<Mutex<Slot>>);

pub(crate) fn outcome() -> (Sender, Receiver) {
    let slot = Arc::new(Mutex::new(Slot::default()));
    (Sender(Arc::clone(&slot)), Receiver(slot))
}

impl Sender {
    pub(crate) fn send(self, result: Result<(), StoreError>) {
        let mut slot = self.0.lock();
        slot.result = Some(result);
        let waker = slot.waker.take();
        drop(slot);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Future for Receiver {
    type Output = Result<(), StoreError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = self.0.lock();
        match slot.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
