//! What the storage engine alone can do: rows of a message's size, in large durable batches.

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use jackdaw_jid::BareJid;
use jackdaw_store::conformance::wait;
use jackdaw_store::{Batch, Durability, Engine as _, Table};
use jackdaw_store_fjall as fjall;

use super::Probe;
use crate::process::{self, now};
use crate::{COMMIT, Result};

/// Rows of one batch.
const BATCH: u64 = 256;

/// Batches under way: one is written while the next ones are made.
const AT_ONCE: u64 = 4;

/// Bytes of a row: a message with a body of 100 bytes as the spool keeps it.
const ROW: usize = 300;

/// Accounts the rows belong to.
const ACCOUNTS: u64 = 100;

const TABLE: Table = Table::new("figure");

/// The engine in a process of its own, on the core of the server.
pub struct StorageFigure {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl StorageFigure {
    /// An engine on an empty directory.
    pub fn start() -> Result<StorageFigure> {
        let program = std::env::current_exe()?;
        let mut command = process::on_core(process::SERVER_CORE, Path::new(&program));
        let piped = command.arg(COMMIT).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn()?;
        let input = child.stdin.take().ok_or("no input")?;
        let output = BufReader::new(child.stdout.take().ok_or("no output")?);
        Ok(StorageFigure { child, input, output })
    }
}

impl Probe for StorageFigure {
    /// Rows committed in a second.
    fn measure(&mut self, duration: Duration) -> Result<Vec<f64>> {
        writeln!(self.input, "{}", duration.as_secs_f64())?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(vec![line.trim().parse()?])
    }
}

impl Drop for StorageFigure {
    fn drop(&mut self) {
        process::stop(&mut self.child);
    }
}

/// For every line with seconds: commits for as long, and says how many rows that was a second.
pub fn serve() -> Result<()> {
    let folder = tempfile::Builder::new().prefix("jackdaw-bench-").tempdir()?;
    let engine = fjall::FjallEngine::open(&fjall::Options::new(folder.path()))?;
    let mut row = 0;
    for line in std::io::stdin().lock().lines() {
        let duration = Duration::from_secs_f64(line?.parse()?);
        let (began, first) = (now(), row);
        while began.elapsed() < duration {
            let batches: Vec<Batch> =
                (0..AT_ONCE).map(|_| batch(&mut row)).collect::<Result<_>>()?;
            let commits =
                batches.into_iter().map(|batch| engine.commit(batch, Durability::Durable));
            wait(try_join_all(commits))?;
        }
        println!("{}", (row - first) as f64 / began.elapsed().as_secs_f64());
    }
    engine.close();
    Ok(())
}

fn batch(row: &mut u64) -> Result<Batch> {
    let mut batch = Batch::new();
    let value = Bytes::from(vec![b'm'; ROW]);
    let account = format!("u{}@{}", *row / BATCH % ACCOUNTS, crate::server::DOMAIN);
    let account = BareJid::parse(&account).map_err(|error| format!("{error:?}"))?;
    for _ in 0..BATCH {
        batch.put(TABLE, &account, &row.to_be_bytes(), value.clone());
        *row += 1;
    }
    Ok(batch)
}
