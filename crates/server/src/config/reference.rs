//! The configuration in words: the commented default file and the reference for the documents.

use std::fmt::Write as _;

use super::SECTIONS;
use super::section::{Applies, Key, Section};

/// Every key with its default, its unit and its reason, as a file that can be used as it is.
pub fn default_toml() -> String {
    let mut text = String::from(
        "# jackdaw.toml: every key of the Jackdaw XMPP server with its default.\n\
         # A key that is left out has the value shown here; keep only what you change.\n\
         # `jackdaw config check` finds mistakes. Keys marked (reload) are read again on SIGHUP.\n",
    );
    for section in SECTIONS {
        text.push('\n');
        comment(&mut text, section.doc);
        text.push_str(&heading(section));
        text.push('\n');
        for (key, value) in section.keys.iter().zip((section.defaults)()) {
            text.push('\n');
            comment(&mut text, key.doc);
            if let Some(note) = note(key) {
                let _infallible = writeln!(text, "# ({note})");
            }
            let _infallible = match value {
                Some(value) => writeln!(text, "{} = {value}", key.name),
                None => writeln!(text, "# {} = {}", key.name, key.traits.example),
            };
        }
    }
    text
}

/// `docs/configuration.md`.
pub fn configuration_markdown() -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         <!-- Made by `jackdaw config markdown` from crates/server/src/config; change it there. -->\n\n\
         `jackdaw` reads the file given by `--config`, else by the variable `JACKDAW_CONFIG`, else \
         `jackdaw.toml` in the working directory if there is one.\n\
         Without a file every key has its default.\n\
         `jackdaw config default` prints a file with every key, and `jackdaw config check` finds mistakes: \
         an unknown key is an error that names the nearest known one.\n\n\
         On SIGHUP the file and the certificates are read again.\n\
         A key with *reload* below takes effect then; a changed key without it waits for the next start, and \
         the log says so.\n\
         A file with a mistake changes nothing.\n",
    );
    for section in SECTIONS {
        let _infallible = write!(text, "\n## `{}`\n\n{}\n", heading(section), prose(section.doc));
        for (key, value) in section.keys.iter().zip((section.defaults)()) {
            let default = value.map_or("not set".into(), |value| format!("`{value}`"));
            let _infallible = write!(
                text,
                "\n### `{}`\n\n{}\n\n- Value: {}\n- Default: {default}\n",
                key.name,
                prose(key.doc),
                key.accepts(),
            );
            if key.traits.applies == Applies::Reload {
                text.push_str("- Applies: *reload*\n");
            }
        }
    }
    text
}

fn heading(section: &Section) -> String {
    match section.repeated {
        true => format!("[[{}]]", section.path),
        false => format!("[{}]", section.path),
    }
}

fn comment(text: &mut String, doc: &[&str]) {
    for line in doc {
        let _infallible = writeln!(text, "#{}", line.trim_end());
    }
}

/// Doc lines as one paragraph with a sentence a line, the way our documents are written.
fn prose(doc: &[&str]) -> String {
    let joined: Vec<&str> = doc.iter().map(|line| line.trim()).collect();
    joined.join(" ").replace(". ", ".\n")
}

/// What a number may be and when a change applies, for the comment of a key.
fn note(key: &Key) -> Option<String> {
    let range = key.traits.range.map(|_| key.accepts());
    let reload = (key.traits.applies == Applies::Reload).then(|| "reload".to_owned());
    let parts: Vec<String> = [range, reload].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    #[test]
    fn the_default_file_is_the_default_configuration() {
        let parsed = Config::parse("default.toml", &default_toml()).expect("the default file");
        assert_eq!(parsed, Config::default());
    }

    #[test]
    fn examples_of_keys_that_are_not_set_can_be_used() {
        let text = default_toml();
        for section in SECTIONS {
            for (key, value) in section.keys.iter().zip((section.defaults)()) {
                if value.is_none() {
                    let line = format!("# {} = {}\n", key.name, key.traits.example);
                    assert!(text.contains(&line) && !key.traits.example.is_empty(), "{}", key.name);
                }
            }
        }
    }

    #[test]
    fn every_number_has_a_unit_and_a_range() {
        for key in SECTIONS.iter().flat_map(|section| section.keys) {
            let is_number = (key.kind)() == "an integer";
            assert_eq!(is_number, key.traits.range.is_some(), "{}", key.name);
            assert_eq!(is_number, !key.traits.unit.is_empty(), "{}", key.name);
        }
    }

    #[test]
    fn the_reference_has_a_heading_for_every_key() {
        let text = configuration_markdown();
        for section in SECTIONS {
            assert!(text.contains(&format!("## `{}`", heading(section))));
            for key in section.keys {
                assert!(text.contains(&format!("### `{}`", key.name)), "{}", key.name);
            }
        }
    }
}
