use super::*;
use crate::cluster::fixture::{Log, SHARDS, join, shard};
use crate::cluster::{Effect, Join};

const FAST: Duration = Duration::from_millis(5);

fn at(milliseconds: u64) -> Boottime {
    Boottime(Duration::from_millis(milliseconds))
}

/// Plans and applies until nothing is left to do; those who take shards over say so at once.
fn settle(planner: &mut Planner, log: &mut Log) {
    for _ in 0..100 {
        let commands = planner.plan(&log.cluster, at(0), FAST);
        if commands.is_empty() {
            return;
        }
        for command in commands {
            let effects = log.apply(command).expect("a plan of this map");
            effects.iter().for_each(|effect| finish(log, effect));
        }
    }
    unreachable!("it does not settle");
}

fn finish(log: &mut Log, effect: &Effect) {
    let shards = match effect {
        Effect::Recovering { shards, .. } | Effect::Handoff { shards, .. } => shards,
        _ => return,
    };
    for shard in shards {
        let number = shard.number();
        let handed = matches!(log.assignment(number).phase, Phase::Handoff { .. });
        let done = if handed { log.handed_over(number) } else { log.recovered(number) };
        log.apply(Command::Active(done)).expect("it was asked to");
    }
}

fn settled(nodes: u8) -> (Planner, Log, Vec<Incarnation>) {
    let (mut log, nodes) = Log::with_nodes(nodes);
    let mut planner = Planner::default();
    settle(&mut planner, &mut log);
    (planner, log, nodes)
}

fn owned(log: &Log, node: Incarnation) -> usize {
    log.cluster.assignments().filter(|(_, assignment)| assignment.owner == node).count()
}

#[test]
fn the_shards_of_a_new_cluster_are_spread() {
    let (_, log, nodes) = settled(3);
    for node in nodes {
        assert_eq!(owned(&log, node), usize::from(SHARDS) / 3);
    }
}

#[test]
fn nothing_is_proposed_without_a_node() {
    assert_eq!(Planner::default().plan(&Log::new().cluster, at(0), FAST), []);
    assert_eq!(Planner::default().plan(&Cluster::default(), at(0), FAST), []);
}

#[test]
fn a_map_that_is_even_stays_as_it_is() {
    let (mut planner, log, _) = settled(4);
    assert_eq!(planner.plan(&log.cluster, at(0), FAST), []);
}

#[test]
fn the_shards_of_a_node_that_ended_go_to_those_who_have_fewest() {
    let (mut planner, mut log, nodes) = settled(3);
    log.apply(Command::Ended { incarnation: nodes[0] }).expect("it lives");
    settle(&mut planner, &mut log);
    assert_eq!(owned(&log, nodes[1]), 3);
    assert_eq!(owned(&log, nodes[2]), 3);
}

#[test]
fn a_new_node_gets_its_share_a_few_at_a_time() {
    let (mut planner, mut log, nodes) = settled(1);
    let late = log.join(join(2));
    let commands = planner.plan(&log.cluster, at(0), FAST);
    let handed = commands.iter().find_map(|command| match command {
        Command::Handoff(transfers) => Some(transfers.iter().map(|it| it.shards.len()).sum()),
        _ => None,
    });
    assert_eq!(handed, Some(2usize), "as many as the cluster allows");
    settle(&mut planner, &mut log);
    assert_eq!((owned(&log, nodes[0]), owned(&log, late)), (3, 3));
}

#[test]
fn a_node_that_leaves_is_emptied() {
    let (mut planner, mut log, nodes) = settled(3);
    log.apply(Command::Draining { incarnation: nodes[2] }).expect("it is up");
    settle(&mut planner, &mut log);
    assert_eq!(owned(&log, nodes[2]), 0);
    assert_eq!(owned(&log, nodes[0]), 3);
}

#[test]
fn nothing_moves_while_commits_are_slow_but_recoveries_do() {
    let (mut planner, mut log, nodes) = settled(2);
    log.join(join(3));
    log.apply(Command::Ended { incarnation: nodes[0] }).expect("it lives");
    let slow = COMMIT_MAX + Duration::from_millis(1);
    let commands = planner.plan(&log.cluster, at(0), slow);
    assert!(matches!(commands[0], Command::Recovering(_)));
    assert!(!commands.iter().any(|command| matches!(command, Command::Handoff(_))));
}

#[test]
fn a_hand_over_that_takes_too_long_is_recovered() {
    let (mut planner, mut log, nodes) = settled(2);
    let number = (0..SHARDS).find(|number| log.assignment(*number).owner == nodes[0]);
    let number = number.expect("it has some");
    let transfer = log.transfer(number, nodes[1]);
    log.apply(Command::Handoff(vec![transfer])).expect("both are up");
    let slow = COMMIT_MAX * 2;
    assert_eq!(planner.plan(&log.cluster, at(1_000), slow), []);
    assert_eq!(planner.poll_timeout(), Some(at(6_000)));
    assert_eq!(planner.plan(&log.cluster, at(5_999), slow), []);
    let commands = planner.plan(&log.cluster, at(6_000), slow);
    let [Command::Recovering(transfers)] = &commands[..] else { unreachable!("{commands:?}") };
    assert_eq!(transfers[0].shards, [shard(number)]);
}

#[test]
fn a_backup_is_in_another_zone_if_there_is_one() {
    // Zones are east for even names and west for odd ones.
    let (_, log, nodes) = settled(4);
    for (of, other) in [(0, [1, 3]), (1, [0, 2]), (2, [1, 3]), (3, [0, 2])] {
        let backup = log.cluster.live(nodes[of]).and_then(|node| node.backup);
        let at = backup.expect("it has one").at;
        assert!(other.iter().any(|other| nodes[*other] == at), "{of}");
    }
    let mut alike = Log::new();
    let nodes = [1, 3].map(|name| alike.join(Join { ..join(name) }));
    settle(&mut Planner::default(), &mut alike);
    let backup = alike.cluster.live(nodes[0]).and_then(|node| node.backup);
    assert_eq!(backup.map(|backup| backup.at), Some(nodes[1]), "the same zone is better than none");
}

#[test]
fn backups_are_spread() {
    let (_, log, nodes) = settled(4);
    for node in nodes {
        let backups = log.cluster.live_nodes().filter_map(|(_, other)| other.backup);
        assert_eq!(backups.filter(|backup| backup.at == node).count(), 1);
    }
}

#[test]
fn whoever_lost_its_backup_gets_another_one() {
    let (mut planner, mut log, nodes) = settled(3);
    log.apply(Command::Ended { incarnation: nodes[1] }).expect("it lives");
    settle(&mut planner, &mut log);
    let backup = log.cluster.live(nodes[0]).and_then(|node| node.backup);
    assert_eq!(backup.map(|backup| backup.at), Some(nodes[2]));
}
