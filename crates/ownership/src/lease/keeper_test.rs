use super::*;
use crate::cluster::Command;
use crate::cluster::fixture::{Log, join};

const LENGTH: u64 = 5_250;

fn at(milliseconds: u64) -> Boottime {
    Boottime(Duration::from_millis(milliseconds))
}

fn renewal(incarnation: Incarnation, number: u64) -> Renewal {
    Renewal { incarnation, number: RenewalNumber(number), unreachable: Vec::new() }
}

fn acknowledged(incarnation: Incarnation, number: u64) -> Acknowledgement {
    Acknowledgement { incarnation, number: RenewalNumber(number) }
}

/// Elected at 0 by three nodes, with its first entry applied.
fn keeper() -> (Keeper, Log, Vec<Incarnation>) {
    let (log, nodes) = Log::with_nodes(3);
    let mut keeper = Keeper::new(LeaseParameters::default(), at(0), &log.cluster);
    keeper.handle_first_entry_applied();
    (keeper, log, nodes)
}

/// Renews those in a round that takes no time.
fn renew(keeper: &mut Keeper, now: u64, nodes: &[Incarnation]) -> Vec<Acknowledgement> {
    for node in nodes {
        keeper.handle_renewal(at(now), renewal(*node, now));
    }
    let round = keeper.poll_round(at(now));
    round.map(|round| keeper.handle_round_succeeded(at(now), round)).unwrap_or_default()
}

#[test]
fn nothing_is_renewed_before_the_first_entry_is_applied() {
    let (log, nodes) = Log::with_nodes(1);
    let mut keeper = Keeper::new(LeaseParameters::default(), at(0), &log.cluster);
    assert_eq!(renew(&mut keeper, 0, &nodes), []);
    assert_eq!(keeper.poll_ended(at(60_000)), [], "its map may be old");
    keeper.handle_first_entry_applied();
    let round = keeper.poll_round(at(1)).expect("one waits");
    assert_eq!(keeper.handle_round_succeeded(at(2), round), [acknowledged(nodes[0], 0)]);
}

#[test]
fn a_round_that_began_before_the_renewal_came_does_not_count() {
    let (mut keeper, _, nodes) = keeper();
    keeper.handle_renewal(at(0), renewal(nodes[0], 0));
    let first = keeper.poll_round(at(0)).expect("one waits");
    keeper.handle_renewal(at(1), renewal(nodes[1], 0));
    keeper.handle_renewal(at(1), renewal(nodes[0], 1));
    assert_eq!(keeper.poll_round(at(1)), None, "one round at a time");
    assert_eq!(keeper.handle_round_succeeded(at(2), first), [acknowledged(nodes[0], 0)]);
    let second = keeper.poll_round(at(2)).expect("two wait");
    let both = [acknowledged(nodes[0], 1), acknowledged(nodes[1], 0)];
    assert_eq!(keeper.handle_round_succeeded(at(3), second), both, "one round serves all");
}

#[test]
fn a_round_that_failed_renews_nobody() {
    let (mut keeper, _, nodes) = keeper();
    keeper.handle_renewal(at(0), renewal(nodes[0], 0));
    let round = keeper.poll_round(at(0)).expect("one waits");
    keeper.handle_round_failed(round);
    assert_eq!(keeper.handle_round_succeeded(at(1), round), []);
    assert_eq!(keeper.poll_round(at(1)), None, "who waited asks again");
    keeper.handle_renewal(at(500), renewal(nodes[0], 1));
    assert!(keeper.poll_round(at(500)).is_some());
}

#[test]
fn a_lease_is_ended_after_the_last_renewal_that_was_acknowledged() {
    let (mut keeper, _, nodes) = keeper();
    renew(&mut keeper, 1_000, &nodes);
    renew(&mut keeper, 3_000, &nodes[..2]);
    // This one is never acknowledged.
    keeper.handle_renewal(at(4_000), renewal(nodes[2], 9));
    assert_eq!(keeper.poll_timeout(), Some(at(1_000 + LENGTH)));
    assert_eq!(keeper.poll_ended(at(999 + LENGTH)), []);
    assert_eq!(keeper.poll_ended(at(1_000 + LENGTH)), [nodes[2]]);
}

#[test]
fn a_new_leader_ends_nobody_before_a_lease_after_its_election() {
    let (log, nodes) = Log::with_nodes(2);
    let mut keeper = Keeper::new(LeaseParameters::default(), at(7_000), &log.cluster);
    keeper.handle_first_entry_applied();
    assert_eq!(keeper.poll_ended(at(6_999 + LENGTH)), []);
    assert_eq!(keeper.poll_ended(at(7_000 + LENGTH)), nodes);
}

/// Interleaving 1, its second half: the leader renews between proposing and committing.
#[test]
fn from_the_proposal_on_nothing_is_renewed() {
    let (mut keeper, _, nodes) = keeper();
    renew(&mut keeper, 5_000, &nodes[1..]);
    keeper.handle_renewal(at(5_200), renewal(nodes[0], 1));
    let round = keeper.poll_round(at(5_200)).expect("one waits");
    assert_eq!(keeper.poll_ended(at(LENGTH)), [nodes[0]]);
    assert_eq!(keeper.handle_round_succeeded(at(5_300), round), [], "the proposal came first");
    assert_eq!(renew(&mut keeper, 5_400, &nodes[..1]), []);
}

#[test]
fn an_end_that_was_lost_is_proposed_again() {
    let (mut keeper, mut log, nodes) = keeper();
    renew(&mut keeper, 5_000, &nodes[1..]);
    assert_eq!(keeper.poll_ended(at(LENGTH)), [nodes[0]]);
    assert_eq!(keeper.poll_ended(at(LENGTH + 1)), []);
    assert_eq!(keeper.poll_ended(at(LENGTH + 1_200)), [nodes[0]]);
    log.apply(Command::Ended { incarnation: nodes[0] }).expect("it lives");
    keeper.handle_map(at(LENGTH + 1_300), &log.cluster);
    assert_eq!(keeper.poll_ended(at(LENGTH + 2_400)), []);
    assert_eq!(renew(&mut keeper, 7_000, &nodes[..1]), [], "it has ended");
}

#[test]
fn a_life_that_is_new_has_a_whole_lease_to_ask() {
    let (mut keeper, mut log, nodes) = keeper();
    let late = log.join(join(4));
    renew(&mut keeper, 4_000, &nodes);
    keeper.handle_map(at(4_000), &log.cluster);
    assert_eq!(keeper.poll_ended(at(3_999 + LENGTH)), []);
    assert!(keeper.poll_ended(at(4_000 + LENGTH)).contains(&late));
}

#[test]
fn a_lease_given_back_is_not_renewed() {
    let (mut keeper, _, nodes) = keeper();
    keeper.handle_renewal(at(0), renewal(nodes[0], 0));
    assert!(keeper.handle_given_back(at(1), nodes[0]));
    assert_eq!(keeper.poll_round(at(1)), None);
    assert!(!keeper.handle_given_back(at(1), Incarnation(99)));
}

#[test]
fn a_pair_that_does_not_reach_each_other_loses_the_higher_id() {
    let (mut keeper, _, nodes) = keeper();
    let mut now = 0;
    let mut ended = Vec::new();
    while ended.is_empty() && now < 20_000 {
        now += 500;
        for node in &nodes {
            let other = [nodes[1], nodes[0]].into_iter().zip(&nodes).find(|(_, of)| *of == node);
            let unreachable = other.map(|(other, _)| other).into_iter().collect();
            keeper.handle_renewal(at(now), Renewal { unreachable, ..renewal(*node, now) });
        }
        if let Some(round) = keeper.poll_round(at(now)) {
            let acknowledged = keeper.handle_round_succeeded(at(now), round);
            assert!(acknowledged.iter().all(|yes| yes.incarnation != nodes[1]));
        }
        ended = keeper.poll_ended(at(now));
    }
    assert_eq!(ended, [nodes[1]]);
    assert!(now >= LENGTH, "its lease had to be over first");
}

#[test]
fn a_pair_that_reaches_each_other_again_goes_on() {
    let (mut keeper, _, nodes) = keeper();
    let report = Renewal { unreachable: vec![nodes[1]], ..renewal(nodes[0], 0) };
    keeper.handle_renewal(at(0), report);
    assert!(!renew(&mut keeper, 0, &nodes[1..]).contains(&acknowledged(nodes[1], 0)));
    assert_eq!(renew(&mut keeper, 500, &nodes).len(), 3);
}

#[test]
fn the_report_of_a_node_that_is_gone_is_forgotten() {
    let (mut keeper, _, nodes) = keeper();
    let report = Renewal { unreachable: vec![nodes[1]], ..renewal(nodes[0], 0) };
    keeper.handle_renewal(at(0), report);
    assert_eq!(renew(&mut keeper, 0, &[]), [acknowledged(nodes[0], 0)]);
    assert_eq!(renew(&mut keeper, 1_999, &nodes[1..2]), []);
    assert_eq!(renew(&mut keeper, 2_000, &nodes[1..2]), [acknowledged(nodes[1], 2_000)]);
}

#[test]
fn a_leader_that_was_away_ends_nobody_for_its_own_silence() {
    let (mut keeper, _, nodes) = keeper();
    renew(&mut keeper, 0, &nodes);
    keeper.handle_away(at(60_000));
    assert_eq!(keeper.poll_ended(at(60_000)), []);
    assert_eq!(keeper.poll_ended(at(60_000 + LENGTH)), nodes);
}
