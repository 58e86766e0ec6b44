//! `jackdaw config`.

use std::io::Read as _;
use std::path::Path;

use super::{CommandError, Place, print};
use crate::certificates;
use crate::cli::ConfigCommand;
use crate::config::{Config, configuration_markdown, default_toml};
use crate::reload;

pub(super) fn run(command: ConfigCommand, place: &Place) -> Result<(), CommandError> {
    match command {
        ConfigCommand::Default => print(&default_toml()),
        ConfigCommand::Markdown => print(&configuration_markdown()),
        ConfigCommand::Check { file: Some(file) } if file == Path::new("-") => check_stdin(),
        ConfigCommand::Check { file } => {
            let place = Place { file: file.or_else(|| place.file.clone()), data: None };
            let config = place.read()?;
            match place.file() {
                Some(file) => approve(&file.display().to_string(), &config),
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
    approve("standard input", &config)
}

/// Checks what the keys alone cannot tell, the certificates, and says that all is fine.
fn approve(file: &str, config: &Config) -> Result<(), CommandError> {
    for certificate in certificates::load_configured(config)? {
        if let Some(complaint) = certificate.complaint(reload::now()) {
            eprintln!("jackdaw: warning: {complaint}");
        }
    }
    let domains: Vec<&str> = config.domains.iter().map(|domain| domain.name.as_str()).collect();
    print(&format!("{file}: fine, for {}\n", domains.join(", ")))
}
