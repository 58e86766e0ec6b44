//! The project's own tooling: `cargo xtask ci` is the whole gate, each step is a command too.
//!
//! Reads the workspace, runs cargo, the server's binary and the third-party clients.
//! Nothing here is part of the server.
//!
//! Does not: write into the work tree, except in `fix` and `gen`.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "the gate tells how long each of its steps took")]

mod advisories;
mod ci;
mod clients;
mod error;
mod faults;
mod fuzz;
mod generate;
mod layers;
mod licences;
mod metadata;
mod process;
mod tidy;
mod toolchain;
mod workspace;

use std::process::ExitCode;

use error::{Error, Result};
use workspace::Workspace;

const USAGE: &str = "\
cargo xtask <command>

  ci                 the whole gate, as in CI: every step below, writes nothing
  fix                what writes: formatting, clippy's own fixes, generated documents

  fmt, clippy, doc   formatting, lints and documentation, warnings are errors
  test               unit, property and machine tests of the whole workspace
  layers             crates use strictly lower layers only
  tidy               the house rules that no compiler knows
  deny               licences, banned and duplicate crates
  advisories         known vulnerabilities in Cargo.lock
  gen [--check]      docs/xeps.md, docs/configuration.md, docs/doap.xml, the layers
  e2e [--driver epoll|io_uring] [--store fjall|postgres] [SCRIPT…]
                     end-to-end scripts against the release binary
  fuzz [TARGET…] [--seconds N|--hours N]
                     the fuzz targets, all of them or those named, for so long in all
  disk [TEST…]       the release binary on disks that fill up, fail, forget or change what they hold
  ledger [--driver epoll|io_uring] [--kills N] [--seed S] [--tolerate PROPERTY]
                     kills the release binary under load; what it acknowledged has to be there
  crash-points [--rounds N] [--seed S] [--tolerate PROPERTY]
                     the same; the process aborts at every crash point of `jackdaw-faults`
  seeded-bugs [--tolerate PROPERTY]
                     the same with mistakes built in, each of which has to be found
  clients [--driver epoll|io_uring] [CLIENT…]
                     third-party clients against the release binary
  hostile [--driver epoll|io_uring] [--seed N] [--minutes N] [ACT…]
                     bad inputs and floods beside healthy clients
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match Workspace::open().and_then(|workspace| command(&workspace, &arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn command(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    match arguments {
        ["ci"] => ci::run(workspace),
        ["fix"] => ci::fix(workspace),
        ["fmt"] => ci::fmt(workspace),
        ["clippy"] => ci::clippy(workspace),
        ["doc"] => ci::doc(workspace),
        ["test"] => ci::test(workspace).map(drop),
        ["layers"] => layers::check(workspace),
        ["tidy"] => tidy::check(workspace),
        ["deny"] => licences::check(workspace),
        ["advisories"] => advisories::check(workspace),
        ["gen"] => generate::write(workspace),
        ["gen", "--check"] => generate::check(workspace, &generate::development_binary(workspace)?),
        ["e2e", rest @ ..] => {
            let (driver, rest) = driver(rest)?;
            let (store, scripts) = store(rest)?;
            ci::scripts(workspace, driver, store, scripts).map(drop)
        }
        ["hostile", rest @ ..] => {
            let (driver, rest) = driver(rest)?;
            ci::hostile(workspace, driver, rest).map(drop)
        }
        ["fuzz", rest @ ..] => fuzz::run(workspace, rest).map(drop),
        ["disk", names @ ..] => ci::disk(workspace, names).map(drop),
        ["ledger", rest @ ..] => {
            let (driver, options) = driver(rest)?;
            ci::ledger(workspace, driver, options).map(drop)
        }
        ["crash-points", rest @ ..] => faults::crash_points(workspace, rest).map(drop),
        ["seeded-bugs", rest @ ..] => faults::seeded_bugs(workspace, rest).map(drop),
        ["clients", rest @ ..] => {
            let (driver, names) = driver(rest)?;
            clients::run(workspace, driver, names).map(drop)
        }
        _ => Err(Error::Usage(USAGE)),
    }
}

/// Takes `--driver D` off the front; without it the server chooses.
fn driver<'a>(arguments: &'a [&'a str]) -> Result<(&'a str, &'a [&'a str])> {
    match arguments {
        ["--driver", driver @ ("auto" | "epoll" | "io_uring"), rest @ ..] => Ok((driver, rest)),
        ["--driver", ..] => Err(Error::Usage(USAGE)),
        rest => Ok(("auto", rest)),
    }
}

/// Takes `--store S` off the front; without it the store is the embedded one.
fn store<'a>(arguments: &'a [&'a str]) -> Result<(&'a str, &'a [&'a str])> {
    match arguments {
        ["--store", store @ ("fjall" | "postgres"), rest @ ..] => Ok((store, rest)),
        ["--store", ..] => Err(Error::Usage(USAGE)),
        rest => Ok(("fjall", rest)),
    }
}
