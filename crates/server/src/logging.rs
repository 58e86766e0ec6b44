//! The log: `tracing` events on standard error, for eyes or for machines.
//!
//! Passwords, keys, tokens and message bodies are never logged, at no level. Types that hold one
//! have a `Debug` without it, and what a peer sent is logged as its kind and size, not its content.

use std::io::IsTerminal as _;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt, reload};

use crate::config::{Log, LogFormat, LogLevel};

/// Goes before the level in the configuration.
const LEVEL_VARIABLE: &str = "JACKDAW_LOG";

/// Libraries that tell of their daily work at `info`. A level for one of them in the configuration
/// goes before this.
const QUIET: &str = "fjall=warn,lsm_tree=warn";

/// The running log.
pub struct Logging {
    filter: reload::Handle<EnvFilter, Registry>,
    /// Set by the environment, so that a reload leaves it.
    level_is_fixed: bool,
    json: bool,
}

impl Logging {
    /// Starts the log of the process; it can be started once.
    pub fn start(log: &Log) -> Result<Logging, TryInitError> {
        let from_environment = level_from(std::env::var(LEVEL_VARIABLE).ok());
        let level_is_fixed = from_environment.is_some();
        let level = from_environment.unwrap_or_else(|| log.level.clone());
        let (filter, handle) = reload::Layer::new(filter(&level));
        let terminal = std::io::stderr().is_terminal();
        let json = is_json(log.format, terminal);
        let format = match json {
            true => fmt::layer()
                .json()
                .flatten_event(true)
                .with_current_span(true)
                .with_span_list(false)
                .with_writer(std::io::stderr)
                .boxed(),
            false => fmt::layer()
                .with_ansi(terminal && std::env::var_os("NO_COLOR").is_none())
                .with_writer(std::io::stderr)
                .boxed(),
        };
        tracing_subscriber::registry().with(filter).with(format).try_init()?;
        Ok(Logging { filter: handle, level_is_fixed, json })
    }

    /// Whether each line is a JSON object.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Takes the level of a reloaded configuration, unless the environment has the say.
    pub fn set_level(&self, level: &LogLevel) {
        if self.level_is_fixed {
            return;
        }
        if let Err(error) = self.filter.reload(filter(level)) {
            tracing::error!(%error, "the log level could not be changed");
        }
    }
}

/// A level in the environment that means something. A wrong one must not stop the server.
fn level_from(variable: Option<String>) -> Option<LogLevel> {
    let text = variable.filter(|text| !text.is_empty())?;
    text.parse().map_err(|error| eprintln!("jackdaw: {LEVEL_VARIABLE} is ignored: {error}")).ok()
}

fn filter(level: &LogLevel) -> EnvFilter {
    EnvFilter::new(format!("{QUIET},{}", level.as_str()))
}

fn is_json(format: LogFormat, terminal: bool) -> bool {
    match format {
        LogFormat::Auto => !terminal,
        LogFormat::Human => false,
        LogFormat::Json => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_human_on_a_terminal_and_json_elsewhere() {
        assert!(!is_json(LogFormat::Auto, true));
        assert!(is_json(LogFormat::Auto, false));
        assert!(is_json(LogFormat::Json, true));
        assert!(!is_json(LogFormat::Human, false));
    }

    #[test]
    fn libraries_are_quiet_unless_the_level_names_them() {
        let shown = |level: &str| filter(&level.parse().unwrap()).to_string();
        assert_eq!(shown("debug"), "lsm_tree=warn,fjall=warn,debug");
        assert_eq!(shown("info,fjall=trace"), "lsm_tree=warn,fjall=trace,info");
    }

    #[test]
    fn a_wrong_level_in_the_environment_is_ignored() {
        assert_eq!(level_from(Some("loud=very".into())), None);
        assert_eq!(level_from(Some(String::new())), None);
        assert_eq!(level_from(Some("debug".into())).unwrap().as_str(), "debug");
    }
}
