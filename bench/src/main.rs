//! The binary `jackdaw-bench`: what the release server costs, beside a raw relay.
//!
//! Server and clients have a core each. Every row of the table is a subject and what it is compared
//! with, measured in turns; see `bench/README.md`.

#![forbid(unsafe_code)]

mod options;
mod probe;
mod process;
mod relay;
mod report;
mod row;
mod rows;
mod server;
mod spread;

use std::process::ExitCode;

use clap::Parser as _;

use crate::options::Options;

/// What stops a run: there is nobody to handle it but the one who reads it.
type Failure = Box<dyn std::error::Error>;

/// With a [`Failure`].
type Result<T> = std::result::Result<T, Failure>;

/// The first argument of the process that is the raw relay.
const RELAY: &str = "raw-relay";

/// The first argument of the process that is the storage engine alone.
const COMMIT: &str = "storage-engine";

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some(RELAY) => exit(relay::serve()),
        Some(COMMIT) => exit(probe::commit_for_figure()),
        _ => exit(run(&Options::parse())),
    }
}

fn exit(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("jackdaw-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let wanted = rows::chosen(&options.rows)?;
    if options.list {
        wanted.iter().for_each(|row| println!("{:24} {}", row.name, row.what));
        return Ok(());
    }
    process::take_core(process::CLIENT_CORE)?;
    let _session = process::Session::raise();
    let mut report = report::Report::new(options);
    for row in wanted {
        eprintln!("{}: {}", row.name, row.what);
        report.add(row::measure(&row, options)?);
    }
    report.finish(options)
}
