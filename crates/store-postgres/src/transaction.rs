//! What one transaction writes.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::join;
use jackdaw_store::{Batch, Op, StoreError};

use crate::fences::{ClusterId, Fences};
use crate::session::{Session, failure};

/// What a statement is given.
type Parameter<'a> = &'a (dyn tokio_postgres::types::ToSql + Sync);

type Key = (&'static str, String, Bytes);

/// What one transaction writes, and by which rights.
#[derive(Default)]
pub(crate) struct Writes {
    /// Rows by key, the last write of each; none removes. Sorted, so that two nodes lock rows in
    /// the same order.
    rows: BTreeMap<Key, Option<Bytes>>,
    fences: Fences,
}

/// Whose commit it is.
#[derive(Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub writer: &'a [u8],
    /// Higher than that of every commit before it.
    pub number: i64,
    pub cluster: Option<ClusterId>,
}

impl Writes {
    /// Adds the writes of a batch that looks at no row. Its fences do not differ from those there.
    pub fn add(&mut self, batch: &Batch) {
        self.fences.add(batch.fences());
        batch.ops().iter().for_each(|op| self.add_op(op));
    }

    fn add_op(&mut self, op: &Op) {
        match op {
            Op::Put { table, account, item, value } => {
                let key = (table.name(), account.as_str().to_owned(), item.clone());
                self.rows.insert(key, Some(value.clone()));
            }
            Op::Delete { table, account, item } => {
                let key = (table.name(), account.as_str().to_owned(), item.clone());
                self.rows.insert(key, None);
            }
            Op::Clear { table, account } => {
                self.rows.retain(|key, _| key.0 != table.name() || key.1 != account.as_str());
            }
            Op::Require { .. } => {}
        }
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Writes them, as part of a transaction.
    async fn write(&self, session: &Session) -> Result<(), tokio_postgres::Error> {
        let mut puts = [const { Vec::<&[u8]>::new() }; 4];
        let mut deletes = [const { Vec::<&[u8]>::new() }; 3];
        for ((table, account, item), value) in &self.rows {
            let key = [table.as_bytes(), account.as_bytes(), item];
            match value {
                Some(value) => {
                    puts.iter_mut().zip(key).for_each(|(column, field)| column.push(field));
                    puts[3].push(value);
                }
                None => deletes.iter_mut().zip(key).for_each(|(column, field)| column.push(field)),
            }
        }
        let put = async {
            if !puts[0].is_empty() {
                let columns: [Parameter<'_>; 4] = [&puts[0], &puts[1], &puts[2], &puts[3]];
                session.client.execute(&session.put, &columns).await?;
            }
            Ok(())
        };
        let delete = async {
            if !deletes[0].is_empty() {
                let columns: [Parameter<'_>; 3] = [&deletes[0], &deletes[1], &deletes[2]];
                session.client.execute(&session.delete, &columns).await?;
            }
            Ok(())
        };
        let (put, delete) = join!(put, delete);
        put.and(delete)
    }

    /// One transaction in one trip: everything is sent before anything is answered. If a step fails
    /// the database takes the end as a rollback.
    pub async fn commit(&self, session: &Session, origin: Origin<'_>) -> Result<(), StoreError> {
        let of_writer: [Parameter<'_>; 2] = [&origin.writer, &origin.number];
        let (begin, numbered, held, written, end) = join!(
            session.client.batch_execute("BEGIN"),
            session.client.execute(&session.number, &of_writer),
            self.fences.hold(session, origin.cluster),
            self.write(session),
            session.client.batch_execute("COMMIT"),
        );
        let all = begin.and(numbered).and_then(|rows| held.and(written).map(|()| rows));
        let rows = all.and_then(|rows| end.map(|()| rows)).map_err(|error| failure(&error))?;
        known_writer(rows)
    }
}

/// Without its row a commit could take effect twice.
fn known_writer(rows: u64) -> Result<(), StoreError> {
    match rows {
        1 => Ok(()),
        _ => Err(StoreError::Failed("the database lost the row of this writer".into())),
    }
}

/// A batch that looks at rows, in a transaction of its own: what it looked at is what it was when
/// its writes take effect, or the database refuses and it is tried again.
pub(crate) async fn commit_looking(
    session: &Session,
    batch: &Batch,
    origin: Origin<'_>,
) -> Result<(), StoreError> {
    let client = &session.client;
    let mut fences = Fences::default();
    fences.add(batch.fences());
    let result = async {
        client.batch_execute("BEGIN ISOLATION LEVEL SERIALIZABLE").await.map_err(said)?;
        let of_writer: [Parameter<'_>; 2] = [&origin.writer, &origin.number];
        known_writer(client.execute(&session.number, &of_writer).await.map_err(said)?)?;
        fences.hold(session, origin.cluster).await.map_err(said)?;
        check(session, batch).await?;
        let mut writes = Writes::default();
        for op in batch.ops() {
            writes.add_op(op);
            if let Op::Clear { table, account } = op {
                let (table, account) = (table.name().as_bytes(), account.as_str().as_bytes());
                client.execute(&session.clear, &[&table, &account]).await.map_err(said)?;
            }
        }
        writes.write(session).await.map_err(said)?;
        client.batch_execute("COMMIT").await.map_err(said)
    };
    let result = result.await;
    if result.is_err() {
        // After a failed COMMIT there is no transaction, and this is a warning.
        client.batch_execute("ROLLBACK").await.map_err(said)?;
    }
    result
}

async fn check(session: &Session, batch: &Batch) -> Result<(), StoreError> {
    for op in batch.ops() {
        let Op::Require { table, account, item, value } = op else { continue };
        let (table, account) = (table.name().as_bytes(), account.as_str().as_bytes());
        let key: [Parameter<'_>; 3] = [&table, &account, &&item[..]];
        let row = session.client.query_opt(&session.get, &key).await.map_err(said)?;
        let found: Option<&[u8]> = row.as_ref().map(|row| row.get(0));
        if found != value.as_deref() {
            return Err(StoreError::Conflict);
        }
    }
    Ok(())
}

fn said(error: tokio_postgres::Error) -> StoreError {
    failure(&error)
}
