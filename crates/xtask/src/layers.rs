//! Which crate may use which: strictly lower layers only, so that no cycle can be written.

use std::fmt::Write as _;

use crate::error::{Error, Result};
use crate::metadata::{Metadata, Package};
use crate::workspace::Workspace;

/// One of our crates: its package, its layer, and what it is, for the diagram.
struct Room {
    package: &'static str,
    layer: u8,
    owns: &'static str,
}

const fn room(package: &'static str, layer: u8, owns: &'static str) -> Room {
    Room { package, layer, owns }
}

/// Every crate there is or will be. A new line here is the rarest kind of change.
const HOUSE: &[Room] = &[
    room("jackdaw-faults", 0, "where tests end the process, and what mistakes they make it make"),
    room("jackdaw-test-postgres", 0, "a PostgreSQL of a test's own"),
    room("jackdaw-stdx", 0, "bounded queue, clock and rng traits, limits; no domain word in it"),
    room("jackdaw-jid", 1, "addresses (RFC 7622)"),
    room("jackdaw-xml", 1, "framer, tokenizer, element, writer"),
    room("jackdaw-stanza", 2, "message, presence, iq, errors, payloads several extensions share"),
    room("jackdaw-stream", 3, "c2s machines, SASL, stream management (sans-IO)"),
    room("jackdaw-session", 3, "sharded table of sessions and their outboxes"),
    room("jackdaw-ownership", 3, "who decides for which account"),
    room("jackdaw-store", 3, "storage traits, memory engine, conformance suite"),
    room("jackdaw-ext", 4, "what an extension is: registry, context, effects, phases"),
    room("jackdaw-store-fjall", 4, "the embedded storage engine"),
    room("jackdaw-store-postgres", 4, "the storage engine of a cluster"),
    room("jackdaw-router", 5, "where a stanza goes"),
    room("jackdaw-im", 5, "roster, presence, subscriptions (RFC 6121)"),
    room("jackdaw-xeps", 5, "the extensions, one file each"),
    room("jackdaw-muc", 5, "rooms"),
    room("jackdaw-pubsub", 5, "publish-subscribe"),
    room("jackdaw-edge", 6, "workers, I/O drivers, TLS, listeners"),
    room("jackdaw-http", 6, "health and metrics"),
    room("jackdaw-admin", 6, "commands for the running server"),
    room("jackdaw-peer", 6, "node to node"),
    room("jackdaw-consensus", 6, "the log that orders what the cluster decides"),
    room("jackdaw-loadtest", 6, "clients by the thousand"),
    room("jackdaw-server", 7, "configuration, wiring, signals, command line"),
    room("jackdaw-e2e", 7, "end-to-end scripts and their runner"),
    room("jackdaw-sim", 7, "the cluster in one thread with one seed"),
    room("xtask", 7, "this tooling"),
    room("jackdaw-fuzz", 8, "fuzz targets, with what is read in no lower crate than the server"),
    room("jackdaw-bench", 8, "speed of single crates and of the whole, beside a raw relay"),
];

/// Edges inside a layer that only tests use, each with its reason.
const DEV_EDGES: &[(&str, &str, &str)] = &[];

/// The layer of a package, by its name.
pub fn layer_of(package: &str) -> Option<u8> {
    HOUSE.iter().find(|room| room.package == package).map(|room| room.layer)
}

/// Fails where a crate uses its own layer or a higher one.
pub fn check(workspace: &Workspace) -> Result<()> {
    let metadata = Metadata::read(workspace)?;
    let findings = metadata.members().values().flat_map(|package| judge(package)).collect();
    Error::unless_empty("layers", findings)
}

fn judge(package: &Package) -> Vec<String> {
    let name = package.name.as_str();
    let Some(layer) = layer_of(name) else {
        return vec![format!("{name} has no layer; add it to HOUSE in crates/xtask/src/layers.rs")];
    };
    let ours = package.dependencies.iter().filter(|dependency| dependency.path.is_some());
    ours.filter_map(|dependency| {
        let used = dependency.name.as_str();
        let used_layer = layer_of(used)?;
        let reasoned = dependency.kind.as_deref() == Some("dev")
            && DEV_EDGES.iter().any(|&(from, to, _)| (from, to) == (name, used));
        (used_layer >= layer && !reasoned).then(|| {
            format!(
                "{name} (L{layer}) uses {used} (L{used_layer}); put a trait into a crate below L{layer}, \
                 implement it in {used}, and let jackdaw-server join them"
            )
        })
    })
    .collect()
}

/// The diagram for docs/architecture.md, of the crates that exist, highest layer first.
pub fn diagram(workspace: &Workspace) -> Result<String> {
    let metadata = Metadata::read(workspace)?;
    let members = metadata.members();
    let mut text = String::from("```text\n");
    for layer in (0..=8).rev() {
        let mut heading = format!("L{layer}");
        for room in HOUSE.iter().filter(|room| room.layer == layer) {
            if !members.contains_key(room.package) {
                continue;
            }
            let short = room.package.trim_start_matches("jackdaw-");
            writeln!(text, "{heading:<4}{short:<15}{}", room.owns).expect("a String takes it all");
            heading.clear();
        }
    }
    text.push_str("```\n");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Dependency;

    fn package(name: &str, uses: &str, kind: Option<&str>) -> Package {
        Package {
            id: name.into(),
            name: name.into(),
            version: semver::Version::new(0, 1, 0),
            license: None,
            source: None,
            dependencies: vec![Dependency {
                name: uses.into(),
                kind: kind.map(str::to_owned),
                path: Some(String::new()),
            }],
        }
    }

    #[test]
    fn a_lower_layer_may_be_used() {
        assert!(judge(&package("jackdaw-xml", "jackdaw-stdx", None)).is_empty());
    }

    #[test]
    fn the_own_layer_may_not_be_used_not_even_by_tests() {
        assert_eq!(judge(&package("jackdaw-router", "jackdaw-xeps", None)).len(), 1);
        assert_eq!(judge(&package("jackdaw-router", "jackdaw-xeps", Some("dev"))).len(), 1);
    }

    #[test]
    fn a_crate_without_a_layer_is_refused() {
        assert_eq!(judge(&package("jackdaw-helpers", "jackdaw-stdx", None)).len(), 1);
    }
}
