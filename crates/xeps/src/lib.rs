//! The extensions: one XEP, one file, named by its subject.
//!
//! A file says what it handles (`register`), how (its handlers), and what it stores. [`ALL`] lists
//! them, [`order`] says in which order they look at a stanza, [`register_all`] puts them into a
//! registry. What several of them share is in [`forms`] (XEP-0004).
//!
//! Does not: route, know another extension, or do what the stream does ([`stream_xeps`] only names
//! it). Roster and presence are in `jackdaw_im`.
#![forbid(unsafe_code)]

pub mod forms;
pub mod order;

pub mod avatars;
pub mod blocking;
pub mod caps;
pub mod carbons;
pub mod commands;
pub mod contact;
pub mod delay;
pub mod disco;
pub mod hints;
pub mod last_activity;
pub mod offline;
pub mod ping;
pub mod private_storage;
pub mod registration;
pub mod roster_versioning;
pub mod service_administration;
pub mod stanza_ids;
pub mod stream_xeps;
pub mod time;
pub mod vcard;
pub mod version;

#[cfg(test)]
#[path = "harness_test.rs"]
mod test_harness;

use jackdaw_ext::{Deps, Registry, Xep};

/// One extension.
pub struct Extension {
    /// What it says of itself.
    pub info: Xep,
    /// Registers what it handles.
    pub register: fn(&mut Registry, &Deps),
}

/// Every extension, by number.
pub const ALL: &[Extension] = &[
    Extension { info: last_activity::INFO, register: last_activity::register },
    Extension { info: disco::INFO, register: disco::register },
    Extension { info: private_storage::INFO, register: private_storage::register },
    Extension { info: commands::INFO, register: commands::register },
    Extension { info: vcard::INFO, register: vcard::register },
    Extension { info: registration::INFO, register: registration::register },
    Extension { info: version::INFO, register: version::register },
    Extension { info: caps::INFO, register: caps::register },
    Extension { info: service_administration::INFO, register: nothing },
    Extension { info: avatars::INFO, register: avatars::register },
    Extension { info: contact::INFO, register: contact::register },
    Extension { info: offline::INFO, register: offline::register },
    Extension { info: blocking::INFO, register: blocking::register },
    Extension { info: stream_xeps::STREAM_MANAGEMENT, register: nothing },
    Extension { info: ping::INFO, register: ping::register },
    Extension { info: time::INFO, register: time::register },
    Extension { info: delay::INFO, register: delay::register },
    Extension { info: roster_versioning::INFO, register: nothing },
    Extension { info: carbons::INFO, register: carbons::register },
    Extension { info: hints::INFO, register: hints::register },
    Extension { info: stream_xeps::CLIENT_STATE, register: nothing },
    Extension { info: stanza_ids::INFO, register: stanza_ids::register },
    Extension { info: stream_xeps::BIND_2, register: nothing },
    Extension { info: stream_xeps::SASL_2, register: nothing },
    Extension { info: stream_xeps::CHANNEL_BINDING_TYPES, register: nothing },
    Extension { info: stream_xeps::DOWNGRADE_PROTECTION, register: nothing },
    Extension { info: stream_xeps::STREAM_LIMITS, register: nothing },
    Extension { info: stream_xeps::FAST, register: nothing },
];

/// For what is done elsewhere, and only listed here.
fn nothing(_: &mut Registry, _: &Deps) {}

/// Registers every extension and puts their hooks in order. Called last: the server's capabilities
/// (XEP-0115) are computed from what discovery shows by then.
pub fn register_all(registry: &mut Registry, deps: &Deps) {
    for extension in ALL {
        (extension.register)(registry, deps);
    }
    registry.order(order::OUTBOUND, order::INBOUND);
    caps::advertise(registry);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_listed_once_and_by_number() {
        let numbers: Vec<u16> = ALL.iter().map(|extension| extension.info.number).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    }

    #[test]
    fn discovery_shows_every_feature_that_an_extension_says_it_has() {
        let harness = test_harness::Harness::new();
        let host = &harness.registry.host_disco().features;
        let account = &harness.registry.account_disco().features;
        for extension in ALL {
            for feature in extension.info.features {
                let is_shown = host.contains(feature) || account.contains(feature);
                assert!(is_shown, "{} of XEP-{:04}", feature, extension.info.number);
            }
        }
    }
}
