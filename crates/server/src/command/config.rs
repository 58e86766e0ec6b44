//! `jackdaw config`.

use std::io::Read as _;
use std::path::Path;

use super::{CommandError, Place, print};
use crate::cli::ConfigCommand;
use crate::config::{Config, configuration_markdown, default_toml};

pub(super) fn run(command: ConfigCommand, place: &Place) -> Result<(), CommandError> {
    match command {
        ConfigCommand::Default => print(&default_toml()),
        ConfigCommand::Markdown => print(&configuration_markdown()),
        ConfigCommand::Check { file: Some(file) } if file == Path::new("-") => check_stdin(),
        ConfigCommand::Check { file } => {
            let place = Place { file: file.or_else(|| place.file.clone()), data: None };
            let config = place.read()?;
            match place.file() {
                Some(file) => print(&format!("{}: {}\n", file.display(), summary(&config))),
                None => print("no jackdaw.toml here, so every key has its default\n"),
            }
        }
    }
}

fn check_stdin() -> Result<(), CommandError> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| CommandError::Failed(format!("cannot read standard input: {error}")))?;
    let config = Config::parse("standard input", &text)?;
    print(&format!("standard input: {}\n", summary(&config)))
}

fn summary(config: &Config) -> String {
    let domains: Vec<&str> = config.domains.iter().map(|domain| domain.name.as_str()).collect();
    format!("fine, for {}", domains.join(", "))
}
