//! House rules that neither compiler nor clippy knows. Each finding says what to write instead.

mod rust;

use std::path::Path;

use crate::error::{Error, Result};
use crate::workspace::Workspace;

/// Lines past which a file is two rooms (docs/style.md).
const LINES_MAX: usize = 800;

/// Lines past which a file wants a reason, in `LONG_FILES`.
const LINES_WITHOUT_REASON_MAX: usize = 600;

/// Files between the two limits that are better in one piece.
const LONG_FILES: &[(&str, &str)] = &[];

/// What may stand at the root: what a visitor came for, and hidden configuration.
const ROOT: &[&str] = &[
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "bench",
    "crates",
    "deploy",
    "docs",
    "loadtest",
    "proto",
    "rust-toolchain.toml",
];

/// The only places packages may be locked to: the public registries.
const REGISTRIES: &[(&str, &str, &str)] = &[
    ("Cargo.lock", "source = \"", "registry+https://github.com/rust-lang/crates.io-index"),
    ("package-lock.json", "\"resolved\": \"", "https://registry.npmjs.org/"),
];

/// Folders of one particular machine. In pieces, so that this file does not find itself.
const MACHINE_PATHS: &[&str] = &[
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/wo", "rk/"),
    concat!("/Us", "ers/"),
    concat!("/tmp/", "target"),
];

/// Where inputs of tests are, which are as they are and not as texts ought to be.
const INPUTS: &str = "crates/fuzz/corpus";

/// Fails on every broken house rule of every tracked file.
pub fn check(workspace: &Workspace) -> Result<()> {
    let mut findings = Vec::new();
    let files = workspace.tracked_files()?;
    for path in &files {
        findings.extend(root_finding(path));
        if path.starts_with(INPUTS) {
            continue;
        }
        let Some(text) = workspace.read(path)? else { continue };
        findings.extend(any_text(path, &text));
        if path.extension().is_some_and(|extension| extension == "rs") {
            findings.extend(length_finding(path, &text));
            findings.extend(rust::check(path, &text));
        }
    }
    findings.sort();
    findings.dedup();
    println!("{} files", files.len());
    Error::unless_empty("tidy", findings)
}

fn root_finding(path: &Path) -> Option<String> {
    let top = path.components().next()?.as_os_str().to_string_lossy();
    let known = top.starts_with('.') || ROOT.contains(&top.as_ref());
    (!known).then(|| format!("{top}: does not belong at the root; put it into docs/ or crates/"))
}

fn length_finding(path: &Path, text: &str) -> Option<String> {
    let lines = text.lines().count();
    let shown = path.display();
    let reasoned = LONG_FILES.iter().any(|(long, _)| Path::new(long) == path);
    if lines > LINES_MAX {
        Some(format!("{shown}: {lines} lines; make two modules of it, at most {LINES_MAX} each"))
    } else if lines > LINES_WITHOUT_REASON_MAX && !reasoned {
        Some(format!("{shown}: {lines} lines; split it, or give LONG_FILES in tidy.rs a reason"))
    } else {
        None
    }
}

fn any_text(path: &Path, text: &str) -> Vec<String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let registry = REGISTRIES.iter().find(|(file, ..)| *file == name);
    let mut findings = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut add = |what: &str| {
            findings.push(format!("{}:{}: {what}", path.display(), number + 1));
        };
        if line.contains(concat!("FIX", "ME")) {
            add("mend it now, or write TODO(area): with what is wanted");
        }
        if MACHINE_PATHS.iter().any(|folder| mentions_path(line, folder)) {
            add("names a folder of one machine; write it relative to the root");
        }
        if let Some((_, key, host)) = registry
            && let Some((_, value)) = line.split_once(key)
            && !value.starts_with(host)
        {
            add(
                "is locked to another registry than the public one; lock it again without a mirror",
            );
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        findings.push(format!("{}: end the last line with a line feed", path.display()));
    }
    findings
}

/// Whether `folder` stands in `line` as the beginning of a path, and not inside a longer one.
fn mentions_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || "._-/}>".contains(before))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> usize {
        any_text(Path::new(path), text).len()
    }

    #[test]
    fn folders_of_one_machine_are_found_where_a_path_begins() {
        assert_eq!(findings("a.md", concat!("see /ro", "ot/x\n")), 1);
        assert_eq!(findings("a.md", concat!("see tree/ro", "ot/x\n")), 0);
    }

    #[test]
    fn lock_files_name_public_registries_only() {
        let lock = "      \"resolved\": \"https://mirror.example/ltx.tgz\",\n";
        assert_eq!(findings("clients/package-lock.json", lock), 1);
        assert_eq!(findings("clients/package.json", lock), 0);
        let public = "      \"resolved\": \"https://registry.npmjs.org/ltx/-/ltx.tgz\",\n";
        assert_eq!(findings("clients/package-lock.json", public), 0);
    }

    #[test]
    fn long_files_are_split_or_explained() {
        let path = Path::new("crates/x/src/lib.rs");
        assert!(length_finding(path, &"\n".repeat(LINES_WITHOUT_REASON_MAX)).is_none());
        assert!(length_finding(path, &"\n".repeat(LINES_WITHOUT_REASON_MAX + 1)).is_some());
        assert!(length_finding(path, &"\n".repeat(LINES_MAX + 1)).is_some());
    }

    #[test]
    fn the_root_shows_nothing_else() {
        assert!(root_finding(Path::new("notes.txt")).is_some());
        assert!(root_finding(Path::new("docs/notes.txt")).is_none());
        assert!(root_finding(Path::new(".clippy.toml")).is_none());
    }
}
