//! Runs of a server that was built to fail (`docs/proof.md`).

use std::path::PathBuf;
use std::process::Command;

use crate::ci;
use crate::error::{Error, Result};
use crate::process::{self, Tally};
use crate::workspace::Workspace;

/// The mistakes, as `jackdaw-faults` calls them.
const BUGS: [&str; 4] =
    ["bug-ack-before-sync", "bug-row-dropped", "bug-handled-too-far", "bug-row-kept"];

/// Lives that a mistake has to be found in.
const LIVES: &str = "8";

/// The process aborts at every crash point; the ledger has to be clean.
pub fn crash_points(workspace: &Workspace, options: &[&str]) -> Result<Tally> {
    let mut runner = runner(workspace)?;
    runner.arg("ledger").args(["--rounds", "1"]).args(options);
    ci::counting(&mut runner)
}

/// A server with a mistake; the ledger must not be clean.
pub fn seeded_bugs(workspace: &Workspace, options: &[&str]) -> Result<Tally> {
    let mut total = Tally::default();
    for bug in BUGS {
        let mut runner = runner(workspace)?;
        runner.args(["bug", bug, "--kills", LIVES]).args(options);
        total += ci::counting(&mut runner)?;
    }
    Ok(total)
}

/// The end-to-end runner, aimed at a server with faults in it. That one is a development build: it
/// shares its dependencies with the tests, and asserts what a release does not.
fn runner(workspace: &Workspace) -> Result<Command> {
    let binary = faulty_binary(workspace)?;
    ci::runner(workspace, &binary, "auto")
}

/// Builds it, and keeps it where no other build puts its own.
fn faulty_binary(workspace: &Workspace) -> Result<PathBuf> {
    let mut build = process::cargo();
    build.current_dir(workspace.root());
    build.args(["build", "--workspace", "--locked", "--bin=jackdaw"]);
    process::run(build.arg("--features=jackdaw-server/faults"))?;
    let folder = workspace.target().join("faults");
    let binary = folder.join("jackdaw");
    std::fs::create_dir_all(&folder).map_err(Error::file(folder))?;
    let built = workspace.target().join("debug/jackdaw");
    std::fs::copy(&built, &binary).map_err(Error::file(built))?;
    Ok(binary)
}
