//! What the engine does at its best: durable batches of many rows, one after the other.
//!
//! `cargo run --release -p jackdaw-store-fjall --example batched [DIRECTORY]`

#![allow(clippy::disallowed_methods, reason = "this measures time")]

use std::path::PathBuf;
use std::time::Instant;

use jackdaw_jid::BareJid;
use jackdaw_store::conformance::wait;
use jackdaw_store::{Batch, Durability, Engine, ItemRange, Table};
use jackdaw_store_fjall::{FjallEngine, Options};

const TABLE: Table = Table::new("spool");

/// Rows of a batch, batches, and bytes of a row: those of an offline message.
const ROWS: u64 = 1_000;
const BATCHES: u64 = 300;
const BYTES: usize = 300;

/// Accounts the rows are spread over.
const ACCOUNTS: u64 = 500;

fn main() {
    let directory = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = directory.join(format!("jackdaw-batched-{}", std::process::id()));
    let engine = FjallEngine::open(&Options::new(&directory)).expect("opens");
    let account = |n: u64| BareJid::parse(&format!("user{n}@localhost")).expect("an address");
    let accounts: Vec<BareJid> = (0..ACCOUNTS).map(account).collect();
    let began = (Instant::now(), cpu_seconds());
    for nth in 0..BATCHES {
        let mut batch = Batch::new();
        for row in nth * ROWS..(nth + 1) * ROWS {
            let of = &accounts[(row % ACCOUNTS) as usize];
            batch.put(TABLE, of, &row.to_be_bytes(), vec![b'x'; BYTES]);
        }
        wait(engine.commit(batch, Durability::Durable)).expect("committed");
    }
    report("written", began);
    let began = (Instant::now(), cpu_seconds());
    let mut found = 0;
    for account in &accounts {
        let rows = wait(engine.list(TABLE, account, ItemRange::first(usize::MAX)));
        found += rows.expect("listed").len() as u64;
    }
    assert_eq!(found, ROWS * BATCHES);
    report("read", began);
    println!("{:?}", engine.stats());
    engine.close();
    drop(engine);
    if let Err(error) = std::fs::remove_dir_all(&directory) {
        eprintln!("{}: {error}", directory.display());
    }
}

fn report(what: &str, (began, cpu): (Instant, f64)) {
    let rows = (ROWS * BATCHES) as f64;
    let (wall, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    println!("{what}: {:.0} rows/s, {:.2} us CPU each", rows / wall, cpu / rows * 1e6);
}

/// CPU time of this process so far.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    // utime and stime, in hundredths of a second.
    (ticks(12).unwrap_or(0.0) + ticks(13).unwrap_or(0.0)) / 100.0
}
