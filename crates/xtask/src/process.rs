//! Starting other programs.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::error::{Error, Result};

/// How many tests a step ran, as it said itself.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Those that passed.
    pub passed: usize,
    /// Those that did not.
    pub failed: usize,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// A command that is yet to be run.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    Command::new(program)
}

/// The cargo that runs us.
pub fn cargo() -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// As one would type it.
fn typed(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

fn start_error(command: &Command) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let command = typed(command);
    move |source| Error::Start { command, source }
}

/// Runs `command` with our own output; an exit status other than 0 is an error.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(start_error(command))?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::Command { command: typed(command), status: status.to_string() }),
    }
}

/// Runs `command` and returns what it wrote to standard output; errors are shown as they come.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output().map_err(start_error(command))?;
    if !output.status.success() {
        let status = output.status.to_string();
        return Err(Error::Command { command: typed(command), status });
    }
    String::from_utf8(output.stdout)
        .map_err(|_| Error::Answer(format!("`{}` did not answer in UTF-8", typed(command))))
}

/// Whether `command` can be started and exits with 0; its output is dropped.
pub fn succeeds(command: &mut Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Runs `command`, shows its output and counts the tests that its lines tell of.
///
/// The tally comes back also if the command fails, so that the last line can name both figures.
pub fn run_counting(command: &mut Command) -> (Tally, Result<()>) {
    let mut tally = Tally::default();
    let result = (|| {
        let mut child = command.stdout(Stdio::piped()).spawn().map_err(start_error(command))?;
        let stdout = child.stdout.take().expect("standard output was just asked to be a pipe");
        for line in BufReader::new(stdout).lines().map_while(std::io::Result::ok) {
            println!("{line}");
            tally += tests_told(&line).unwrap_or_default();
        }
        let status = child.wait().map_err(start_error(command))?;
        match status.success() {
            true => Ok(()),
            false => Err(Error::Command { command: typed(command), status: status.to_string() }),
        }
    })();
    (tally, result)
}

/// Reads libtest's `test result: ok. 3 passed; 0 failed; …` and our own `3 passed, 0 failed`.
fn tests_told(line: &str) -> Option<Tally> {
    let counts = match line.strip_prefix("test result: ") {
        Some(rest) => rest.split_once(". ")?.1,
        None => line,
    };
    let mut counts = counts.split([';', ',']);
    let passed = counts.next()?.trim().strip_suffix(" passed")?.parse().ok()?;
    let failed = counts.next()?.trim().strip_suffix(" failed")?.parse().ok()?;
    Some(Tally { passed, failed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_tell_of_tests_are_read() {
        let told = tests_told("test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured");
        assert_eq!(told, Some(Tally { passed: 12, failed: 3 }));
        assert_eq!(tests_told("7 passed, 0 failed"), Some(Tally { passed: 7, failed: 0 }));
    }

    #[test]
    fn other_lines_tell_of_none() {
        assert_eq!(tests_told("test jid::tests::empty ... ok"), None);
        assert_eq!(tests_told("all passed, none failed"), None);
        assert_eq!(tests_told(""), None);
    }
}
