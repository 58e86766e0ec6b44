//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// What the release server costs, beside a raw relay on the same machine.
#[derive(Debug, Clone, Parser)]
#[command(name = "jackdaw-bench")]
pub struct Options {
    /// Rows to measure, by name or by the beginning of one; all without any.
    pub rows: Vec<String>,

    /// Prints the names of the rows.
    #[arg(long)]
    pub list: bool,

    /// How often each row is measured, in turns with what it is compared with.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,

    /// Seconds of one measurement.
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    pub seconds: f64,

    /// For tuning: three runs of one second each.
    #[arg(long)]
    pub quick: bool,

    /// The driver of the server.
    #[arg(long, value_enum, default_value_t = Driver::IoUring)]
    pub driver: Driver,

    /// The server.
    #[arg(long, default_value = "target/release/jackdaw")]
    pub server: PathBuf,

    /// Short sessions of the row `churn`.
    #[arg(long, default_value_t = 100_000)]
    pub sessions: usize,

    /// Where a server that counts its allocations tells of them.
    #[arg(skip)]
    pub counter: Option<SocketAddr>,

    /// Writes `bench/results/<date>-<NAME>.md` and `.json`; nothing is written without it.
    #[arg(long, value_name = "NAME")]
    pub save: Option<String>,
}

/// What moves the server's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Driver {
    /// io_uring.
    #[value(name = "io_uring")]
    IoUring,
    /// epoll.
    Epoll,
}

impl Driver {
    /// As the configuration of the server has it.
    pub fn name(self) -> &'static str {
        match self {
            Driver::IoUring => "io_uring",
            Driver::Epoll => "epoll",
        }
    }
}

impl Options {
    /// How often each row is measured.
    pub fn runs(&self) -> u32 {
        if self.quick { 3 } else { self.runs }
    }

    /// How long one measurement is.
    pub fn duration(&self) -> Duration {
        if self.quick { Duration::from_secs(1) } else { Duration::from_secs_f64(self.seconds) }
    }
}

fn seconds(text: &str) -> std::result::Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|error| format!("{error}"))?;
    match (0.1..=600.0).contains(&seconds) {
        true => Ok(seconds),
        false => Err("between 0.1 and 600".into()),
    }
}
