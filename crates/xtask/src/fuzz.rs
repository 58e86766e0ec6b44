//! The fuzz targets of `crates/fuzz` under libFuzzer, with the pinned stable toolchain.
//!
//! Only our own crates are instrumented, by a wrapper around the compiler, so that everybody else's
//! are shared with the development build.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::process::{self, Tally};
use crate::workspace::Workspace;
use crate::{ci, toolchain};

const USAGE: &str = "cargo xtask fuzz [TARGET…] [--seconds N|--hours N]";

/// Where the seeds are, a folder per target.
const SEEDS: &str = "crates/fuzz/corpus";

/// For how long the gate fuzzes each target: long enough to run every seed and what is near it.
const SHORT: Duration = Duration::from_secs(5);

/// For how long somebody does who does not say.
const USUAL: Duration = Duration::from_secs(600);

/// Longer inputs show nothing that shorter ones do not, and take longer.
const INPUT_BYTES_MAX: u32 = 4096;

/// An input that takes this long is a finding: the slowest seed takes a hundredth of a second.
const INPUT_SECONDS_MAX: u32 = 5;

/// A process that holds so much is a finding: the targets keep nothing from input to input.
const MEMORY_MB_MAX: u32 = 512;

/// Every target, for a short time each; as a step of the gate.
pub fn short(workspace: &Workspace) -> Result<Tally> {
    let targets = targets(workspace)?;
    fuzz(workspace, &targets, SHORT)
}

/// As the command line says.
pub fn run(workspace: &Workspace, arguments: &[&str]) -> Result<Tally> {
    let (named, time) = parse(arguments)?;
    let known = targets(workspace)?;
    if let Some(unknown) = named.iter().find(|name| !known.contains(name)) {
        let known = known.join(", ");
        return Err(Error::Answer(format!("there is no target `{unknown}`; there are: {known}")));
    }
    let targets = if named.is_empty() { known } else { named };
    toolchain::install_missing()?;
    let each = time / u32::try_from(targets.len()).unwrap_or(1);
    fuzz(workspace, &targets, each)
}

/// The targets that are named, and how long all of them may take.
fn parse(arguments: &[&str]) -> Result<(Vec<String>, Duration)> {
    let (names, time) = match arguments {
        [names @ .., "--seconds", seconds] => (names, (seconds, 1.0)),
        [names @ .., "--hours", hours] => (names, (hours, 3600.0)),
        names => (names, (&"", 0.0)),
    };
    if names.iter().any(|name| name.starts_with('-')) {
        return Err(Error::Usage(USAGE));
    }
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    let (number, unit) = time;
    if unit == 0.0 {
        return Ok((names, USUAL));
    }
    let seconds = number.parse::<f64>().map_err(|_| Error::Usage(USAGE))? * unit;
    let time = Duration::try_from_secs_f64(seconds).map_err(|_| Error::Usage(USAGE))?;
    Ok((names, time))
}

/// Whatever has seeds is a target; a test in `crates/fuzz` sees to the reverse.
fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let folder = workspace.root().join(SEEDS);
    let entries = fs::read_dir(&folder).map_err(Error::file(&folder))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::file(&folder))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn fuzz(workspace: &Workspace, targets: &[String], each: Duration) -> Result<Tally> {
    let fuzzer = build(workspace)?;
    let mut tally = Tally::default();
    let mut findings = Vec::new();
    for target in targets {
        match Run::new(workspace, target)?.start(&fuzzer, each) {
            Ok(()) => tally.passed += 1,
            Err(error) => {
                tally.failed += 1;
                findings.push(error.to_string());
            }
        }
    }
    Error::unless_empty("fuzz", findings)
        .map_err(|error| Error::Tests { tally, source: Box::new(error) })?;
    Ok(tally)
}

/// Builds the targets with coverage; says where the binary is.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.root().join("crates/fuzz");
    let mut build = ci::cargo(workspace);
    build.args(["build", "--workspace", "--locked", "--bin=jackdaw-fuzz"]);
    build.args(["--features=jackdaw-fuzz/engine", "--config"]).arg(folder.join("engine.toml"));
    process::run(build.env("RUSTC_WORKSPACE_WRAPPER", folder.join("rustc-with-coverage")))?;
    Ok(workspace.target().join("debug/jackdaw-fuzz"))
}

/// One target, and where its files are.
struct Run<'a> {
    target: &'a str,
    seeds: PathBuf,
    /// What earlier runs found to be worth keeping; not in the repository.
    corpus: PathBuf,
    found: PathBuf,
    log: PathBuf,
}

impl Run<'_> {
    fn new<'a>(workspace: &Workspace, target: &'a str) -> Result<Run<'a>> {
        let folder = workspace.target().join("fuzz");
        let run = Run {
            target,
            seeds: workspace.root().join(SEEDS).join(target),
            corpus: folder.join("corpus").join(target),
            found: folder.join("found").join(target),
            log: folder.join(format!("{target}.log")),
        };
        for folder in [&run.corpus, &run.found] {
            fs::create_dir_all(folder).map_err(Error::file(folder))?;
        }
        Ok(run)
    }

    /// Runs it, and says in one line what came of it.
    fn start(&self, fuzzer: &Path, time: Duration) -> Result<()> {
        let log = fs::File::create(&self.log).map_err(Error::file(&self.log))?;
        let mut command = process::command(fuzzer);
        command.env("JACKDAW_FUZZ_TARGET", self.target).env("RUST_BACKTRACE", "0");
        command.arg(format!("-max_total_time={}", time.as_secs().max(1)));
        command.arg(format!("-max_len={INPUT_BYTES_MAX}"));
        command.arg(format!("-timeout={INPUT_SECONDS_MAX}"));
        command.arg(format!("-rss_limit_mb={MEMORY_MB_MAX}"));
        command.arg(format!("-artifact_prefix={}/", self.found.display()));
        command.args(["-print_final_stats=1", "-reload=0"]).arg(&self.corpus).arg(&self.seeds);
        let is_clean = self.wait(command.stdout(Stdio::null()).stderr(log))?;
        let log = fs::read(&self.log).map_err(Error::file(&self.log))?;
        let log = String::from_utf8_lossy(&log);
        if !is_clean {
            return Err(Error::Answer(self.finding(&log)));
        }
        println!("{}: {}", self.target, summary(&log));
        Ok(())
    }

    fn wait(&self, command: &mut Command) -> Result<bool> {
        let status = command.status().map_err(|source| Error::Start {
            command: format!("the fuzz target {}", self.target),
            source,
        })?;
        Ok(status.success())
    }

    /// What was found, where it is, and what is to be done with it.
    fn finding(&self, log: &str) -> String {
        let panic = log.lines().skip_while(|line| !line.contains("panicked at")).take(4);
        let panic: Vec<&str> = panic.collect();
        let path = log.lines().find_map(|line| line.split_once("Test unit written to "));
        format!(
            "{}: {}\n  the input: {}\n  all of it: {}\n  mend the crate, and keep the input as \
             {SEEDS}/{}/<what it was>",
            self.target,
            if panic.is_empty() { "no panic".to_owned() } else { panic.join(" ") },
            path.map_or("not written", |(_, path)| path),
            self.log.display(),
            self.target,
        )
    }
}

/// `812345 inputs, 1423 edges and comparisons` out of libFuzzer's report.
fn summary(log: &str) -> String {
    let statistic = |name: &str| {
        let line = log.lines().rev().find_map(|line| line.strip_prefix(name));
        line.map_or("?", str::trim)
    };
    let runs = statistic("stat::number_of_executed_units:");
    let features = log.lines().rev().find_map(|line| line.split_once(" ft: "));
    let features = features.and_then(|(_, rest)| rest.split(' ').next()).unwrap_or("?");
    format!("{runs} inputs, {features} features seen")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &[&str], names: &[&str], seconds: u64) {
        let (found, time) = parse(arguments).expect("a command line");
        assert_eq!(
            (found, time.as_secs()),
            (names.iter().map(|n| n.to_string()).collect(), seconds)
        );
    }

    #[test]
    fn time_is_given_in_seconds_or_hours_and_for_all_targets_together() {
        check(&[], &[], 600);
        check(&["jid"], &["jid"], 600);
        check(&["jid", "c2s", "--seconds", "30"], &["jid", "c2s"], 30);
        check(&["--hours", "0.5"], &[], 1800);
        for wrong in [&["--hours"][..], &["--minutes", "3"], &["--seconds", "-1"], &["-x"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_report_is_read_from_its_end() {
        let log = "#1 INITED cov: 5 ft: 6 corp: 1/1b\n#9 DONE   cov: 7 ft: 8 corp: 2/3b\n\
                   stat::number_of_executed_units: 9\n";
        assert_eq!(summary(log), "9 inputs, 8 features seen");
        assert_eq!(summary(""), "? inputs, ? features seen");
    }
}
