//! The disk is the enemy: it fills up, fails to sync, loses what was not synced, takes its time,
//! and changes what it holds. Each test is about a real server process and what its clients were
//! told (T06 to T10 of the catalogue in docs/proof.md).
//!
//! The disk is a file system of ours ([`hostile`]), mounted where the store is; that needs
//! `/dev/fuse`.

mod hostile;
mod image;
mod stage;

mod damage;
mod engine;
mod failing;
mod full;
mod offline;
mod power;
mod slow;
mod startup;

use std::path::Path;
use std::time::Instant;

use crate::error::Result;
use crate::server::Launch;
use crate::suite::Tally;

/// A test: its name, what it shows, whether it needs a disk of ours, and itself.
struct Test {
    name: &'static str,
    shows: &'static str,
    mounts: bool,
    run: fn(&Launch) -> Result<()>,
}

/// Those that run only where they are named.
const ON_REQUEST: &[Test] = &[
    Test {
        name: "startup-whole",
        shows: "the same with 100,000 accounts and 1,000,000 messages",
        mounts: false,
        run: startup::run_whole,
    },
    Test {
        name: "offline",
        shows: "what a durable offline message costs",
        mounts: false,
        run: offline::run,
    },
];

const TESTS: &[Test] = &[
    Test {
        name: "full",
        shows: "a full disk refuses by name, serves what it has, and recovers without a restart",
        mounts: true,
        run: full::run,
    },
    Test {
        name: "failing-sync",
        shows: "after a failed sync nothing is acknowledged any more, and nothing that was is lost",
        mounts: true,
        run: failing::run,
    },
    Test {
        name: "power",
        shows: "what was acknowledged survives the loss of every page and name that was not synced",
        mounts: true,
        run: power::run,
    },
    Test {
        name: "engine-full",
        shows: "the engine survives a disk that is full at any moment",
        mounts: true,
        run: engine::fill_up,
    },
    Test {
        name: "engine-power",
        shows: "the engine survives power cuts in the middle of flushes and compactions",
        mounts: true,
        run: engine::lose_power,
    },
    Test {
        name: "slow",
        shows: "a slow disk delays acknowledgements and nothing else",
        mounts: true,
        run: slow::run,
    },
    Test {
        name: "damage",
        shows: "a changed or cut file is named, or changes nothing",
        mounts: false,
        run: damage::run,
    },
    Test {
        name: "startup",
        shows: "a large store that was killed serves again at once",
        mounts: false,
        run: startup::run,
    },
];

/// Runs the tests of these names, or all.
pub fn run_disk(launch: &Launch, names: &[&str]) -> Result<Tally> {
    let mut tally = Tally::default();
    let has_fuse = Path::new("/dev/fuse").exists();
    let asked = |test: &&Test| names.contains(&test.name);
    let usual = TESTS.iter().filter(|test| names.is_empty() || asked(test));
    for test in usual.chain(ON_REQUEST.iter().filter(asked)) {
        if test.mounts && !has_fuse {
            println!("SKIPPED         {}: there is no /dev/fuse here", test.name);
            continue;
        }
        let began = Instant::now();
        let result = (test.run)(launch);
        let seconds = began.elapsed().as_secs_f32();
        tally.count(result.is_ok());
        match result {
            Ok(()) => println!("ok     {seconds:5.2} s  {}: {}", test.name, test.shows),
            Err(error) => println!("FAILED {seconds:5.2} s  {}\n    {error}", test.name),
        }
    }
    Ok(tally)
}
