//! Who keeps the session records of whom besides.

use std::collections::BTreeMap;

use crate::cluster::{Cluster, Command, Node};
use crate::ids::Incarnation;

/// A backup for every living node that has none, or whose backup is about to leave: at a node of
/// another zone if there is one, at whoever is the backup of fewest.
pub(super) fn plan(cluster: &Cluster) -> Vec<Command> {
    let mut guests: BTreeMap<Incarnation, usize> = BTreeMap::new();
    for at in cluster.live_nodes().filter_map(|(_, node)| node.backup).map(|backup| backup.at) {
        *guests.entry(at).or_default() += 1;
    }
    let mut commands = Vec::new();
    for (_, node) in cluster.live_nodes() {
        let expects = node.backup.map(|backup| backup.at);
        let stays = |at| cluster.live(at).is_some_and(|at| at.is_up());
        if expects.is_some_and(stays) {
            continue;
        }
        // With nobody better, one that leaves is better than none.
        let Some(to) = choose(cluster, node, &guests).filter(|to| Some(*to) != expects) else {
            continue;
        };
        *guests.entry(to).or_default() += 1;
        commands.push(Command::Backup { of: node.incarnation, expects, to: Some(to) });
    }
    commands
}

fn choose(
    cluster: &Cluster,
    node: &Node,
    guests: &BTreeMap<Incarnation, usize>,
) -> Option<Incarnation> {
    let others = cluster.live_nodes().map(|(_, other)| other);
    let others = others.filter(|other| other.is_up() && other.incarnation != node.incarnation);
    let best = others.min_by_key(|other| {
        let guests = guests.get(&other.incarnation).copied().unwrap_or(0);
        (other.zone == node.zone, guests, other.incarnation)
    });
    best.map(|other| other.incarnation)
}
