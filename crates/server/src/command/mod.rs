//! What each command does.

mod cluster;
mod config;
mod password;
mod serve;
mod user;
mod xeps;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::certificates::CertificateError;
use crate::cli::{Cli, Command};
use crate::config::{Config, ConfigError, FILE_DEFAULT};

/// Why a command did not do what it was asked. Each variant has its exit code.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It did not work; the text says why and what to do.
    #[error("{0}")]
    Failed(String),
    /// The configuration is wrong.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// A certificate the configuration names cannot be used.
    #[error("{0}")]
    Certificate(#[from] CertificateError),
    /// The account does not exist, or exists already.
    #[error("{0}")]
    Account(String),
}

impl CommandError {
    /// As promised in the help. 2 is clap's, for a wrong command line.
    fn exit_code(&self) -> ExitCode {
        match self {
            CommandError::Failed(_) => ExitCode::FAILURE,
            CommandError::Config(_) | CommandError::Certificate(_) => ExitCode::from(3),
            CommandError::Account(_) => ExitCode::from(4),
        }
    }
}

/// Runs the command, and says on standard error what went wrong.
pub fn run(cli: Cli) -> ExitCode {
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("jackdaw: {error}");
            error.exit_code()
        }
    }
}

fn dispatch(cli: Cli) -> Result<(), CommandError> {
    let place = Place { file: cli.config, data: cli.data };
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::run(place),
        Command::User(command) => user::run(command, &place),
        Command::Config(command) => config::run(command, &place),
        Command::Cluster(command) => cluster::run(command),
        Command::Xeps => print(&xeps::json()),
    }
}

/// Prints what was asked for. A reader that has seen enough (`| head`) is no failure.
fn print(text: &str) -> Result<(), CommandError> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CommandError::Failed(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Where the operator says the configuration and the data are.
#[derive(Debug, Clone)]
pub struct Place {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// `--data`.
    pub data: Option<PathBuf>,
}

impl Place {
    /// The file to read: the one named, or `jackdaw.toml` if it is here.
    pub fn file(&self) -> Option<&Path> {
        let default = Path::new(FILE_DEFAULT);
        self.file.as_deref().or_else(|| default.exists().then_some(default))
    }

    /// Reads the configuration; without a file it is the default.
    pub fn read(&self) -> Result<Config, ConfigError> {
        let mut config = match self.file() {
            Some(file) => Config::read(file)?,
            None => Config::default(),
        };
        if let Some(data) = &self.data {
            config.server.data_dir.clone_from(data);
        }
        Ok(config)
    }
}
