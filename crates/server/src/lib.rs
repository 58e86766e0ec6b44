//! The node: configuration, command line, certificates, signals and the wiring of everything below.
//!
//! Does not: know any rule of XMPP.

#![forbid(unsafe_code)]

pub mod certificates;
pub mod cli;
pub mod collect;
pub mod command;
pub mod config;
pub mod logging;
pub mod node;
mod reload;
pub mod report;
pub mod shutdown;
pub mod storage;
mod wiring;

pub use config::configuration_markdown;
