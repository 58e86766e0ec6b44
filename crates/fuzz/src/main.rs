//! The targets under libFuzzer: `JACKDAW_FUZZ_TARGET` names the one to run, the arguments are
//! libFuzzer's. Started by `cargo xtask fuzz`, which also sees to the instrumentation.
#![forbid(unsafe_code)]
#![no_main]

use std::sync::OnceLock;

use jackdaw_fuzz::{TARGETS, Target, target};
use libfuzzer_sys::fuzz_target;

/// The target of this run.
static CHOSEN: OnceLock<&Target> = OnceLock::new();

/// libFuzzer owns the command line, so the name comes by the environment.
fn choose() {
    let name = std::env::var("JACKDAW_FUZZ_TARGET").unwrap_or_default();
    let Some(chosen) = target(&name) else {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("set JACKDAW_FUZZ_TARGET to one of: {}", names.join(", "));
        std::process::exit(2);
    };
    CHOSEN.get_or_init(|| chosen);
}

fuzz_target!(init: choose(), |data: &[u8]| {
    if let Some(chosen) = CHOSEN.get() {
        (chosen.run)(data);
    }
});
