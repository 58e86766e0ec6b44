//! The gate: every step in order, the first failure ends it.

use std::time::Instant;

use crate::clients;
use crate::error::{Error, Result};
use crate::process::{self, Tally};
use crate::workspace::Workspace;
use crate::{advisories, fuzz, generate, layers, licences, tidy, toolchain};

/// The I/O drivers everything has to pass on.
const DRIVERS: [&str; 2] = ["epoll", "io_uring"];

/// Acts of hostile clients in which the driver matters; on the other one all are played.
const HOSTILE_TO_URING: &[&str] = &["bad-inputs", "churn", "slow", "handshakes", "mix"];

/// Kills under load in the gate, half on each driver.
const LEDGER: &[&str] = &["--kills", "50", "--seed", "7"];

/// One step of the gate: its name, and what it does.
type Step = (&'static str, fn(&Workspace) -> Result<Tally>);

/// What is quick to fail comes first; what one step builds for the next stands beside it.
const STEPS: &[Step] = &[
    ("tools", |_| toolchain::install_missing().map(none)),
    ("fmt", |workspace| fmt(workspace).map(none)),
    ("layers", |workspace| layers::check(workspace).map(none)),
    ("tidy", |workspace| tidy::check(workspace).map(none)),
    ("deny", |workspace| licences::check(workspace).map(none)),
    ("advisories", |workspace| advisories::check(workspace).map(none)),
    ("clippy", |workspace| clippy(workspace).map(none)),
    ("doc", |workspace| doc(workspace).map(none)),
    ("test", test),
    ("fuzz", fuzz::short),
    ("release build", |workspace| release_build(workspace).map(none)),
    ("gen --check", |workspace| generate::check(workspace, &workspace.release_binary()).map(none)),
    ("scripts on epoll", |workspace| scripts(workspace, DRIVERS[0], "fjall", &[])),
    ("scripts on io_uring", |workspace| scripts(workspace, DRIVERS[1], "fjall", &[])),
    ("scripts on PostgreSQL", |workspace| scripts(workspace, DRIVERS[0], "postgres", &[])),
    ("hostile on epoll", |workspace| hostile(workspace, DRIVERS[0], &[])),
    ("hostile on io_uring", |workspace| hostile(workspace, DRIVERS[1], HOSTILE_TO_URING)),
    ("disk", |workspace| disk(workspace, &[])),
    ("ledger on epoll", |workspace| ledger(workspace, DRIVERS[0], LEDGER)),
    ("ledger on io_uring", |workspace| ledger(workspace, DRIVERS[1], LEDGER)),
    ("clients on epoll", |workspace| clients::run(workspace, DRIVERS[0], &[])),
    ("clients on io_uring", |workspace| clients::run(workspace, DRIVERS[1], &[])),
];

/// For steps that are right or wrong as a whole.
fn none((): ()) -> Tally {
    Tally::default()
}

/// Runs the gate; the last line says how many tests passed.
pub fn run(workspace: &Workspace) -> Result<()> {
    let start = Instant::now();
    let mut total = Tally::default();
    for (index, (name, step)) in STEPS.iter().enumerate() {
        println!("\n== {}/{} {name}", index + 1, STEPS.len());
        let began = Instant::now();
        let result = step(workspace);
        let seconds = began.elapsed().as_secs_f32();
        match result {
            Ok(tally) => {
                total += tally;
                println!("== {name}: ok in {seconds:.1} s{}", counted(tally));
            }
            Err(error) => {
                println!("== {name}: FAILED in {seconds:.1} s\n{error}\n");
                // A step that failed without counting is one failure.
                total.failed += error.failed_tests().max(1);
                println!("{total}");
                return Err(Error::Answer(format!("the gate ended at step `{name}`")));
            }
        }
    }
    println!("\nthe gate took {} s\n", start.elapsed().as_secs());
    println!("{total}");
    Ok(())
}

fn counted(tally: Tally) -> String {
    match tally == Tally::default() {
        true => String::new(),
        false => format!(", {} passed", tally.passed),
    }
}

/// What writes: clippy's own fixes, formatting, generated documents.
pub fn fix(workspace: &Workspace) -> Result<()> {
    let fix =
        ["clippy", "--fix", "--workspace", "--all-targets", "--allow-dirty", "--allow-staged"];
    process::run(cargo(workspace).args(fix))?;
    process::run(cargo(workspace).args(["fmt", "--all"]))?;
    generate::write(workspace)
}

/// Formatting.
pub fn fmt(workspace: &Workspace) -> Result<()> {
    process::run(cargo(workspace).args(["fmt", "--all", "--check"]))
}

/// Lints; a warning is an error.
pub fn clippy(workspace: &Workspace) -> Result<()> {
    let clippy = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-Dwarnings"];
    process::run(cargo(workspace).args(clippy))
}

/// Documentation of every item, also private ones; a broken link is an error.
pub fn doc(workspace: &Workspace) -> Result<()> {
    let mut doc = cargo(workspace);
    doc.args(["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"]);
    process::run(doc.env("RUSTDOCFLAGS", "-Dwarnings"))
}

/// Unit, property and machine tests.
pub fn test(workspace: &Workspace) -> Result<Tally> {
    counting(cargo(workspace).args(["test", "--workspace", "--locked", "--no-fail-fast"]))
}

/// The binary as users build it.
fn release_build(workspace: &Workspace) -> Result<()> {
    process::run(cargo(workspace).args(["build", "--release", "--locked"]))
}

/// End-to-end scripts; all of them if none is named.
pub fn scripts(
    workspace: &Workspace,
    driver: &str,
    store: &str,
    scripts: &[&str],
) -> Result<Tally> {
    let mut runner = end_to_end(workspace, driver)?;
    counting(runner.args(["--store", store, "scripts"]).args(scripts))
}

/// Hostile clients; `arguments` as the runner takes them.
pub fn hostile(workspace: &Workspace, driver: &str, arguments: &[&str]) -> Result<Tally> {
    let mut runner = end_to_end(workspace, driver)?;
    counting(runner.arg("hostile").args(arguments))
}

/// Tests on disks that fail; all of them if none is named.
pub fn disk(workspace: &Workspace, names: &[&str]) -> Result<Tally> {
    let mut runner = end_to_end(workspace, "auto")?;
    counting(runner.arg("disk").args(names))
}

/// Kills under load (`docs/proof.md`).
pub fn ledger(workspace: &Workspace, driver: &str, options: &[&str]) -> Result<Tally> {
    let mut runner = end_to_end(workspace, driver)?;
    counting(runner.arg("ledger").args(options))
}

/// The end-to-end runner, aimed at the release binary, which is built if need be.
pub fn end_to_end(workspace: &Workspace, driver: &str) -> Result<std::process::Command> {
    release_build(workspace)?;
    runner(workspace, &workspace.release_binary(), driver)
}

/// The end-to-end runner, aimed at a binary.
pub fn runner(
    workspace: &Workspace,
    binary: &std::path::Path,
    driver: &str,
) -> Result<std::process::Command> {
    // Named this way it shares its dependencies, feature by feature, with `cargo test --workspace`.
    let build = ["build", "--workspace", "--locked", "--bin=jackdaw-e2e"];
    process::run(cargo(workspace).args(build))?;
    let mut runner = process::command(workspace.target().join("debug/jackdaw-e2e"));
    runner.current_dir(workspace.root()).arg("--server").arg(binary);
    runner.args(["--driver", driver]);
    Ok(runner)
}

/// Runs what counts its own tests.
pub fn counting(command: &mut std::process::Command) -> Result<Tally> {
    let (tally, result) = process::run_counting(command);
    result.map_err(|error| Error::Tests { tally, source: Box::new(error) })?;
    Ok(tally)
}

/// Cargo, in the workspace.
pub fn cargo(workspace: &Workspace) -> std::process::Command {
    let mut cargo = process::cargo();
    cargo.current_dir(workspace.root());
    cargo
}
