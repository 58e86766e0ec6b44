//! A server with a large store is killed, and answers again at once.

use std::time::Duration;

use bytes::Bytes;
use jackdaw_jid::BareJid;
use jackdaw_store::conformance::wait;
use jackdaw_store::{Batch, Durability, Engine, ItemRange, Table};
use jackdaw_store_fjall::{FjallEngine, Options};

use super::stage::{Play, collect, message, settle};
use crate::error::{Error, Result};
use crate::server::Launch;

/// Messages of each account.
const MESSAGES_EACH: u64 = 10;

/// Accounts of the test in the gate; the whole size has ten times as many. What a start reads is
/// bounded by the log, so the difference is small, but filling the store is not.
const ACCOUNTS: usize = 10_000;

/// Accounts of `startup-whole`: with their messages they are those of the target.
const ACCOUNTS_WHOLE: usize = 100_000;

/// Kills; the middle start counts.
const KILLS: usize = 5;

/// The target for an idle machine.
const TARGET: Duration = Duration::from_millis(300);

/// Where the gate fails: its machine does other things as well.
const BOUND: Duration = Duration::from_millis(1_000);

/// Rows in one commit.
const BATCH: usize = 1_000;

const SPOOL: Table = Table::new("spool");

/// Tables whose rows every account has.
const ACCOUNT_TABLES: [Table; 1] = [Table::new("account")];

/// See [`super::TESTS`].
pub fn run(launch: &Launch) -> Result<()> {
    measure(launch, ACCOUNTS)
}

/// The same at full size.
pub fn run_whole(launch: &Launch) -> Result<()> {
    measure(launch, ACCOUNTS_WHOLE)
}

fn measure(launch: &Launch, accounts: usize) -> Result<()> {
    let mut play = Play::begin_on_disk(launch)?;
    {
        let mut romeo = play.enter("romeo")?;
        romeo.send(&message("juliet", "model"))?;
        settle(&mut romeo)?;
    }
    play.server.stop()?;
    let store = play.server.folder().join("data/store");
    fill(&store, accounts, MESSAGES_EACH).map_err(unfilled)?;
    play.server.start()?;
    let mut starts = Vec::new();
    for n in 0..KILLS {
        // Something to be found in the log by each start.
        let mut romeo = play.enter("romeo")?;
        romeo.send(&message("juliet", &format!("kill-{n}")))?;
        settle(&mut romeo)?;
        play.server.kill()?;
        starts.push(play.server.start_to_first_answer()?);
    }
    starts.sort_unstable();
    let middle = starts[KILLS / 2];
    println!(
        "       {accounts} accounts, {} messages: first answer after {starts:.0?}, target {TARGET:?}",
        accounts as u64 * MESSAGES_EACH
    );
    let arrived = collect(&play, "juliet", KILLS + 1)?;
    match (middle <= BOUND, arrived.len() == KILLS + 1) {
        (true, true) => Ok(()),
        (false, _) => Err(Error::unexpected(format!("the middle start took {middle:?}"))),
        (true, false) => Err(Error::unexpected(format!("juliet has {arrived:?}"))),
    }
}

/// Makes so many accounts, `extra-0` and so on, with romeo's password.
pub fn fill_accounts(store: &std::path::Path, accounts: usize) -> Result<()> {
    fill(store, accounts, 0).map_err(unfilled)
}

fn unfilled(error: jackdaw_store::StoreError) -> Error {
    Error::Server(format!("filling: {error}"))
}

/// Gives many accounts what romeo's has, and messages like juliet's.
fn fill(
    path: &std::path::Path,
    accounts: usize,
    messages: u64,
) -> std::result::Result<(), jackdaw_store::StoreError> {
    let engine = FjallEngine::open(&Options::new(path))?;
    let account = |name: &str| BareJid::parse(name).expect("an address");
    let (romeo, juliet) = (account("romeo@localhost"), account("juliet@localhost"));
    let mut models = Vec::new();
    for table in ACCOUNT_TABLES {
        let rows = wait(engine.list(table, &romeo, ItemRange::first(BATCH)))?;
        models.extend(rows.into_iter().map(|row| (table, row.item, row.value)));
    }
    let spool = wait(engine.list(SPOOL, &juliet, ItemRange::first(1)))?;
    let value = spool.first().map(|row| row.value.clone()).unwrap_or_else(Bytes::new);
    let mut batch = Batch::new();
    for n in 0..accounts {
        let of = account(&format!("extra-{n}@localhost"));
        for (table, item, value) in &models {
            batch.put(*table, &of, item, value.clone());
        }
        for position in 0..messages {
            batch.put(SPOOL, &of, &position.to_be_bytes(), value.clone());
        }
        if batch.ops().len() >= BATCH {
            wait(engine.commit(std::mem::take(&mut batch), Durability::Fast))?;
        }
    }
    wait(engine.commit(batch, Durability::Durable))?;
    engine.close();
    Ok(())
}
