//! A program under a filter of system calls (seccomp(2)), as container runtimes start theirs.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

use crate::error::{Error, Result};

/// How this program is told to become another one:
/// `jackdaw-e2e denied CALL ERROR PROGRAM ARGUMENT…`.
pub const DENIED: &str = "denied";

/// A system call that fails, and with which error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Its number.
    pub call: i64,
    /// An `errno`.
    pub error: u32,
}

impl Denied {
    /// What starts `program` that way; arguments may follow.
    pub fn command(self, program: &Path) -> Result<Command> {
        let this = std::env::current_exe().map_err(Error::io("finding this program"))?;
        let mut command = Command::new(this);
        command.args([DENIED, &self.call.to_string(), &self.error.to_string()]).arg(program);
        Ok(command)
    }

    /// From what [`Denied::command`] wrote.
    pub fn parse(call: &str, error: &str) -> Option<Denied> {
        Some(Denied { call: call.parse().ok()?, error: error.parse().ok()? })
    }

    /// Becomes the program. Returns only if that fails.
    pub fn become_program(self, program: &str, arguments: &[&str]) -> Error {
        if let Err(error) = self.install() {
            return Error::unexpected(format!("no filter of system calls: {error}"));
        }
        Error::io(format!("starting {program}"))(Command::new(program).args(arguments).exec())
    }

    /// For this process from now on, and for whatever it becomes.
    fn install(self) -> std::result::Result<(), seccompiler::Error> {
        // A call without conditions on its arguments.
        let calls = BTreeMap::from([(self.call, Vec::new())]);
        let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
        let denied = SeccompAction::Errno(self.error);
        let filter = SeccompFilter::new(calls, SeccompAction::Allow, denied, architecture)?;
        let program = BpfProgram::try_from(filter)?;
        seccompiler::apply_filter(&program)
    }
}

/// The name of an `errno`, for a report.
pub fn error_name(error: u32) -> String {
    io::Error::from_raw_os_error(error.cast_signed()).to_string()
}
