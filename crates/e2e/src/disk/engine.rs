//! The engine alone on a hostile disk, with segments so small that the log turns, memtables are
//! flushed and tables compacted all the time: what takes the server an hour takes it a second.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jackdaw_jid::BareJid;
use jackdaw_store::conformance::wait;
use jackdaw_store::{Batch, Durability, Engine, ItemRange, StoreError, Table};
use jackdaw_store_fjall::{FjallEngine, Options};

use super::hostile::HostileDisk;
use super::image::Survivors;
use crate::error::{Error, Result};
use crate::server::Launch;

const TABLE: Table = Table::new("spool");

/// Size of a segment, and of a row: a few dozen rows turn the log.
const SEGMENT: u64 = 64 << 10;
const ROW: usize = 2_000;

/// Power cuts, and rows committed before each.
const ROUNDS: u64 = 24;
const ROWS: u64 = 40;

/// Room of the disk that fills up, and of the one after that.
const SMALL: u64 = 1 << 20;
const LARGE: u64 = 64 << 20;

/// How long the store may take to notice.
const PATIENCE: Duration = Duration::from_secs(15);

/// The disk fills up under the log, under a flush and under a compaction: nobody is told in advance
/// how much is free.
pub fn fill_up(_: &Launch) -> Result<()> {
    let (disk, folder) = (HostileDisk::new(SMALL), folder()?);
    let mounted = disk.mount(folder.path()).map_err(Error::io("mounting a disk"))?;
    let engine = open(folder.path())?;
    let mut kept = 0;
    let refused = loop {
        match put(&engine, kept) {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
        if kept * ROW as u64 > 2 * SMALL {
            return Err(Error::unexpected("more was stored than there is room for"));
        }
    };
    expect("the refusal", refused, StoreError::Full)?;
    if numbers(&engine)? != (0..kept).collect::<Vec<_>>() {
        return Err(Error::unexpected("what was stored cannot be read while the disk is full"));
    }
    let mut batch = Batch::new();
    batch.delete(TABLE, &account(), &0u64.to_be_bytes());
    wait(engine.commit(batch, Durability::Durable)).map_err(unexpected("a removal"))?;
    disk.set_capacity(LARGE);
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = put(&engine, kept) {
        expect("a refusal", error, StoreError::Full)?;
        if Instant::now() > deadline {
            return Err(Error::unexpected("there is room again, and the store refuses"));
        }
        std::thread::yield_now();
    }
    // Enough to flush and compact what could not be before.
    for number in kept + 1..kept * 2 {
        put(&engine, number).map_err(unexpected("a row"))?;
    }
    let expected: Vec<u64> = (1..kept * 2).collect();
    engine.close();
    drop(engine);
    drop(mounted);
    disk.switch_on(Survivors::None);
    let _mounted = disk.mount(folder.path()).map_err(Error::io("mounting a disk"))?;
    match numbers(&open(folder.path())?)? == expected {
        true => Ok(()),
        false => Err(Error::unexpected("a row is missing after the disk was full")),
    }
}

/// Power fails again and again, wherever the store happens to be.
pub fn lose_power(_: &Launch) -> Result<()> {
    let (disk, folder) = (HostileDisk::new(LARGE), folder()?);
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let mounted = disk.mount(folder.path()).map_err(Error::io("mounting a disk"))?;
        let engine = open(folder.path())?;
        let found = numbers(&engine)?;
        let lost: Vec<u64> = (0..acknowledged).filter(|n| !found.contains(n)).take(3).collect();
        if !lost.is_empty() {
            return Err(Error::unexpected(format!("round {round}: {lost:?} and more are lost")));
        }
        if found.len() as u64 > acknowledged + 1 {
            return Err(Error::unexpected(format!("round {round}: rows nobody wrote")));
        }
        acknowledged = found.len() as u64;
        // Somewhere in the middle: by then the upkeep has work of its own.
        let off = disk.clone();
        let moment = Duration::from_millis(3 + round * 17 % 90);
        let cut = std::thread::spawn(move || {
            std::thread::sleep(moment);
            off.switch_off();
        });
        for _ in 0..ROWS * 20 {
            match put(&engine, acknowledged) {
                Ok(()) => acknowledged += 1,
                Err(_) => break,
            }
        }
        cut.join().map_err(|_| Error::unexpected("a thread panicked"))?;
        engine.close();
        drop(engine);
        drop(mounted);
        let survivors = if round % 3 == 0 { Survivors::None } else { Survivors::Some(round) };
        disk.switch_on(survivors);
    }
    Ok(())
}

fn folder() -> Result<tempfile::TempDir> {
    tempfile::tempdir().map_err(Error::io("making a mount point"))
}

fn open(path: &Path) -> Result<FjallEngine> {
    let free_bytes = Arc::new(|_: &Path| Ok(u64::MAX));
    let options = Options { segment_bytes: SEGMENT, free_bytes, ..Options::new(path) };
    FjallEngine::open(&options).map_err(unexpected("opening"))
}

fn account() -> BareJid {
    BareJid::parse("juliet@localhost").expect("an address")
}

/// What row `number` holds: nothing that can be compressed, else a full disk takes long to fill.
fn value(number: u64) -> Vec<u8> {
    let mut state = number + 1;
    let byte = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..ROW).map(byte).collect()
}

fn put(engine: &FjallEngine, number: u64) -> std::result::Result<(), StoreError> {
    let mut batch = Batch::new();
    batch.put(TABLE, &account(), &number.to_be_bytes(), value(number));
    wait(engine.commit(batch, Durability::Durable))
}

/// The numbers of all rows; each has to hold what was written under it.
fn numbers(engine: &FjallEngine) -> Result<Vec<u64>> {
    let rows = wait(engine.list(TABLE, &account(), ItemRange::first(usize::MAX)));
    let number = |row: jackdaw_store::Row| {
        let number = row.item.as_ref().try_into().map(u64::from_be_bytes).unwrap_or(u64::MAX);
        match *row.value == *value(number) {
            true => Ok(number),
            false => Err(Error::unexpected(format!("row {number} is not what was written"))),
        }
    };
    rows.map_err(unexpected("reading"))?.into_iter().map(number).collect()
}

fn expect(what: &str, found: StoreError, expected: StoreError) -> Result<()> {
    match found == expected {
        true => Ok(()),
        false => Err(Error::unexpected(format!("{what} is `{found}`, not `{expected}`"))),
    }
}

fn unexpected(doing: &'static str) -> impl Fn(StoreError) -> Error {
    move |error| Error::unexpected(format!("{doing}: {error}"))
}
