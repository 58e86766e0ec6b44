use std::time::Duration;

use jackdaw_jid::Jid;
use proptest::prelude::*;

use super::*;
use crate::cluster::LeaseParameters;
use crate::cluster::fixture::{Choice, Log, SHARDS, choices, config, shard};
use crate::lease::Acknowledgement;
use crate::time::Reading;

const START: Boottime = Boottime(Duration::from_secs(100));

/// A node that lives as this, with a lease from the start if it is to have one.
fn node(incarnation: Incarnation, leased: bool) -> LocalNode {
    let mut local = LocalNode::default();
    let now = Reading { boottime: START, wall: Duration::ZERO };
    local.begin(incarnation, LeaseParameters::default(), now);
    let number = local.poll_renewal(START, Vec::new).expect("due").number;
    if leased {
        local.handle_acknowledgement(Acknowledgement { incarnation, number });
    }
    local
}

fn publish(local: &LocalNode, log: &Log) -> Directory {
    let (directory, mut publisher) = (Directory::default(), Publisher::default());
    publisher.publish_map(&directory, local, &log.cluster);
    publisher.publish_lease(&directory, local, START);
    directory
}

proptest! {
    /// Whatever happened, the answer without a lock is the answer of the node.
    #[test]
    fn it_says_what_the_node_believes(
        choices in choices(),
        leased: bool,
        seen in proptest::collection::vec((0..SHARDS, 0..90u64), 0..4),
    ) {
        let (mut log, nodes) = Log::with_nodes(3);
        log.place(0, nodes[0]);
        let mut local = node(nodes[0], leased);
        let (directory, mut publisher) = (Directory::default(), Publisher::default());
        publisher.publish_map(&directory, &local, &log.cluster);
        publisher.publish_lease(&directory, &local, START);
        for choice in choices {
            let choice: Choice = choice;
            let command = choice.command(&log);
            for effect in log.apply(command).unwrap_or_default() {
                local.handle_effect(&log.cluster, effect);
            }
            publisher.publish_map(&directory, &local, &log.cluster);
            publisher.publish_lease(&directory, &local, START);
        }
        for (number, epoch) in seen {
            local.see(shard(number), Epoch(epoch));
            directory.see(shard(number), Epoch(epoch));
        }
        for shard in (0..SHARDS).map(shard) {
            prop_assert_eq!(directory.owner(shard), local.owner(&log.cluster, shard, START));
        }
        prop_assert_eq!(directory.is_leased(START), local.is_leased(START));
    }

    #[test]
    fn an_owner_fits_into_a_word(place in 0..NODES_MAX, epoch in 0..1u64 << 54) {
        let word = Word::new(NODE, place, Epoch(epoch));
        prop_assert_eq!((word.kind(), word.place(), word.epoch()), (NODE, place, Epoch(epoch)));
    }
}

#[test]
fn nobody_owns_anything_before_there_is_a_cluster() {
    let account = Jid::parse("juliet@example.net").expect("a JID");
    assert_eq!(Directory::default().owner_of(account.as_jid_ref()), Owner::Nobody);
}

#[test]
fn an_account_is_asked_for_by_its_shard() {
    let (log, nodes) = Log::with_nodes(1);
    let directory = publish(&node(nodes[0], true), &log);
    let account = Jid::parse("juliet@example.net/balcony").expect("a JID");
    let account = account.as_jid_ref();
    let shard = config().shard_hash_key.shard_of(account);
    assert_eq!(directory.shard_of(account), Some(shard));
    assert_eq!(directory.owner_of(account), directory.owner(shard));
}

#[test]
fn a_lease_that_lapsed_stops_all_shards_at_once() {
    let (mut log, nodes) = Log::with_nodes(1);
    let epoch = log.place(0, nodes[0]);
    let local = node(nodes[0], true);
    let directory = publish(&local, &log);
    assert_eq!(directory.owner(shard(0)), Owner::Here(epoch));
    let end = START + LeaseParameters::default().held_for();
    assert!(!directory.is_leased(end), "a thread with a clock knows at once");
    Publisher::default().publish_lease(&directory, &local, end);
    assert_eq!(directory.owner(shard(0)), Owner::Nobody);
}

#[test]
fn a_frame_of_a_higher_epoch_ends_ownership_on_all_threads() {
    let (mut log, nodes) = Log::with_nodes(1);
    let epoch = log.place(0, nodes[0]);
    let directory = publish(&node(nodes[0], true), &log);
    assert_eq!(directory.see(shard(0), epoch), Seen::Current);
    assert_eq!(directory.see(shard(0), Epoch(epoch.0 + 1)), Seen::Newer);
    assert_eq!(directory.owner(shard(0)), Owner::Nobody);
    assert_eq!(directory.see(shard(0), epoch), Seen::Older(Epoch(epoch.0 + 1)));
    assert_eq!(directory.highest(shard(0)), Epoch(epoch.0 + 1));
}
