//! Shards that nobody serves and nobody will.

use std::collections::BTreeMap;

use crate::cluster::{Assignment, Cluster, Command, Phase};
use crate::ids::{Epoch, Incarnation};

use super::{Transfers, loads};

/// Gives shards without an owner to those who have fewest: shards of a new cluster, shards of
/// nodes that have ended, and those whose hand-over cannot be, or is too late.
pub(super) fn plan(cluster: &Cluster, late: &[Epoch]) -> Option<Command> {
    let mut loads = candidates(cluster);
    let mut transfers = Transfers::default();
    let lost = cluster.assignments().filter(|(_, assignment)| is_lost(cluster, assignment, late));
    for (shard, assignment) in lost {
        let least = loads.iter_mut().min_by_key(|(node, load)| (**load, **node));
        let Some((to, load)) = least else { break };
        *load += 1;
        transfers.add(shard, assignment, *to);
    }
    transfers.into_list().map(Command::Recovering)
}

fn is_lost(cluster: &Cluster, assignment: &Assignment, late: &[Epoch]) -> bool {
    let has_owner = cluster.live(assignment.owner).is_some();
    match assignment.phase {
        Phase::Active | Phase::Recovering => !has_owner,
        Phase::Handoff { to, epoch } => {
            !has_owner || cluster.live(to).is_none() || late.contains(&epoch)
        }
    }
}

/// Nodes that are up and what they have; those that leave only if there are no others.
fn candidates(cluster: &Cluster) -> BTreeMap<Incarnation, usize> {
    let all = loads(cluster);
    let is_up = |node: &Incarnation| cluster.live(*node).is_some_and(|node| node.is_up());
    let up: BTreeMap<_, _> =
        all.iter().filter(|(node, _)| is_up(node)).map(|(node, load)| (*node, *load)).collect();
    if up.is_empty() { all } else { up }
}
