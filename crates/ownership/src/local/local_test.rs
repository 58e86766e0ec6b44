use std::time::Duration;

use super::*;
use crate::cluster::Command;
use crate::cluster::fixture::{Log, join, shard};

fn reading(milliseconds: u64) -> Reading {
    let time = Duration::from_millis(milliseconds);
    Reading { boottime: Boottime(time), wall: time }
}

fn at(milliseconds: u64) -> Boottime {
    reading(milliseconds).boottime
}

fn renew(local: &mut LocalNode, now: u64) {
    let renewal = local.poll_renewal(at(now), Vec::new).expect("due");
    let Renewal { incarnation, number, .. } = renewal;
    local.handle_acknowledgement(Acknowledgement { incarnation, number });
}

/// A node that lives as this, with a lease from 0.
fn leased(incarnation: Incarnation) -> LocalNode {
    let mut local = LocalNode::default();
    local.begin(incarnation, LeaseParameters::default(), reading(0));
    renew(&mut local, 0);
    local
}

/// Two nodes, the first of which has shard 0.
fn owner() -> (LocalNode, Log, Vec<Incarnation>, Epoch) {
    let (mut log, nodes) = Log::with_nodes(2);
    let epoch = log.place(0, nodes[0]);
    (leased(nodes[0]), log, nodes, epoch)
}

#[test]
fn it_serves_what_the_map_gives_it_while_it_has_its_lease() {
    let (local, log, nodes, epoch) = owner();
    assert_eq!(local.owner(&log.cluster, shard(0), at(0)), Owner::Here(epoch));
    assert_eq!(local.serves(&log.cluster, shard(0), at(4_749)), Some(epoch));
    assert_eq!(local.owner(&log.cluster, shard(0), at(4_750)), Owner::Nobody);
    let other = leased(nodes[1]);
    let first = log.cluster.id_of(nodes[0]).expect("it lives");
    assert_eq!(other.owner(&log.cluster, shard(0), at(0)), Owner::Node(first, epoch));
    assert_eq!(local.owner(&log.cluster, shard(1), at(0)), Owner::Nobody, "nobody ever had it");
}

#[test]
fn it_serves_nothing_before_its_own_join_is_applied() {
    let (log, _) = Log::with_nodes(1);
    let local = leased(Incarnation(log.next().0));
    assert!(local.is_leased(at(0)));
    assert_eq!(local.serves(&log.cluster, shard(0), at(0)), None);
}

#[test]
fn a_higher_epoch_ends_its_ownership_before_the_map_does() {
    let (mut local, log, _, epoch) = owner();
    assert_eq!(local.see(shard(0), epoch), Seen::Newer);
    assert_eq!(local.serves(&log.cluster, shard(0), at(0)), Some(epoch));
    assert_eq!(local.see(shard(0), Epoch(epoch.0 + 1)), Seen::Newer);
    assert_eq!(local.serves(&log.cluster, shard(0), at(0)), None);
    assert_eq!(local.see(shard(0), epoch), Seen::Older(Epoch(epoch.0 + 1)));
}

#[test]
fn a_renewal_of_another_life_gives_nothing() {
    let (_, log, nodes, _) = owner();
    let mut local = LocalNode::default();
    local.begin(nodes[0], LeaseParameters::default(), reading(0));
    let old = local.poll_renewal(at(0), Vec::new).expect("due");
    local.begin(nodes[1], LeaseParameters::default(), reading(0));
    local.poll_renewal(at(0), Vec::new).expect("due");
    let yes = Acknowledgement { incarnation: old.incarnation, number: old.number };
    local.handle_acknowledgement(yes);
    assert!(!local.is_leased(at(0)));
    assert_eq!(local.serves(&log.cluster, shard(0), at(0)), None);
}

#[test]
fn a_hand_over_is_a_duty_of_both_ends() {
    let (mut local, mut log, nodes, sealed) = owner();
    let mut other = leased(nodes[1]);
    let transfer = log.transfer(0, nodes[1]);
    let effects = log.apply(Command::Handoff(vec![transfer])).expect("both are up");
    let [effect] = &effects[..] else { unreachable!("{effects:?}") };
    let (shards, epoch) = (vec![shard(0)], Epoch(log.cluster.applied().0));
    let seal = Duty::Seal { shards: shards.clone(), sealed, to: nodes[1], epoch };
    assert_eq!(local.handle_effect(&log.cluster, effect.clone()), Some(seal));
    let expect = Duty::Expect { shards, from: nodes[0], sealed, epoch };
    assert_eq!(other.handle_effect(&log.cluster, effect.clone()), Some(expect));
    assert_eq!(local.serves(&log.cluster, shard(0), at(0)), None, "it is sealed");
    assert_eq!(other.serves(&log.cluster, shard(0), at(0)), None, "not yet");
    let heir = log.cluster.id_of(nodes[1]).expect("it lives");
    assert_eq!(local.owner(&log.cluster, shard(0), at(0)), Owner::Node(heir, epoch));
    log.apply(Command::Active(log.handed_over(0))).expect("it was sealed");
    assert_eq!(other.serves(&log.cluster, shard(0), at(0)), Some(epoch));
}

#[test]
fn its_end_is_the_end_of_its_lease() {
    let (mut local, mut log, nodes, _) = owner();
    let effects = log.apply(Command::Ended { incarnation: nodes[0] }).expect("it lives");
    let duties: Vec<_> =
        effects.into_iter().map(|effect| local.handle_effect(&log.cluster, effect)).collect();
    assert_eq!(duties, [Some(Duty::Rejoin)]);
    assert!(!local.is_leased(at(0)));
    assert_eq!(local.incarnation(), None);
}

#[test]
fn who_leaves_stops_at_once() {
    let (mut local, log, nodes, _) = owner();
    assert_eq!(local.give_back(), Some(nodes[0]));
    assert_eq!(local.serves(&log.cluster, shard(0), at(0)), None);
}

#[test]
fn a_snapshot_brings_the_duties_of_the_entries_in_it() {
    let (_, mut log, nodes, _) = owner();
    let late = log.join(join(3));
    log.apply(Command::Ended { incarnation: nodes[0] }).expect("it lives");
    let transfer = log.transfer(0, nodes[1]);
    log.apply(Command::Recovering(vec![transfer])).expect("the owner has ended");
    let epoch = Epoch(log.cluster.applied().0);

    let recover = Duty::Recover { shards: vec![shard(0)], epoch, ask: vec![nodes[1], late] };
    let duties = leased(nodes[1]).handle_snapshot(&log.cluster);
    assert_eq!(duties, [Duty::Bury(nodes[0]), recover]);

    let leave = Duty::Leave { shards: vec![shard(0)], owner: nodes[1], epoch };
    let mut ended = leased(nodes[0]);
    assert_eq!(ended.handle_snapshot(&log.cluster), [Duty::Rejoin, leave]);
    assert_eq!(ended.highest(shard(0)), epoch);

    let mut forgotten = leased(Incarnation(1));
    assert_eq!(forgotten.handle_snapshot(&log.cluster)[1], Duty::Rejoin);
}
