//! Rules for Rust files.

use std::path::Path;

use crate::layers;

/// Layers whose code meets what peers send, and must therefore not panic.
const PEER_LAYER_MAX: u8 = 6;

/// Columns of a comment; code is rustfmt's business.
const COMMENT_COLUMNS_MAX: usize = 100;

/// Crates that may write `unsafe`, with the reason.
const UNSAFE_ALLOWED: &[(&str, &str)] = &[
    ("edge", "io_uring shares memory with the kernel"),
    ("xml", "the framer's scan, if measured to be worth it"),
];

/// Module names that say nothing, and what to do instead.
const EMPTY_NAMES: &[&str] = &["common", "helper", "helpers", "manager", "misc", "util", "utils"];

/// Library files that are test code all through.
const TEST_SUITES: &[(&str, &str)] =
    &[("crates/store/src/conformance", "the suite every storage engine runs in its tests")];

/// What is banned outside tests in the layers that meet peers, and what to write instead.
const PANICS: &[(&str, &str)] = &[
    (".unwrap()", "return the error, or .expect(\"why it holds\") on an invariant of our own"),
    (".unwrap_err()", "match on the result"),
    ("panic!(", "return an error, or assert! an invariant of our own"),
    ("unreachable!()", "say why it cannot be reached, or return an error"),
    ("todo!(", "write it"),
    ("unimplemented!(", "write it"),
    (".expect(\"\")", "say why it holds"),
];

/// Every broken rule of one file.
pub fn check(path: &Path, text: &str) -> Vec<String> {
    let file = File { path, text, krate: krate(path) };
    let mut findings = file.crate_rules();
    findings.extend(file.name_rule());
    findings.extend(file.line_rules());
    findings.extend(file.panic_rules());
    findings
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
    /// The folder under crates/, empty elsewhere.
    krate: &'a str,
}

fn krate(path: &Path) -> &str {
    let relative = path.strip_prefix("crates").ok();
    let folder = relative.and_then(|path| path.components().next());
    folder.and_then(|folder| folder.as_os_str().to_str()).unwrap_or_default()
}

impl File<'_> {
    fn at(&self, line: usize, what: &str) -> String {
        format!("{}:{}: {what}", self.path.display(), line + 1)
    }

    /// What the top of each crate says.
    fn crate_rules(&self) -> Vec<String> {
        let root = ["lib.rs", "main.rs"]
            .iter()
            .any(|name| self.path.ends_with(Path::new("src").join(name)));
        if !root {
            return Vec::new();
        }
        let mut findings = Vec::new();
        if !self.text.starts_with("//! ") {
            findings.push(self.at(0, "begin with a //! paragraph on what the crate owns"));
        }
        if self.path.ends_with("lib.rs")
            && !self.text.contains("\n//! Does not:")
            && !self.text.contains(" Does not:")
        {
            findings.push(self.at(0, "add a line `//! Does not: …` on what it leaves to others"));
        }
        let may = UNSAFE_ALLOWED.iter().any(|(krate, _)| *krate == self.krate);
        if !may && !self.text.contains("#![forbid(unsafe_code)]") {
            findings.push(self.at(0, "add #![forbid(unsafe_code)]"));
        }
        findings
    }

    fn name_rule(&self) -> Option<String> {
        let stem = self.path.file_stem()?.to_str()?;
        let folder = self.path.parent()?.file_name()?.to_str()?;
        let name = match stem {
            "mod" | "lib" | "main" => folder,
            _ => stem,
        };
        EMPTY_NAMES
            .contains(&name)
            .then(|| self.at(0, "name the module by its subject or its verb"))
    }

    fn line_rules(&self) -> Vec<String> {
        let mut findings = Vec::new();
        for (number, line) in self.text.lines().enumerate() {
            let code = line.trim_start();
            if code.starts_with(concat!("#[ign", "ore]")) {
                findings.push(self.at(number, "mend the test, or write ignore = \"reason, date\""));
            }
            if code.starts_with(concat!("#[should_", "panic")) {
                findings.push(self.at(number, "return an error and compare it"));
            }
            // Rows of tables and addresses cannot be wrapped.
            let whole = code.contains("://") || code.starts_with("/// |");
            let comment = code.starts_with("//") && !whole;
            if comment && line.chars().count() > COMMENT_COLUMNS_MAX {
                findings.push(self.at(number, "wrap the comment at 100 columns"));
            }
        }
        findings
    }

    fn panic_rules(&self) -> Vec<String> {
        let layer = layers::layer_of(&format!("jackdaw-{}", self.krate));
        if layer.is_none_or(|layer| layer > PEER_LAYER_MAX) || self.is_test() {
            return Vec::new();
        }
        let mut findings = Vec::new();
        for (number, line) in shipped_lines(self.text) {
            let code = line.split(" //").next().unwrap_or_default();
            for (pattern, instead) in PANICS {
                if code.contains(pattern) {
                    findings.push(self.at(number, &format!("{pattern} is for tests; {instead}")));
                }
            }
        }
        findings
    }

    fn is_test(&self) -> bool {
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
        let folder = |name| self.path.components().any(|part| part.as_os_str() == name);
        stem == "tests"
            || stem.ends_with("_test")
            || stem.ends_with("_tests")
            || stem.starts_with("test_")
            || folder("tests")
            || folder("benches")
            || TEST_SUITES.iter().any(|(path, _)| self.path.to_string_lossy().starts_with(path))
    }
}

/// The lines of a file that are neither comments nor inside an inline test module.
///
/// Such a module ends where its closing brace stands in the column of its `mod`: rustfmt's doing.
fn shipped_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut gated = false;
    let mut end_of_tests: Option<String> = None;
    text.lines().enumerate().filter(move |(_, line)| {
        if let Some(end) = &end_of_tests {
            if line == end {
                end_of_tests = None;
            }
            return false;
        }
        let code = line.trim_start();
        if code.starts_with("#[cfg(test)]") {
            gated = true;
        } else if gated && !code.starts_with("#[") {
            gated = false;
            if line.ends_with('{') {
                end_of_tests = Some(format!("{}}}", &line[..line.len() - code.len()]));
                return false;
            }
        }
        !code.starts_with("//")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        check(Path::new(path), text)
    }

    #[test]
    fn unwrap_is_for_tests() {
        let shipped = "fn a() {\n    b().unwrap();\n}\n";
        assert_eq!(findings("crates/jid/src/a.rs", shipped).len(), 1);
        assert_eq!(findings("crates/server/src/a.rs", shipped).len(), 0);
        assert_eq!(findings("crates/jid/src/a_test.rs", shipped).len(), 0);
        assert_eq!(findings("crates/jid/tests/a.rs", shipped).len(), 0);
    }

    #[test]
    fn an_inline_test_module_ends_at_its_own_brace() {
        let text = "#[cfg(test)]\nmod tests {\n    fn a() {\n        b().unwrap();\n    }\n}\nfn c() {\n    d().unwrap();\n}\n";
        assert_eq!(findings("crates/jid/src/a.rs", text).len(), 1);
    }

    #[test]
    fn a_gated_import_does_not_hide_the_rest() {
        let text = "#[cfg(test)]\nuse x::y;\nfn c() {\n    d().unwrap();\n}\n";
        assert_eq!(findings("crates/jid/src/a.rs", text).len(), 1);
    }

    #[test]
    fn the_top_of_a_crate_says_what_it_is() {
        let good = "//! Owns x.\n//!\n//! Does not: y.\n#![forbid(unsafe_code)]\n";
        assert_eq!(findings("crates/jid/src/lib.rs", good).len(), 0);
        assert_eq!(findings("crates/jid/src/lib.rs", "pub mod a;\n").len(), 3);
    }

    #[test]
    fn empty_names_are_refused() {
        assert_eq!(findings("crates/jid/src/utils.rs", "").len(), 1);
        assert_eq!(findings("crates/jid/src/helpers/mod.rs", "").len(), 1);
    }
}
