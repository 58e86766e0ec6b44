//! Known vulnerabilities of what we depend on, from the RustSec advisory database.
//!
//! The database is public and changes daily, so it is fetched and not kept here. Where it cannot be
//! reached the step says so loudly and does not fail: a build without network is still a build.

use std::path::{Path, PathBuf};

use semver::{Version, VersionReq};
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::metadata::{Metadata, Package};
use crate::process;
use crate::workspace::Workspace;

const DATABASE: &str = "https://github.com/rustsec/advisory-db";

/// Names a copy of the database, for machines that cannot reach GitHub.
const DATABASE_VARIABLE: &str = "ADVISORY_DB";

/// The TOML on top of an advisory's file.
#[derive(Debug, Deserialize)]
struct Advisory {
    advisory: Description,
    versions: Versions,
}

#[derive(Debug, Deserialize)]
struct Description {
    id: String,
    package: String,
    /// Set for what is no vulnerability: `unmaintained`, `unsound`, `notice`.
    informational: Option<String>,
    withdrawn: Option<String>,
    url: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Versions {
    #[serde(default)]
    patched: Vec<VersionReq>,
    #[serde(default)]
    unaffected: Vec<VersionReq>,
}

/// Fails where a crate of the tree has a vulnerability that a newer version mends.
pub fn check(workspace: &Workspace) -> Result<()> {
    let Some(database) = database(workspace) else {
        println!("warning: NOT CHECKED: {DATABASE} cannot be reached from here;");
        println!("warning: set {DATABASE_VARIABLE} to a copy of it to check without network");
        return Ok(());
    };
    let metadata = Metadata::read(workspace)?;
    let mut findings = Vec::new();
    let mut read = 0;
    for package in metadata.packages.iter().filter(|package| package.source.is_some()) {
        for advisory in advisories_of(&database, &package.name)? {
            read += 1;
            report(package, &advisory, &mut findings);
        }
    }
    println!("{} crates, {read} advisories about them", metadata.packages.len());
    Error::unless_empty("advisories", findings)
}

/// The copy named by the environment, else a fresh clone in the target folder.
fn database(workspace: &Workspace) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(DATABASE_VARIABLE) {
        return Some(PathBuf::from(path));
    }
    let path = workspace.target().join("advisory-db");
    let mut git = process::command("git");
    // A prompt for a password would wait for ever.
    git.env("GIT_TERMINAL_PROMPT", "0");
    match path.is_dir() {
        true => git.arg("-C").arg(&path).args(["pull", "--quiet", "--depth=1", "--rebase"]),
        false => git.args(["clone", "--quiet", "--depth=1", DATABASE]).arg(&path),
    };
    process::succeeds(&mut git).then_some(path)
}

fn advisories_of(database: &Path, krate: &str) -> Result<Vec<Advisory>> {
    let folder = database.join("crates").join(krate);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(&folder).map_err(Error::file(&folder))?;
    entries
        .map(|entry| {
            let path = entry.map_err(Error::file(&folder))?.path();
            let text = std::fs::read_to_string(&path).map_err(Error::file(&path))?;
            parse(&text).map_err(|why| Error::Answer(format!("{}: {why}", path.display())))
        })
        .collect()
}

/// Reads the fenced TOML an advisory's file begins with.
fn parse(text: &str) -> std::result::Result<Advisory, String> {
    let fenced = text.split("```toml").nth(1).and_then(|rest| rest.split("```").next());
    let fenced = fenced.ok_or("no TOML on top")?;
    toml::from_str(fenced).map_err(|error| error.to_string())
}

impl Advisory {
    fn concerns(&self, version: &Version) -> bool {
        let safe = [&self.versions.patched, &self.versions.unaffected];
        let mended = safe.into_iter().flatten().any(|range| range.matches(version));
        self.advisory.withdrawn.is_none() && !mended
    }
}

fn report(package: &Package, advisory: &Advisory, findings: &mut Vec<String>) {
    if !advisory.concerns(&package.version) {
        return;
    }
    let Description { id, package: name, informational, url, .. } = &advisory.advisory;
    let more = url.as_deref().unwrap_or("https://rustsec.org");
    match informational {
        Some(kind) => println!("note: {id}: {name} {} is {kind}: {more}", package.version),
        None => findings.push(format!(
            "{id}: {name} {}; `cargo update -p {name}` to a version that mends it: {more}",
            package.version
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "```toml\n[advisory]\nid = \"RUSTSEC-2024-0336\"\npackage = \"rustls\"\n\
        [versions]\npatched = [\">= 0.23.5\", \">= 0.22.4, < 0.23.0\"]\nunaffected = [\"< 0.20\"]\n```\n# A loop";

    #[test]
    fn only_versions_neither_patched_nor_unaffected_are_concerned() {
        let advisory = parse(TEXT).unwrap();
        for (version, concerned) in
            [("0.23.4", true), ("0.23.5", false), ("0.22.4", false), ("0.19.0", false)]
        {
            assert_eq!(
                advisory.concerns(&Version::parse(version).unwrap()),
                concerned,
                "{version}"
            );
        }
    }

    #[test]
    fn a_file_without_toml_is_an_error() {
        assert!(parse("# nothing").is_err());
    }
}
