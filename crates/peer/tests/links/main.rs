//! Links over a network that loses, repeats, reorders and cuts, while shards move and owners crash.
//!
//! One seed, one history. `JACKDAW_LINK_SEED=n cargo test -p jackdaw-peer --test links` plays one
//! again; without it a fixed row of seeds is played.

mod chance;
mod clients;
mod node;
mod world;

use world::{Faults, World};

/// How many histories each test plays.
const SEEDS: u64 = 60;

/// How many steps the faults last.
const STEPS: usize = 1_500;

fn play(faults: Faults) {
    let chosen = std::env::var("JACKDAW_LINK_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = chosen.map_or(0..SEEDS, |seed| seed..seed + 1);
    let mut seen = world::Seen::default();
    for seed in seeds {
        println!("JACKDAW_LINK_SEED={seed}");
        let mut world = World::new(seed, faults);
        for _ in 0..STEPS {
            world.step();
        }
        world.heal();
        seen += world.check();
    }
    println!("{seen:?}");
    if chosen.is_none() {
        seen.assert_all(faults);
    }
}

#[test]
fn nothing_is_lost_repeated_or_reordered_while_links_misbehave() {
    play(Faults { moves: false, crashes: false });
}

#[test]
fn nothing_is_lost_repeated_or_reordered_while_shards_move() {
    play(Faults { moves: true, crashes: false });
}

#[test]
fn nothing_is_lost_repeated_or_reordered_while_owners_crash() {
    play(Faults { moves: true, crashes: true });
}
