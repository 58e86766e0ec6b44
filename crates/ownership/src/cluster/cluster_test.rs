use std::collections::BTreeSet;

use proptest::prelude::*;

use super::fixture::{Log, choices, config, join, residence, shard};
use super::*;

proptest! {
    #[test]
    fn epochs_rise_and_refused_commands_change_nothing(choices in choices()) {
        let mut log = Log::new();
        for choice in choices {
            let before = log.cluster.clone();
            let (index, command) = (log.next(), choice.command(&log));
            let refused = log.apply(command).is_err();
            let mut after = log.cluster.clone();
            prop_assert_eq!(after.applied, index);
            for (shard, was) in before.assignments() {
                let is = after.assignment(shard).expect("shards stay");
                prop_assert!(is.epoch_max() >= was.epoch_max());
                prop_assert!(is.epoch >= was.epoch);
                let same_owner = is.owner == was.owner;
                prop_assert!(is.epoch > was.epoch || same_owner, "{:?} after {:?}", is, was);
            }
            after.applied = before.applied;
            prop_assert!(!refused || after == before);
        }
    }

    #[test]
    fn ids_and_lives_never_repeat(choices in choices()) {
        let mut log = Log::new();
        let (mut gone, mut lives) = (BTreeSet::new(), BTreeSet::new());
        for choice in choices {
            let ids: BTreeSet<_> = log.cluster.nodes().keys().copied().collect();
            let command = choice.command(&log);
            for effect in log.apply(command).unwrap_or_default() {
                if let Effect::Joined { node, incarnation } = effect {
                    prop_assert!(!gone.contains(&node), "{} again", node);
                    prop_assert!(lives.insert(incarnation), "{} again", incarnation);
                    prop_assert!(ids.contains(&node) || node.0 == incarnation.0);
                }
            }
            gone.extend(ids.into_iter().filter(|id| !log.cluster.nodes().contains_key(id)));
        }
    }

    /// A shard that somebody served goes to another one only when that one is known to have ended,
    /// or was told to hand it over.
    #[test]
    fn nobody_loses_a_shard_while_it_lives_and_knows_nothing(choices in choices()) {
        let mut log = Log::new();
        for choice in choices {
            let before = log.cluster.clone();
            let command = choice.command(&log);
            let _ = log.apply(command);
            for (shard, was) in before.assignments() {
                let is = log.cluster.assignment(shard).expect("shards stay");
                let told = matches!(was.phase, Phase::Handoff { .. });
                prop_assert!(is.owner == was.owner || told || before.live(was.owner).is_none());
            }
        }
    }

    #[test]
    fn no_node_has_more_moves_than_it_may(choices in choices()) {
        let mut log = Log::new();
        for choice in choices {
            let command = choice.command(&log);
            let _ = log.apply(command);
            let most = log.cluster.moves().into_values().max().unwrap_or(0);
            prop_assert!(most <= usize::from(config().moves_max));
        }
    }
}

#[test]
fn nothing_comes_before_the_cluster() {
    let mut cluster = Cluster::default();
    let refused = cluster.apply(LogIndex(1), Command::Join(join(1)));
    assert_eq!(refused, Err(Refusal::NotInitialised));
    let unsound = Command::Initialise(Config { shards: 0, ..config() });
    assert_eq!(cluster.apply(LogIndex(2), unsound), Err(Refusal::Unsound));
    assert!(cluster.apply(LogIndex(3), Command::Initialise(config())).is_ok());
    let again = cluster.apply(LogIndex(4), Command::Initialise(config()));
    assert_eq!(again, Err(Refusal::Initialised));
}

#[test]
fn a_life_is_the_index_of_its_join() {
    let mut log = Log::new();
    let index = log.next();
    let joined = log.apply(Command::Join(join(1)));
    let incarnation = Incarnation(index.0);
    assert_eq!(joined, Ok(vec![Effect::Joined { node: NodeId(index.0), incarnation }]));
}

#[test]
fn who_initialised_has_an_id_from_before_all_entries() {
    let mut log = Log::new();
    let first = log.join(Join { node: Some(NodeId::FIRST), ..join(1) });
    assert_eq!(log.cluster.id_of(first), Some(NodeId::FIRST));
    // Nobody else gets it, whatever it says.
    let (mut log, _) = Log::with_nodes(1);
    let refused = log.apply(Command::Join(Join { node: Some(NodeId::FIRST), ..join(2) }));
    assert_eq!(refused, Err(Refusal::UnknownNode(NodeId::FIRST)));
}

#[test]
fn an_earlier_life_ends_only_by_ended_or_by_the_lock_of_its_directory() {
    let (mut log, nodes) = Log::with_nodes(1);
    let node = log.cluster.id_of(nodes[0]);
    let elsewhere = Join { node, residence: residence(1, 1), ..join(1) };
    let refused = log.apply(Command::Join(elsewhere.clone()));
    assert_eq!(refused, Err(Refusal::NotEnded(nodes[0])), "another boot proves nothing");

    let ended = Effect::Ended { incarnation: nodes[0] };
    let effects = log.apply(Command::Join(Join { node, ..join(1) })).expect("the same directory");
    assert_eq!(effects[0], ended, "whoever holds the lock is alone");

    let incarnation = Incarnation(log.cluster.applied().0);
    assert!(log.apply(Command::Ended { incarnation }).is_ok());
    assert!(log.apply(Command::Join(elsewhere)).is_ok());
}

#[test]
fn a_lock_over_the_network_proves_nothing() {
    let mut log = Log::new();
    let far = Residence { local: false, ..residence(1, 0) };
    let life = log.join(Join { residence: far, ..join(1) });
    let again = Join { node: log.cluster.id_of(life), residence: far, ..join(1) };
    assert_eq!(log.apply(Command::Join(again)), Err(Refusal::NotEnded(life)));
}

#[test]
fn a_node_that_lost_its_disk_replaces_its_namesake_once_that_has_ended() {
    let (mut log, nodes) = Log::with_nodes(2);
    let fresh = Join { residence: residence(9, 0), ..join(1) };
    assert_eq!(log.apply(Command::Join(fresh.clone())), Err(Refusal::NotEnded(nodes[0])));
    log.apply(Command::Ended { incarnation: nodes[0] }).expect("it lives");
    let lost = NodeId(nodes[0].0);
    let effects = log.apply(Command::Join(fresh)).expect("the namesake has ended");
    assert!(effects.contains(&Effect::Forgotten { node: lost }));
    let back = log.apply(Command::Join(Join { node: Some(lost), ..join(1) }));
    assert_eq!(back, Err(Refusal::UnknownNode(lost)), "an id is not used again");
}

#[test]
fn only_ended_makes_a_shard_free() {
    let (mut log, nodes) = Log::with_nodes(2);
    log.place(0, nodes[0]);
    let transfer = log.transfer(0, nodes[1]);
    let taken = log.apply(Command::Recovering(vec![transfer.clone()]));
    assert_eq!(taken, Err(Refusal::Owned(nodes[0])));
    log.apply(Command::Draining { incarnation: nodes[0] }).expect("it is up");
    let taken = log.apply(Command::Recovering(vec![transfer.clone()]));
    assert_eq!(taken, Err(Refusal::Owned(nodes[0])), "who leaves is still there");
    log.apply(Command::Ended { incarnation: nodes[0] }).expect("it lives");
    assert!(log.apply(Command::Recovering(vec![transfer])).is_ok());
}

#[test]
fn a_recovery_waits_for_everybody_who_lives() {
    let (mut log, nodes) = Log::with_nodes(3);
    let transfer = log.transfer(0, nodes[0]);
    log.apply(Command::Recovering(vec![transfer])).expect("nobody has it");
    let late = log.join(join(4));
    let all = log.recovered(0);
    assert_eq!(all.after, Takeover::Recovery { answered: nodes.clone() }, "{late} knows nothing");
    let some = Takeover::Recovery { answered: nodes[..2].to_vec() };
    let some = Activation { after: some, ..all };
    let early = log.apply(Command::Active(some.clone()));
    assert_eq!(early, Err(Refusal::Answer(nodes[2])));
    log.apply(Command::Ended { incarnation: nodes[2] }).expect("it lives");
    assert!(log.apply(Command::Active(some)).is_ok(), "the end of a node is its answer");
}

#[test]
fn a_shard_is_handed_over() {
    let (mut log, nodes) = Log::with_nodes(2);
    let sealed = log.place(0, nodes[0]);
    let epoch = Epoch::from(log.next());
    let transfer = log.transfer(0, nodes[1]);
    let effects = log.apply(Command::Handoff(vec![transfer])).expect("both are up");
    let shards = vec![shard(0)];
    let (from, to) = (nodes[0], nodes[1]);
    assert_eq!(effects, [Effect::Handoff { shards, from, sealed, to, epoch }]);
    let activation = log.handed_over(0);
    log.apply(Command::Active(activation)).expect("it was sealed");
    assert_eq!(log.assignment(0), Assignment { owner: to, epoch, phase: Phase::Active });
}

/// Interleaving 8: who was to hand over and has not heard of it goes on, until it answers.
#[test]
fn a_failed_hand_over_is_recovered_with_the_answer_of_the_owner() {
    let (mut log, nodes) = Log::with_nodes(3);
    log.place(0, nodes[0]);
    let transfer = log.transfer(0, nodes[1]);
    log.apply(Command::Handoff(vec![transfer])).expect("all are up");
    let late = log.handed_over(0);
    let transfer = log.transfer(0, nodes[2]);
    log.apply(Command::Recovering(vec![transfer])).expect("the owner was told to seal");
    assert_eq!(log.apply(Command::Active(late)), Err(Refusal::Shard(shard(0))));
    let answered = Takeover::Recovery { answered: nodes[1..].to_vec() };
    let without = Activation { after: answered, ..log.recovered(0) };
    assert_eq!(log.apply(Command::Active(without)), Err(Refusal::Answer(nodes[0])));
}

#[test]
fn nobody_takes_a_shard_on_the_word_of_an_old_map() {
    let (mut log, nodes) = Log::with_nodes(2);
    let old = log.transfer(0, nodes[1]);
    log.place(0, nodes[0]);
    let refused = log.apply(Command::Recovering(vec![old]));
    assert_eq!(refused, Err(Refusal::Shard(shard(0))));
}

#[test]
fn a_command_names_shards_once_and_rising() {
    let (mut log, nodes) = Log::with_nodes(1);
    let place = |shards: &[u16]| {
        let shards = shards.iter().copied().map(shard).collect();
        Command::Recovering(vec![Transfer { shards, expects: Assignment::NEVER, to: nodes[0] }])
    };
    for shards in [&[][..], &[1, 1], &[1, 0], &[0, 99]] {
        assert_eq!(log.apply(place(shards)), Err(Refusal::Shards), "{shards:?}");
    }
    assert_eq!(log.apply(Command::Recovering(Vec::new())), Err(Refusal::Shards));
    assert!(log.apply(place(&[0, 1])).is_ok(), "one entry may move many");
}

#[test]
fn simultaneous_moves_are_bounded_for_both_ends() {
    let (mut log, nodes) = Log::with_nodes(3);
    for number in 0..4 {
        log.place(number, nodes[usize::from(number / 3)]);
    }
    let moves = |log: &Log, numbers: &[u16], to| {
        Command::Handoff(numbers.iter().map(|number| log.transfer(*number, to)).collect())
    };
    let three = moves(&log, &[0, 1, 2], nodes[2]);
    assert_eq!(log.apply(three), Err(Refusal::Moves(nodes[0])));
    let two = moves(&log, &[0, 1], nodes[2]);
    assert!(log.apply(two).is_ok());
    let to_the_same = moves(&log, &[3], nodes[2]);
    assert_eq!(log.apply(to_the_same), Err(Refusal::Moves(nodes[2])));
    let activation = log.handed_over(0);
    log.apply(Command::Active(activation)).expect("it was sealed");
    let to_the_same = moves(&log, &[3], nodes[2]);
    assert!(log.apply(to_the_same).is_ok(), "one has arrived");
}

#[test]
fn a_node_that_leaves_gets_nothing() {
    let (mut log, nodes) = Log::with_nodes(2);
    log.place(0, nodes[0]);
    log.apply(Command::Draining { incarnation: nodes[1] }).expect("it is up");
    let transfer = log.transfer(0, nodes[1]);
    assert_eq!(log.apply(Command::Handoff(vec![transfer])), Err(Refusal::NotUp(nodes[1])));
}

#[test]
fn features_open_when_all_have_them_and_stay() {
    let (mut log, nodes) = Log::with_nodes(2);
    let old = log.join(Join { supports: Features(0), ..join(3) });
    let open = Command::Opened { expects: Features(0), features: Features(2) };
    assert_eq!(log.apply(open.clone()), Err(Refusal::Features));
    log.apply(Command::Ended { incarnation: old }).expect("it lives");
    assert_eq!(log.apply(open.clone()), Ok(vec![Effect::Opened(Features(2))]));
    assert_eq!(log.apply(open), Err(Refusal::Features), "others are open than it expects");
    let back = Join { node: Some(NodeId(old.0)), supports: Features(0), ..join(3) };
    assert_eq!(log.apply(Command::Join(back)), Err(Refusal::Features));
    assert!(log.cluster.live(nodes[0]).is_some());
}

#[test]
fn whoever_had_its_backup_at_a_node_that_ended_has_none() {
    let (mut log, nodes) = Log::with_nodes(2);
    let (of, at) = (nodes[0], nodes[1]);
    let itself = log.apply(Command::Backup { of, expects: None, to: Some(of) });
    assert_eq!(itself, Err(Refusal::Backup));
    log.apply(Command::Backup { of, expects: None, to: Some(at) }).expect("both live");
    log.apply(Command::BackupSynced { of, backup: at }).expect("it is there");
    let backup = log.cluster.live(of).and_then(|node| node.backup);
    assert_eq!(backup, Some(Backup { at, synced: true }));
    let effects = log.apply(Command::Ended { incarnation: at }).expect("it lives");
    assert!(effects.contains(&Effect::Backup { of, to: None }));
}

#[test]
fn a_node_is_forgotten_only_when_it_has_ended() {
    let (mut log, nodes) = Log::with_nodes(2);
    let forget = Command::Forgotten { node: NodeId(nodes[1].0), incarnation: nodes[1] };
    assert_eq!(log.apply(forget.clone()), Err(Refusal::NotEnded(nodes[1])));
    log.apply(Command::Ended { incarnation: nodes[1] }).expect("it lives");
    assert!(log.apply(forget).is_ok());
    assert_eq!(log.cluster.nodes().len(), 1);
}
