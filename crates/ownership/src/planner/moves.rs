//! Shards that could be better elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::{Assignment, Cluster, Command, Phase};
use crate::ids::Incarnation;
use crate::shard::ShardId;

use super::{Transfers, loads};

/// Empties nodes that leave, and evens out the others, as many at once as the cluster allows.
pub(super) fn plan(cluster: &Cluster) -> Option<Command> {
    let mut plan = Plan::new(cluster)?;
    while plan.step() {}
    plan.into_command()
}

struct Plan {
    up: BTreeSet<Incarnation>,
    /// What each living node has when all is done that is planned.
    loads: BTreeMap<Incarnation, usize>,
    /// How many more may be on their way to or from a node.
    room: BTreeMap<Incarnation, usize>,
    /// What each node serves and could give away, lowest last.
    movable: BTreeMap<Incarnation, Vec<(ShardId, Assignment)>>,
    chosen: BTreeMap<ShardId, (Assignment, Incarnation)>,
}

impl Plan {
    fn new(cluster: &Cluster) -> Option<Plan> {
        let most = usize::from(cluster.config()?.moves_max);
        let moves = cluster.moves();
        let room = |node| most.saturating_sub(moves.get(node).copied().unwrap_or(0));
        let loads = loads(cluster);
        let mut movable: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (shard, assignment) in cluster.assignments() {
            if assignment.phase == Phase::Active && loads.contains_key(&assignment.owner) {
                movable.entry(assignment.owner).or_default().push((shard, assignment));
            }
        }
        movable.values_mut().for_each(|shards| shards.reverse());
        let up = cluster.live_nodes().filter(|(_, node)| node.is_up());
        Some(Plan {
            up: up.map(|(_, node)| node.incarnation).collect(),
            room: loads.keys().map(|node| (*node, room(node))).collect(),
            loads,
            movable,
            chosen: BTreeMap::new(),
        })
    }

    /// Chooses one more move, if there is a useful one.
    fn step(&mut self) -> bool {
        let Some(to) = self.least() else { return false };
        let Some(from) = self.most(to) else { return false };
        let Some((shard, assignment)) = self.movable.get_mut(&from).and_then(Vec::pop) else {
            return false;
        };
        self.chosen.insert(shard, (assignment, to));
        for node in [from, to] {
            self.room.entry(node).and_modify(|room| *room -= 1);
        }
        self.loads.entry(from).and_modify(|load| *load -= 1);
        self.loads.entry(to).and_modify(|load| *load += 1);
        true
    }

    /// Who should get the next one.
    fn least(&self) -> Option<Incarnation> {
        let free = self.up.iter().filter(|node| self.has_room(node));
        free.min_by_key(|node| (self.load(node), **node)).copied()
    }

    /// Who should give one to `to`: whoever leaves, then whoever has most, if that makes it evener.
    fn most(&self, to: Incarnation) -> Option<Incarnation> {
        let able = self
            .movable
            .iter()
            .filter(|(node, shards)| !shards.is_empty() && **node != to && self.has_room(node));
        let leaves = |node: &Incarnation| !self.up.contains(node);
        let from =
            able.map(|(node, _)| *node).max_by_key(|node| (leaves(node), self.load(node)))?;
        (leaves(&from) || self.load(&from) > self.load(&to) + 1).then_some(from)
    }

    fn load(&self, node: &Incarnation) -> usize {
        self.loads.get(node).copied().unwrap_or(0)
    }

    fn has_room(&self, node: &Incarnation) -> bool {
        self.room.get(node).is_some_and(|room| *room > 0)
    }

    fn into_command(self) -> Option<Command> {
        let mut transfers = Transfers::default();
        for (shard, (assignment, to)) in self.chosen {
            transfers.add(shard, assignment, to);
        }
        transfers.into_list().map(Command::Handoff)
    }
}
