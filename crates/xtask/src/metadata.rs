//! What `cargo metadata` says about the workspace and its dependencies.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::process;
use crate::workspace::Workspace;

/// The whole dependency graph as far as Linux needs it.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// Ours and everybody else's.
    pub packages: Vec<Package>,
    resolve: Resolve,
}

/// Who uses whom, with the features that are on.
#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Uses>,
}

/// What one crate uses, by their ids.
#[derive(Debug, Deserialize)]
struct Uses {
    id: String,
    dependencies: Vec<String>,
}

/// One crate.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// What tells it from every other crate and version.
    pub id: String,
    /// Its name on crates.io, or ours.
    pub name: String,
    /// Its version.
    pub version: semver::Version,
    /// Its licence as an SPDX expression.
    pub license: Option<String>,
    /// Where it comes from; `None` for ours.
    pub source: Option<String>,
    /// What its manifest asks for.
    pub dependencies: Vec<Dependency>,
}

/// One line of a manifest.
#[derive(Debug, Deserialize)]
pub struct Dependency {
    /// The crate that is asked for.
    pub name: String,
    /// `None` for ordinary ones, else `dev` or `build`.
    pub kind: Option<String>,
    /// Set where it is one of ours.
    pub path: Option<String>,
}

impl Metadata {
    /// Asks cargo, which downloads what it does not have.
    pub fn read(workspace: &Workspace) -> Result<Metadata> {
        // Only Linux is served, so crates that only other systems need are nobody's concern.
        let text = process::output(
            process::cargo()
                .args(["metadata", "--format-version=1", "--locked"])
                .arg(format!("--filter-platform={}-unknown-linux-gnu", std::env::consts::ARCH))
                .current_dir(workspace.root()),
        )?;
        let mut metadata: Metadata = serde_json::from_str(&text)
            .map_err(|error| Error::Answer(format!("cargo metadata: {error}")))?;
        // Metadata also lists what a lock file mentions and no feature turns on; the tree does not.
        let built = built(workspace)?;
        metadata.packages.retain(|package| {
            package.source.is_none()
                || built.contains(&format!("{} v{}", package.name, package.version))
        });
        Ok(metadata)
    }

    /// The crates that use a package themselves, by name.
    pub fn users(&self, used: &Package) -> Vec<&str> {
        let uses = |user: &&Package| {
            let mut nodes = self.resolve.nodes.iter();
            nodes.any(|node| node.id == user.id && node.dependencies.contains(&used.id))
        };
        self.packages.iter().filter(uses).map(|user| user.name.as_str()).collect()
    }

    /// Our own crates by name.
    pub fn members(&self) -> BTreeMap<&str, &Package> {
        let ours = self.packages.iter().filter(|package| package.source.is_none());
        ours.map(|package| (package.name.as_str(), package)).collect()
    }
}

/// Every crate that is compiled for some target of the workspace, as `name v1.2.3`.
fn built(workspace: &Workspace) -> Result<BTreeSet<String>> {
    let tree = process::output(
        process::cargo()
            .args([
                "tree",
                "--workspace",
                "--locked",
                "--prefix=none",
                "--edges=all",
                "--format={p}",
            ])
            .current_dir(workspace.root()),
    )?;
    // After the version may stand `(proc-macro)`, a path, or `(*)`.
    let crates = tree.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some(format!("{} {}", words.next()?, words.next()?))
    });
    Ok(crates.collect())
}
