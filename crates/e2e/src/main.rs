//! The runner: `jackdaw-e2e --server BINARY [--driver D] [--store S] COMMAND`.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use jackdaw_e2e::{
    DENIED, Denied, Launch, LedgerOptions, Plan, Property, Result, Tally, hostile, run_bug,
    run_clients, run_disk, run_ledger, run_scripts,
};
use jackdaw_faults::Bug;
use jackdaw_test_postgres::Postgres;

const USAGE: &str = "\
jackdaw-e2e --server BINARY [--driver auto|epoll|io_uring] [--store fjall|postgres] COMMAND

  scripts [PATH…]   performs scripts, or all of crates/e2e/scripts
  disk [NAME…]      puts the store on disks that fail, or those of the named tests
  clients LIST      runs the third-party clients of a list that `cargo xtask clients` wrote
  hostile [--seed N] [--minutes N] [ACT…]
                    plays hostile clients beside healthy ones
  ledger [--kills N] [--rounds N] [--seed S] [--clients N] [--tolerate PROPERTY]…
                    kills the server under load; nothing it acknowledged may be lost.
                    With rounds it aborts at every crash point instead, so many times
  bug NAME [--kills N] [--seed S]
                    the same with a mistake that the ledger has to find
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let [DENIED, call, error, program, rest @ ..] = &arguments[..] {
        let Some(denied) = Denied::parse(call, error) else { return ExitCode::from(2) };
        eprintln!("jackdaw-e2e: {}", denied.become_program(program, rest));
        return ExitCode::FAILURE;
    }
    let Some(result) = run(&arguments) else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    match result {
        Ok(tally) => {
            println!("\n{tally}");
            match tally.failed {
                0 => ExitCode::SUCCESS,
                _ => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            eprintln!("jackdaw-e2e: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `None` where the command line makes no sense.
fn run(arguments: &[&str]) -> Option<Result<Tally>> {
    let (binary, rest) = option("--server", arguments)?;
    let (driver, rest) = option("--driver", rest).unwrap_or(("auto", rest));
    let (store, rest) = option("--store", rest).unwrap_or(("fjall", rest));
    let postgres = match store {
        "fjall" => None,
        "postgres" => Some(Arc::new(Postgres::start())),
        _ => return None,
    };
    let binary = std::path::absolute(binary).ok()?;
    let launch = Launch { binary, driver: driver.to_owned(), postgres };
    match rest {
        ["scripts"] => Some(run_scripts(&launch, &[scripts()])),
        ["scripts", paths @ ..] => {
            let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
            Some(run_scripts(&launch, &paths))
        }
        ["disk", names @ ..] => Some(run_disk(&launch, names)),
        ["bug", name, rest @ ..] => {
            let bug = Bug::ALL.into_iter().find(|bug| bug.name() == *name)?;
            Some(run_bug(&launch, &ledger_options(rest)?, bug))
        }
        ["ledger", rest @ ..] => Some(run_ledger(&launch, &ledger_options(rest)?)),
        ["clients", list] => Some(run_clients(&launch, Path::new(list))),
        ["hostile", rest @ ..] => {
            let options = hostile_options(rest)?;
            Some(hostile::run(&launch, &options))
        }
        _ => None,
    }
}

fn hostile_options(arguments: &[&str]) -> Option<hostile::Options> {
    let (seed, rest) = match option("--seed", arguments) {
        Some((seed, rest)) => (Some(seed.parse().ok()?), rest),
        None => (None, arguments),
    };
    let (minutes, rest) = match option("--minutes", rest) {
        Some((minutes, rest)) => (Some(minutes.parse().ok()?), rest),
        None => (None, rest),
    };
    let acts = rest.iter().map(|&act| act.to_owned()).collect();
    Some(hostile::Options { seed, minutes, acts })
}

fn ledger_options(mut arguments: &[&str]) -> Option<LedgerOptions> {
    let mut options = LedgerOptions::default();
    while let [name, value, rest @ ..] = arguments {
        match *name {
            "--kills" => options.plan = Plan::Kills(value.parse().ok()?),
            "--rounds" => options.plan = Plan::CrashPoints(value.parse().ok()?),
            "--seed" => options.seed = value.parse().ok()?,
            "--clients" => options.clients = value.parse().ok().filter(|&clients| clients > 1)?,
            "--tolerate" => options.tolerated.push(Property::parse(value)?),
            _ => return None,
        }
        arguments = rest;
    }
    arguments.is_empty().then_some(options)
}

fn option<'a>(name: &str, arguments: &'a [&'a str]) -> Option<(&'a str, &'a [&'a str])> {
    match arguments {
        [option, value, rest @ ..] if *option == name => Some((value, rest)),
        _ => None,
    }
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts")
}
