//! Who has which full JID, over a network that loses, repeats, reorders and cuts, while shards
//! move, nodes crash, and nodes that were ended join again.
//!
//! One seed, one history. `JACKDAW_REGISTRY_SEED=n cargo test -p jackdaw-ownership --test registry`
//! plays one again; without it a fixed row of seeds is played.

mod bugs;
mod chance;
mod model;
mod node;
mod scripted;
mod world;

use bugs::Bug;
use world::World;

/// How many histories are played.
const SEEDS: u64 = 1_000;

/// How many steps the faults last.
const STEPS: usize = 1_200;

fn chosen() -> Option<u64> {
    std::env::var("JACKDAW_REGISTRY_SEED").ok().and_then(|seed| seed.parse().ok())
}

fn play(seed: u64, bug: Option<Bug>) -> World {
    let mut world = World::new(seed, bug);
    for _ in 0..STEPS {
        world.step();
        if world.wrong.is_some() {
            return world;
        }
    }
    world.heal();
    world
}

#[test]
fn one_socket_at_a_time_acts_for_a_full_jid() {
    let seeds = chosen().map_or(0..SEEDS, |seed| seed..seed + 1);
    let (mut told, mut seen) = (Vec::new(), Vec::new());
    for seed in seeds {
        let world = play(seed, None);
        assert_eq!(world.wrong, None, "JACKDAW_REGISTRY_SEED={seed}");
        told.push(world.told);
        seen.push(world.seen);
    }
    if chosen().is_some() {
        return;
    }
    let told_sum = |of: fn(&node::Told) -> usize| told.iter().map(of).sum::<usize>();
    let seen_sum = |of: fn(&world::Seen) -> usize| seen.iter().map(of).sum::<usize>();
    // A test of nothing is noticed.
    for (what, count) in [
        ("bound", told_sum(|it| it.bound)),
        ("resumed", told_sum(|it| it.resumed)),
        ("returned", told_sum(|it| it.returned)),
        ("evicted", told_sum(|it| it.evicted)),
        ("refused", told_sum(|it| it.refused)),
        ("lost", told_sum(|it| it.lost)),
        ("detached", told_sum(|it| it.detached)),
        ("deposed", told_sum(|it| it.deposed)),
        ("crashes", seen_sum(|it| it.crashes)),
        ("rejoins", seen_sum(|it| it.rejoins)),
        ("handoffs", seen_sum(|it| it.handoffs)),
        ("failed handoffs", seen_sum(|it| it.failed_handoffs)),
        ("recoveries", seen_sum(|it| it.recoveries)),
        ("cuts", seen_sum(|it| it.cuts)),
    ] {
        println!("{what}: {count}");
        assert!(count > 20, "{what}: {count}");
    }
}

fn is_found(bug: Bug) {
    let found = (0..SEEDS).find_map(|seed| play(seed, Some(bug)).wrong.map(|wrong| (seed, wrong)));
    let (seed, wrong) = found.expect("the mistake is found");
    println!("JACKDAW_REGISTRY_SEED={seed} finds {bug:?}: {}", wrong.lines().next().unwrap_or(""));
}

#[test]
fn an_eviction_that_spares_what_is_in_flight_is_found() {
    is_found(Bug::EvictionSparesWhatIsInFlight);
}

#[test]
fn a_failed_hand_over_that_keeps_its_owner_is_found() {
    is_found(Bug::FailedHandOffKeepsItsOwner);
}

#[test]
fn a_socket_node_without_a_fence_is_found() {
    is_found(Bug::NoFenceAtTheSocket);
}

#[test]
fn a_recovery_that_waits_for_nobody_is_found() {
    is_found(Bug::RecoveryWaitsForNobody);
}

#[test]
fn a_repetition_that_counts_as_new_is_found() {
    is_found(Bug::RepetitionIsNew);
}
