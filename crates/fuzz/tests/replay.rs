//! Every seed, and everything fuzzing has found, as ordinary tests.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use jackdaw_fuzz::TARGETS;

/// Runs every file of a target's folder; names all that fail.
fn replay(name: &str) {
    let target = jackdaw_fuzz::target(name).expect("a target");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("every target has seeds")
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    files.sort();
    assert!(files.len() > 4, "{} seeds are too few to start from", files.len());
    let fails = |path: &Path| {
        let input = fs::read(path).expect("a readable seed");
        catch_unwind(AssertUnwindSafe(|| (target.run)(&input))).is_err()
    };
    files.retain(|path| fails(path));
    assert!(files.is_empty(), "{files:#?}");
}

macro_rules! replay {
    ($($test:ident => $target:literal),* $(,)?) => {
        $(#[test]
        fn $test() {
            replay($target);
        })*

        #[test]
        fn every_target_is_replayed() {
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$($target),*]);
        }
    };
}

replay! {
    the_framer_keeps_its_promises_on_every_seed => "framer",
    the_tokenizer_keeps_its_promises_on_every_seed => "tokenizer",
    addresses_keep_their_promises_on_every_seed => "jid",
    sasl_keeps_its_promises_on_every_seed => "sasl",
    streams_keep_their_promises_on_every_seed => "c2s",
    configurations_keep_their_promises_on_every_seed => "config",
    other_nodes_are_borne_on_every_seed => "peer",
}
