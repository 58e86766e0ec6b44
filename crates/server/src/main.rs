//! The binary `jackdaw`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use jackdaw_edge::Counted;
use jackdaw_server::{cli::Cli, command};
use mimalloc::MiMalloc;

/// Returns memory after a burst and allocates without locks between the workers. Counted, because
/// there may be a bound on it (`limits.memory_mib_max`).
#[global_allocator]
static ALLOCATOR: Counted<MiMalloc> = Counted::new(MiMalloc);

fn main() -> ExitCode {
    let _armed = jackdaw_faults::arm();
    command::run(Cli::parse())
}
