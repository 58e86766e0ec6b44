//! What fuzzers call: one function per target that takes any bytes and panics if a promise of the
//! crate under test does not hold.
//!
//! Owns the targets, their seeds and what fuzzing has found (`corpus/`). The same functions run as
//! ordinary tests over those files, and under libFuzzer by `cargo xtask fuzz`.
//!
//! Does not: make inputs, measure coverage (libFuzzer does), or test anything with I/O.
#![forbid(unsafe_code)]

mod account;
mod c2s;
mod config;
mod framer;
mod jid;
mod peer;
mod sasl;
mod script;
mod tokenizer;

// What the tests of the XML reader compare is compared here too.
#[path = "../../xml/tests/xml/agreement.rs"]
mod agreement;
#[path = "../../xml/tests/xml/events.rs"]
mod events;
#[path = "../../xml/tests/xml/reference.rs"]
mod reference;

/// Something to fuzz.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name on the command line and in `corpus/`.
    pub name: &'static str,
    /// Panics if a promise does not hold for this input.
    pub run: fn(&[u8]),
}

/// Every target, in the order in which a client meets the code.
pub const TARGETS: [Target; 7] = [
    Target { name: "framer", run: framer::run },
    Target { name: "tokenizer", run: tokenizer::run },
    Target { name: "jid", run: jid::run },
    Target { name: "sasl", run: sasl::run },
    Target { name: "c2s", run: c2s::run },
    Target { name: "config", run: config::run },
    Target { name: "peer", run: peer::run },
];

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
