//! Reads the table of bad inputs: `badinputs/*.toml`. `badinputs/README.md` describes its keys.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::generate::Generator;
use crate::error::{Error, Result};

/// Everything the files hold.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Inputs that are sent.
    #[serde(default, rename = "case")]
    pub cases: Vec<Case>,
    /// Rows that another test covers.
    #[serde(default)]
    pub elsewhere: Vec<Elsewhere>,
    /// Rows that nothing here can meet.
    #[serde(default)]
    pub not_met: Vec<NotMet>,
}

/// One bad input, or several that must end alike.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The row, such as `X01`.
    pub id: String,
    /// What is wrong with the input.
    pub name: String,
    /// How far the client got before it sends the input.
    pub phase: Phase,
    /// Inputs as text, with placeholders.
    #[serde(default)]
    pub inputs: Vec<String>,
    /// Inputs as hexadecimal digits.
    #[serde(default)]
    pub hex: Vec<String>,
    /// Inputs that are made.
    pub generator: Option<Generator>,
    /// What must come of each.
    pub expect: Expect,
    /// What must not be in anything that the victim receives meanwhile.
    #[serde(default)]
    pub victim_lacks: Vec<String>,
    /// What must be in something it receives.
    #[serde(default)]
    pub victim_has: Vec<String>,
    /// Memory that the server may take for it at most.
    #[serde(default = "default_memory")]
    pub rss_kib_max: u64,
    /// Time of a core that the server may take for it at most.
    #[serde(default = "default_cpu")]
    pub cpu_ms_max: f64,
}

/// The receive buffer of a turn, the answer, and what the allocator rounds up.
fn default_memory() -> u64 {
    64
}

/// Some fifty times what a quarter of a megabyte of honest stanzas costs.
fn default_cpu() -> f64 {
    5.0
}

/// How far a client gets before it misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// A connection, in the clear, on which nothing was sent.
    Connected,
    /// The stream is open, TLS is offered and required.
    PreTls,
    /// A connection for direct TLS on which nothing was sent.
    PreHandshake,
    /// The stream is open, SASL is offered.
    PreAuth,
    /// The same inside TLS.
    Secured,
    /// SASL's challenge has come.
    InSasl,
    /// Authenticated; the new stream header is due.
    Restarting,
    /// Authenticated; no resource is bound.
    Authenticated,
    /// A resource is bound.
    PostAuth,
    /// A connection to the HTTP listener.
    Http,
}

/// What must come of an input.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expect {
    /// The stream goes on as if nothing had been: a ping behind the input is answered.
    Accepted,
    /// The stream ends with this condition (RFC 6120 §4.9.3), and the connection with it.
    StreamError(String),
    /// A stanza comes back as an error with this condition (§8.3.3), and the stream goes on.
    StanzaError(String),
    /// The attempt fails with this condition (§6.5).
    SaslFailure(String),
    /// STARTTLS fails (§5.4.2.2), and the connection ends.
    TlsFailure,
    /// Something with this text in it comes back, and the stream goes on.
    Answered(String),
    /// The connection ends, whatever is said before.
    Closed,
    /// The answer has this status.
    Http(u16),
}

/// A row that a test of another kind covers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(test), expect(dead_code, reason = "for readers, and for the test of completeness"))]
pub struct Elsewhere {
    /// The row.
    pub id: String,
    /// The file of the test, relative to the root of the repository.
    pub file: PathBuf,
    /// What it shows there, and why there.
    pub why: String,
}

/// A row that this node cannot meet.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(test), expect(dead_code, reason = "likewise"))]
pub struct NotMet {
    /// The row.
    pub id: String,
    /// Which feature it needs.
    pub why: String,
}

impl Case {
    /// All its inputs, placeholders unfilled.
    pub fn all_inputs(&self) -> Vec<Vec<u8>> {
        let text = self.inputs.iter().map(|input| input.as_bytes().to_vec());
        let bytes = self.hex.iter().map(|digits| unhex(digits));
        let made = self.generator.iter().flat_map(Generator::inputs);
        text.chain(bytes).chain(made).collect()
    }

    /// Whether somebody has to look at what others receive.
    pub fn has_victim(&self) -> bool {
        !self.victim_lacks.is_empty() || !self.victim_has.is_empty()
    }
}

/// Reads digits in pairs; spaces are for the eye.
fn unhex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).unwrap_or_default());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap_or_default()).collect()
}

/// The folder of the table.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("badinputs")
}

/// Reads every file of `folder`.
pub fn read(folder: &Path) -> Result<Table> {
    let doing = || format!("reading {}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(doing()))? {
        files.push(entry.map_err(Error::io(doing()))?.path());
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    let mut table = Table::default();
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(Error::io(doing()))?;
        let one: Table = toml::from_str(&text)
            .map_err(|error| Error::unexpected(format!("{}: {error}", file.display())))?;
        table.cases.extend(one.cases);
        table.elsewhere.extend(one.elsewhere);
        table.not_met.extend(one.not_met);
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The rows of the list of bad inputs that concern a single node's client side.
    fn rows() -> BTreeSet<String> {
        let of = |letter: char, last: u32| (1..=last).map(move |row| format!("{letter}{row:02}"));
        of('X', 16).chain(of('A', 13)).chain(of('R', 13)).collect()
    }

    #[test]
    fn every_row_is_sent_or_covered_elsewhere_or_has_a_reason() {
        let table = read(&folder()).unwrap();
        let sent = table.cases.iter().map(|case| &case.id);
        let elsewhere = table.elsewhere.iter().map(|row| &row.id);
        let not_met = table.not_met.iter().map(|row| &row.id);
        let known: BTreeSet<String> = sent.chain(elsewhere).chain(not_met).cloned().collect();
        assert_eq!(known, rows());
    }

    #[test]
    fn what_is_covered_elsewhere_exists_and_reasons_are_given() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let table = read(&folder()).unwrap();
        for row in &table.elsewhere {
            assert!(root.join(&row.file).is_file(), "{}: no {}", row.id, row.file.display());
            assert!(row.why.len() > 20, "{}: why?", row.id);
        }
        for row in &table.not_met {
            assert!(row.why.len() > 20, "{}: why not?", row.id);
        }
    }

    #[test]
    fn every_case_has_an_input_and_a_name_of_its_own() {
        let table = read(&folder()).unwrap();
        let mut names = BTreeSet::new();
        for case in &table.cases {
            assert!(!case.all_inputs().is_empty(), "{} {}", case.id, case.name);
            assert!(names.insert((&case.id, &case.name)), "{} {} twice", case.id, case.name);
        }
    }

    #[test]
    fn hexadecimal_digits_may_be_spaced() {
        assert_eq!(unhex("3c eb 3E"), b"<\xeb>");
    }
}
