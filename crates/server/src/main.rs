//! The binary `jackdaw`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use jackdaw_server::{cli::Cli, command};

/// Returns memory after a burst and allocates without locks between the workers.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let _armed = jackdaw_faults::arm();
    command::run(Cli::parse())
}
