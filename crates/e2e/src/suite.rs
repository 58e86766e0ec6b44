//! Runs many scripts, two at a time, and tells how it went.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::performance::{Failure, perform};
use crate::script::Script;
use crate::server::Launch;

/// How many servers run at once: the gate is made for two cores.
const PARALLEL: usize = 2;

/// How many passed, how many did not.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Those that passed.
    pub passed: usize,
    /// Those that did not.
    pub failed: usize,
}

impl Tally {
    /// Counts one more.
    pub fn count(&mut self, passed: bool) {
        match passed {
            true => self.passed += 1,
            false => self.failed += 1,
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Performs the scripts at `paths` (files and folders of them), each on a server of its own.
pub fn run_scripts(launch: &Launch, paths: &[PathBuf]) -> Result<Tally> {
    let queue = Mutex::new(files(paths)?);
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().expect("no one panics with the queue").pop_front();
                    let Some(file) = next else { break };
                    let (passed, report) = run_one(launch, &file);
                    // Counted and printed under one lock, so that reports do not mix.
                    let mut tally = tally.lock().expect("no one panics with the tally");
                    tally.count(passed);
                    println!("{report}");
                }
            });
        }
    });
    Ok(tally.into_inner().expect("no one panicked with the tally"))
}

/// Scripts in the order of their names.
fn files(paths: &[PathBuf]) -> Result<VecDeque<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let doing = || format!("reading {}", path.display());
            for entry in std::fs::read_dir(path).map_err(Error::io(doing()))? {
                files.push(entry.map_err(Error::io(doing()))?.path());
            }
        } else {
            files.push(path.clone());
        }
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "scs"));
    files.sort();
    Ok(files.into())
}

fn run_one(launch: &Launch, file: &Path) -> (bool, String) {
    let began = Instant::now();
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let result = read(file)
        .map_err(|error| Failure { line: 0, error, log: String::new() })
        .and_then(|script| perform(&script, launch).map(|()| script.rule));
    let seconds = began.elapsed().as_secs_f32();
    match result {
        Ok(rule) => (true, format!("ok     {seconds:5.2} s  {name}: {rule}")),
        Err(failure) => (false, format!("FAILED {seconds:5.2} s  {}", explain(file, &failure))),
    }
}

fn read(file: &Path) -> Result<Script> {
    let doing = format!("reading {}", file.display());
    Script::parse(&std::fs::read_to_string(file).map_err(Error::io(doing))?)
}

fn explain(file: &Path, failure: &Failure) -> String {
    let mut report = format!("{}:{}", file.display(), failure.line);
    for line in failure.error.to_string().lines() {
        report.push_str(&format!("\n    {line}"));
    }
    for line in failure.log.lines() {
        report.push_str(&format!("\n    | {line}"));
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_can_be_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
        for file in files(&[folder]).unwrap() {
            if let Err(error) = read(&file) {
                panic!("{}: {error}", file.display());
            }
        }
    }
}
