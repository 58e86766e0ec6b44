//! Licences, banned crates and crates that are in the tree twice, by the table in `.deny.toml`.
//!
//! Done here and not by cargo-deny, whose installation takes longer than the rest of the gate.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::metadata::{Metadata, Package};
use crate::workspace::Workspace;

const TABLE: &str = ".deny.toml";

#[derive(Debug, Deserialize)]
struct Table {
    licenses: Licences,
    bans: Bans,
}

#[derive(Debug, Deserialize)]
struct Licences {
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Ban>,
    skip: Vec<Ban>,
}

/// A crate that is not wanted, or wanted twice, and why. `krate` may carry a version: `syn@2`.
#[derive(Debug, Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    krate: String,
    reason: String,
    /// Crates that may use it all the same.
    #[serde(default)]
    wrappers: Vec<String>,
}

/// Fails on a licence that is not on the list, a banned crate and an unexplained duplicate.
pub fn check(workspace: &Workspace) -> Result<()> {
    let text = workspace.read(Path::new(TABLE))?.unwrap_or_default();
    let table: Table =
        toml::from_str(&text).map_err(|error| Error::Answer(format!("{TABLE}: {error}")))?;
    let metadata = Metadata::read(workspace)?;
    let foreign: Vec<&Package> =
        metadata.packages.iter().filter(|package| package.source.is_some()).collect();
    let mut findings = Vec::new();
    for package in &foreign {
        findings.extend(licence_finding(package, &table.licenses.allow));
        findings.extend(ban_finding(package, &metadata.users(package), &table.bans.deny));
    }
    findings.extend(duplicates(&foreign, &table.bans.skip));
    println!("{} crates, {} licences allowed", foreign.len(), table.licenses.allow.len());
    Error::unless_empty("deny", findings)
}

fn licence_finding(package: &Package, allowed: &[String]) -> Option<String> {
    let licence = package.license.as_deref().unwrap_or("no licence");
    (!satisfied(licence, allowed)).then(|| {
        format!(
            "{} {} is under {licence}; take another crate, or add the licence to {TABLE}",
            package.name, package.version
        )
    })
}

fn ban_finding(package: &Package, users: &[&str], banned: &[Ban]) -> Option<String> {
    let ban = banned.iter().find(|ban| ban.krate == package.name)?;
    let wrapped = |user: &&str| ban.wrappers.iter().any(|wrapper| wrapper == user);
    let mut others = users.iter().copied().filter(|user| !wrapped(user)).peekable();
    if !ban.wrappers.is_empty() && others.peek().is_none() {
        return None;
    }
    let others: Vec<&str> = others.collect();
    Some(format!("{} is banned: {} (used by {})", package.name, ban.reason, others.join(", ")))
}

/// Two versions of one crate are compiled and audited twice.
fn duplicates(packages: &[&Package], skip: &[Ban]) -> Vec<String> {
    let mut versions: BTreeMap<&str, Vec<&semver::Version>> = BTreeMap::new();
    for package in packages {
        versions.entry(&package.name).or_default().push(&package.version);
    }
    let skipped = |name: &str| skip.iter().any(|ban| ban.krate == name);
    let twice = versions.into_iter().filter(|(name, found)| found.len() > 1 && !skipped(name));
    twice
        .map(|(name, found)| {
            let list: Vec<String> = found.iter().map(ToString::to_string).collect();
            format!(
                "{name} is there in {} versions ({}); `cargo tree -i {name}@{}` shows who wants it; \
                 move that crate, or add it to `skip` in {TABLE} with the reason",
                list.len(),
                list.join(", "),
                list[0]
            )
        })
        .collect()
}

/// Whether the SPDX expression can be met with the licences of `allowed` alone.
///
/// `/` is how old manifests write OR. An exception (`WITH …`) only adds freedom: passed over.
fn satisfied(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let met = any_of(&mut words, allowed);
    met && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let mut met = all_of(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        met |= all_of(words, allowed);
    }
    met
}

fn all_of(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let mut met = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut Words<'_>, allowed: &[String]) -> bool {
    if words.next_if_eq(&"(").is_some() {
        return any_of(words, allowed) & words.next_if_eq(&")").is_some();
    }
    let met = words.next().is_some_and(|licence| allowed.iter().any(|one| one == licence));
    if words.next_if_eq(&"WITH").is_some() {
        words.next();
    }
    met
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(expression: &str) -> bool {
        satisfied(expression, &["MIT".into(), "Apache-2.0".into()])
    }

    #[test]
    fn one_allowed_alternative_is_enough() {
        assert!(met("GPL-3.0-only OR MIT"));
        assert!(met("Unlicense/MIT"));
        assert!(met("Apache-2.0 WITH LLVM-exception OR GPL-2.0-only"));
    }

    #[test]
    fn all_of_a_conjunction_must_be_allowed() {
        assert!(met("MIT AND (Apache-2.0 OR GPL-3.0-only)"));
        assert!(!met("MIT AND OpenSSL"));
        assert!(!met("MIT AND (GPL-3.0-only OR AGPL-3.0-only)"));
    }

    #[test]
    fn a_banned_crate_may_be_used_by_its_wrappers_only() {
        let package = Package {
            id: "chrono".into(),
            name: "chrono".into(),
            version: semver::Version::new(0, 4, 0),
            license: None,
            source: None,
            dependencies: Vec::new(),
        };
        let ban = |wrappers: &[&str]| Ban {
            krate: "chrono".into(),
            reason: String::new(),
            wrappers: wrappers.iter().map(|&name| name.to_owned()).collect(),
        };
        assert!(ban_finding(&package, &["openraft"], &[ban(&[])]).is_some());
        assert!(ban_finding(&package, &["openraft"], &[ban(&["openraft"])]).is_none());
        let finding = ban_finding(&package, &["openraft", "other"], &[ban(&["openraft"])]);
        assert!(finding.is_some_and(|finding| finding.contains("other")));
    }

    #[test]
    fn what_cannot_be_read_is_not_met() {
        assert!(!met("no licence"));
        assert!(!met(""));
        assert!(!met("(MIT"));
    }
}
