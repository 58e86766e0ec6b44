//! Tables, and how they come to be: by themselves, also when two nodes start at once.

use jackdaw_store::StoreError;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::session::failure;

/// Made first, and again by everybody: who comes second finds it.
const MIGRATIONS: &str = "CREATE TABLE IF NOT EXISTS jackdaw_migrations (
    version BIGINT PRIMARY KEY
)";

/// What each version adds. Appended to, never changed.
///
/// Names are bytes, not text: they are compared byte by byte whatever collation the database has.
/// `jackdaw_writers` has the number of the last commit of every engine that was opened.
const STEPS: &[&str] = &["CREATE TABLE jackdaw_rows (
        tab BYTEA NOT NULL,
        account BYTEA NOT NULL,
        item BYTEA NOT NULL,
        value BYTEA NOT NULL,
        PRIMARY KEY (tab, account, item)
    );
    CREATE TABLE jackdaw_writers (
        writer BYTEA PRIMARY KEY,
        committed BIGINT NOT NULL
    )"];

/// How often a step is tried that another node does at the same moment.
const ATTEMPTS: usize = 20;

/// Brings the database to this version.
pub(crate) async fn migrate(client: &Client) -> Result<(), StoreError> {
    again(client, MIGRATIONS).await?;
    let known = STEPS.len() as i64;
    let row = client
        .query_one("SELECT COALESCE(MAX(version), 0)::BIGINT FROM jackdaw_migrations", &[])
        .await
        .map_err(|error| failure(&error))?;
    let found: i64 = row.get(0);
    if found > known {
        return Err(StoreError::Version { found: found as u32, known: known as u32 });
    }
    for (version, step) in (1i64..).zip(STEPS).skip(found as usize) {
        // The other node's row of this version is waited for, and then in the way.
        let all = format!(
            "BEGIN; INSERT INTO jackdaw_migrations (version) VALUES ({version}); {step}; COMMIT"
        );
        again(client, &all).await?;
    }
    Ok(())
}

/// Runs it until it is done, or found done by another node.
async fn again(client: &Client, sql: &str) -> Result<(), StoreError> {
    for _ in 0..ATTEMPTS {
        let Err(error) = client.batch_execute(sql).await else { return Ok(()) };
        // Ends the transaction that failed; without one it is a warning.
        client.batch_execute("ROLLBACK").await.map_err(|error| failure(&error))?;
        let code = error.code();
        // A table's row type has a name as well, and two nodes can collide on that.
        let is_done =
            [SqlState::UNIQUE_VIOLATION, SqlState::DUPLICATE_TABLE, SqlState::DUPLICATE_OBJECT];
        if code.is_some_and(|code| is_done.contains(code)) {
            return Ok(());
        }
        if code != Some(&SqlState::T_R_SERIALIZATION_FAILURE) {
            return Err(failure(&error));
        }
    }
    Err(StoreError::Busy)
}

/// Refuses a database that acknowledges what it has not written.
pub(crate) async fn require_durability(client: &Client) -> Result<(), StoreError> {
    let rows = client
        .query(
            "SELECT name::TEXT FROM pg_settings \
             WHERE name IN ('fsync', 'synchronous_commit') AND setting = 'off'",
            &[],
        )
        .await
        .map_err(|error| failure(&error))?;
    match rows.first() {
        None => Ok(()),
        Some(row) => {
            let name: &str = row.get(0);
            Err(StoreError::Failed(format!("the database has {name} = off")))
        }
    }
}
