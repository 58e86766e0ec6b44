//! Tables, and how they come to be: by themselves, also when two nodes start at once.

use jackdaw_store::StoreError;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::{About, ClusterId, OpenError, Place};

/// Made first, and again by everybody: who comes second finds it.
const MIGRATIONS: &str = "CREATE TABLE IF NOT EXISTS jackdaw_migrations (
    version BIGINT PRIMARY KEY
)";

/// What each version adds. Appended to, never changed.
///
/// Names are bytes, not text: they are compared byte by byte whatever collation the database has.
/// `jackdaw_writers` has the number of the last commit of every engine that was opened.
/// `jackdaw_cluster` has at most one row: the cluster whose rows these are. `jackdaw_fences` has
/// the epoch of each shard's owner.
const STEPS: &[&str] = &[
    "CREATE TABLE jackdaw_rows (
        tab BYTEA NOT NULL,
        account BYTEA NOT NULL,
        item BYTEA NOT NULL,
        value BYTEA NOT NULL,
        PRIMARY KEY (tab, account, item)
    );
    CREATE TABLE jackdaw_writers (
        writer BYTEA PRIMARY KEY,
        committed BIGINT NOT NULL
    )",
    "CREATE TABLE jackdaw_cluster (
        one BIGINT PRIMARY KEY,
        cluster BYTEA NOT NULL
    );
    CREATE TABLE jackdaw_fences (
        cluster BYTEA NOT NULL,
        shard BIGINT NOT NULL,
        epoch BIGINT NOT NULL,
        PRIMARY KEY (cluster, shard)
    )",
];

/// How often a step is tried that another node does at the same moment.
const ATTEMPTS: usize = 20;

/// Brings the database to this version.
pub(crate) async fn migrate(client: &Client, place: &Place) -> Result<(), OpenError> {
    let said = |error: &tokio_postgres::Error| OpenError::new(place, error);
    again(client, place, MIGRATIONS).await?;
    let known = STEPS.len() as i64;
    let row = client
        .query_one("SELECT COALESCE(MAX(version), 0)::BIGINT FROM jackdaw_migrations", &[])
        .await
        .map_err(|error| said(&error))?;
    let found: i64 = row.get(0);
    if found > known {
        let error = StoreError::Version { found: found as u32, known: known as u32 };
        return Err(OpenError::Store { place: place.clone(), error });
    }
    for (version, step) in (1i64..).zip(STEPS).skip(found as usize) {
        // The other node's row of this version is waited for, and then in the way.
        let all = format!(
            "BEGIN; INSERT INTO jackdaw_migrations (version) VALUES ({version}); {step}; COMMIT"
        );
        again(client, place, &all).await?;
    }
    Ok(())
}

/// Runs it until it is done, or found done by another node.
async fn again(client: &Client, place: &Place, sql: &str) -> Result<(), OpenError> {
    let said = |error: &tokio_postgres::Error| OpenError::new(place, error);
    for _ in 0..ATTEMPTS {
        let Err(error) = client.batch_execute(sql).await else { return Ok(()) };
        // Ends the transaction that failed; without one it is a warning.
        client.batch_execute("ROLLBACK").await.map_err(|error| said(&error))?;
        let code = error.code();
        // A table's row type has a name as well, and two nodes can collide on that.
        let is_done =
            [SqlState::UNIQUE_VIOLATION, SqlState::DUPLICATE_TABLE, SqlState::DUPLICATE_OBJECT];
        if code.is_some_and(|code| is_done.contains(code)) {
            return Ok(());
        }
        if code != Some(&SqlState::T_R_SERIALIZATION_FAILURE) {
            return Err(said(&error));
        }
    }
    Err(OpenError::Store { place: place.clone(), error: StoreError::Busy })
}

/// Settings without which a database acknowledges what it has not written.
const DURABLE: [&str; 2] = ["fsync", "synchronous_commit"];

/// Looks at the database, and refuses one that takes no writes or forgets them.
pub(crate) async fn examine(client: &Client, place: &Place) -> Result<About, OpenError> {
    let show = async |setting: &str| {
        let row = client.query_one(&format!("SHOW {setting}"), &[]).await;
        row.map(|row| row.get::<_, String>(0)).map_err(|error| OpenError::new(place, &error))
    };
    let place = place.clone();
    if show("transaction_read_only").await? == "on" {
        return Err(OpenError::ReadOnly { place });
    }
    for setting in DURABLE {
        if show(setting).await? == "off" {
            return Err(OpenError::NotDurable { place, setting });
        }
    }
    let version = show("server_version").await?;
    Ok(About { version, place, synchronous_commit: show("synchronous_commit").await? })
}

/// Sees to it that the rows are this cluster's: those of an empty database become so.
pub(crate) async fn belong(
    client: &Client,
    place: &Place,
    cluster: Option<&ClusterId>,
) -> Result<(), OpenError> {
    let said = |error: tokio_postgres::Error| OpenError::new(place, &error);
    if let Some(cluster) = cluster {
        let join = "INSERT INTO jackdaw_cluster (one, cluster) SELECT 1, $1 \
                    WHERE NOT EXISTS (SELECT 1 FROM jackdaw_rows) \
                    ON CONFLICT (one) DO NOTHING";
        client.execute(join, &[&&cluster[..]]).await.map_err(said)?;
    }
    let row = client.query_opt("SELECT cluster FROM jackdaw_cluster WHERE one = 1", &[]).await;
    let row = row.map_err(said)?;
    let found: Option<&[u8]> = row.as_ref().map(|row| row.get(0));
    if found == cluster.map(|cluster| &cluster[..]) {
        return Ok(());
    }
    let hex = |name: &[u8]| name.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let owner =
        found.map_or("a node that was alone".into(), |name| format!("cluster {}", hex(name)));
    Err(OpenError::OtherCluster { place: place.clone(), owner })
}

/// Gives the rows to this cluster. What other clusters have on its way is waited for, and nothing
/// of theirs takes effect afterwards: the fences it would need are gone.
pub(crate) async fn adopt(
    client: &mut Client,
    place: &Place,
    cluster: &ClusterId,
) -> Result<(), OpenError> {
    let cluster = &cluster[..];
    let adopted = async {
        let transaction = client.transaction().await?;
        let take = "INSERT INTO jackdaw_cluster (one, cluster) VALUES (1, $1) \
                    ON CONFLICT (one) DO UPDATE SET cluster = excluded.cluster";
        transaction.execute(take, &[&cluster]).await?;
        transaction.execute("DELETE FROM jackdaw_fences WHERE cluster <> $1", &[&cluster]).await?;
        transaction.commit().await
    };
    adopted.await.map_err(|error: tokio_postgres::Error| OpenError::new(place, &error))
}
