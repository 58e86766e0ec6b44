//! What can go wrong, in words that say what to do.

use std::path::PathBuf;

use crate::process::Tally;

/// The result of a step.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a command.
    #[error("{0}")]
    Usage(&'static str),
    /// The rules that are broken, one a line, each with what to do instead.
    #[error("{step}: {count} to mend:\n{list}", count = .findings.len(), list = .findings.join("\n"))]
    Findings {
        /// The step that found them.
        step: &'static str,
        /// One line each.
        findings: Vec<String>,
    },
    /// A program we started said no.
    #[error("`{command}` failed ({status})")]
    Command {
        /// As one would type it.
        command: String,
        /// How it ended.
        status: String,
    },
    /// A program could not be started at all.
    #[error("cannot run `{command}`: {source}")]
    Start {
        /// As one would type it.
        command: String,
        /// Why.
        source: std::io::Error,
    },
    /// Tests failed, or the program that runs them.
    #[error("{source}: {tally}")]
    Tests {
        /// What it told until then.
        tally: Tally,
        /// How it ended.
        source: Box<Error>,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A tool answered something else than expected.
    #[error("{0}")]
    Answer(String),
}

impl Error {
    /// Fails with `findings`, or not if there is none.
    pub fn unless_empty(step: &'static str, findings: Vec<String>) -> Result<()> {
        match findings.is_empty() {
            true => Ok(()),
            false => Err(Error::Findings { step, findings }),
        }
    }

    /// How many tests failed, as far as they were counted.
    pub fn failed_tests(&self) -> usize {
        match self {
            Error::Tests { tally, .. } => tally.failed,
            _ => 0,
        }
    }

    /// For `map_err` on what touches `path`.
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::File { path, source }
    }
}
