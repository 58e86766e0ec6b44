//! One connection, with the statements that are prepared on it.

use std::time::Duration;

use jackdaw_store::StoreError;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::{Client, Connection, NoTls, Socket, Statement};

use crate::options::Target;

/// A connection that is ready.
pub(crate) struct Session {
    pub client: Client,
    pub get: Statement,
    pub list: Statement,
    pub list_below: Statement,
    pub list_last: Statement,
    pub accounts: Statement,
    pub number: Statement,
    pub committed: Statement,
    pub fence: Statement,
    pub owner: Statement,
    pub claim: Statement,
    pub epochs: Statement,
    pub put: Statement,
    pub delete: Statement,
    pub clear: Statement,
}

impl Session {
    /// Connects within `deadline` and the time of the target, and prepares.
    pub async fn open(target: &Target, deadline: Duration) -> Result<Session, StoreError> {
        let opened = tokio::time::timeout(deadline.min(target.timeout), async {
            Session::prepare(connect(target).await?).await
        });
        let opened = opened.await.map_err(|_elapsed| StoreError::Unavailable)?;
        opened.map_err(|error| failure(&error))
    }

    /// Prepares the statements on a connection.
    pub async fn prepare(client: Client) -> Result<Session, tokio_postgres::Error> {
        Ok(Session {
            get: client
                .prepare(
                    "SELECT value FROM jackdaw_rows WHERE tab = $1 AND account = $2 AND item = $3",
                )
                .await?,
            list: client
                .prepare(
                    "SELECT item, value FROM jackdaw_rows WHERE tab = $1 AND account = $2 \
                     AND item >= $3 ORDER BY item LIMIT $4",
                )
                .await?,
            list_below: client
                .prepare(
                    "SELECT item, value FROM jackdaw_rows WHERE tab = $1 AND account = $2 \
                     AND item < $3 ORDER BY item DESC LIMIT $4",
                )
                .await?,
            list_last: client
                .prepare(
                    "SELECT item, value FROM jackdaw_rows WHERE tab = $1 AND account = $2 \
                     ORDER BY item DESC LIMIT $3",
                )
                .await?,
            accounts: client
                .prepare(
                    "SELECT DISTINCT account FROM jackdaw_rows WHERE tab = $1 AND account > $2 \
                     ORDER BY account LIMIT $3",
                )
                .await?,
            // NULL is refused by the column: whoever comes with an old number is rolled back.
            number: client
                .prepare(
                    "UPDATE jackdaw_writers \
                     SET committed = CASE WHEN committed < $2 THEN $2 ELSE NULL END \
                     WHERE writer = $1",
                )
                .await?,
            committed: client
                .prepare("SELECT committed FROM jackdaw_writers WHERE writer = $1")
                .await?,
            // Keeps claims of these shards waiting until the transaction ends; a claim that was
            // first is waited for. Fails (22012) unless every shard has the epoch it should.
            fence: client
                .prepare(
                    "SELECT 1 / CASE WHEN COUNT(*) = $4 THEN 1 ELSE 0 END FROM \
                     (SELECT jackdaw_fences.shard FROM jackdaw_fences \
                      WHERE cluster = $1 AND (shard, epoch) IN \
                      (SELECT * FROM unnest($2::BIGINT[], $3::BIGINT[])) \
                      ORDER BY shard FOR SHARE) AS held",
                )
                .await?,
            owner: client
                .prepare("SELECT cluster FROM jackdaw_cluster WHERE one = 1 FOR SHARE")
                .await?,
            claim: client
                .prepare(
                    "INSERT INTO jackdaw_fences (cluster, shard, epoch) \
                     SELECT $1, claimed.shard, claimed.epoch \
                     FROM unnest($2::BIGINT[], $3::BIGINT[]) AS claimed (shard, epoch) \
                     ORDER BY claimed.shard \
                     ON CONFLICT (cluster, shard) DO UPDATE SET epoch = excluded.epoch \
                     WHERE jackdaw_fences.epoch < excluded.epoch",
                )
                .await?,
            epochs: client
                .prepare(
                    "SELECT shard, epoch FROM jackdaw_fences \
                     WHERE cluster = $1 AND shard IN (SELECT unnest($2::BIGINT[]))",
                )
                .await?,
            put: client
                .prepare(
                    "INSERT INTO jackdaw_rows (tab, account, item, value) \
                     SELECT * FROM unnest($1::BYTEA[], $2::BYTEA[], $3::BYTEA[], $4::BYTEA[]) \
                     ON CONFLICT (tab, account, item) DO UPDATE SET value = excluded.value",
                )
                .await?,
            delete: client
                .prepare(
                    "DELETE FROM jackdaw_rows WHERE (tab, account, item) IN \
                     (SELECT * FROM unnest($1::BYTEA[], $2::BYTEA[], $3::BYTEA[]))",
                )
                .await?,
            clear: client
                .prepare("DELETE FROM jackdaw_rows WHERE tab = $1 AND account = $2")
                .await?,
            client,
        })
    }
}

/// Connects; what the connection has to say is said on its own task.
pub(crate) async fn connect(target: &Target) -> Result<Client, tokio_postgres::Error> {
    match target.connector.clone() {
        Some(connector) => {
            let (client, connection) = target.config.connect(connector).await?;
            drive(connection);
            Ok(client)
        }
        None => {
            let (client, connection) = target.config.connect(NoTls).await?;
            drive(connection);
            Ok(client)
        }
    }
}

fn drive<T>(connection: Connection<Socket, T>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::warn!(%error, "a connection to the database ended");
        }
    });
}

/// What the statement that holds the fences says where one is not as it should be.
const FENCED: &str = "22012";

/// A database that says nothing is away; what it says is its own.
pub(crate) fn failure(error: &tokio_postgres::Error) -> StoreError {
    match error.as_db_error() {
        None => StoreError::Unavailable,
        Some(said) => match said.code().code() {
            // Shutting down, starting, out of connections.
            "57P01" | "57P02" | "57P03" | "53300" => StoreError::Unavailable,
            // A standby, whose primary may be elsewhere by now.
            "25006" => StoreError::Unavailable,
            "53100" => StoreError::Full,
            FENCED => StoreError::Fenced,
            // Another transaction was first, also as a deadlock.
            "40001" | "40P01" => StoreError::Busy,
            code => StoreError::Failed(format!("{}: {}", code, said.message())),
        },
    }
}
