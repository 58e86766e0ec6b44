//! What the leader proposes: who is to have which shard, and whose records are kept where.
//!
//! A plan is made of the map alone, so a new leader goes on where the one before stopped. Its
//! commands name what they expect: one that comes too late, or twice, changes nothing.

mod backups;
mod moves;
mod recoveries;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cluster::{Assignment, Cluster, Command, Phase, Transfer};
use crate::ids::{Epoch, Incarnation};
use crate::shard::ShardId;
use crate::time::Boottime;

/// How long a hand-over may take before it is given up and the shard recovered. A seal waits for
/// writes to the store that are under way, and that is what takes longest.
pub const HAND_OVER_MAX: Duration = Duration::from_secs(5);

/// A commit that takes longer is a sign of trouble in which nothing should move without need.
pub const COMMIT_MAX: Duration = Duration::from_millis(100);

/// Makes plans, as the leader of one term. Made anew at every election.
#[derive(Clone, Debug, Default)]
pub struct Planner {
    /// When each hand-over that is under way was seen first.
    hand_overs: BTreeMap<Epoch, Boottime>,
}

impl Planner {
    /// What to propose now. `commit` is how long a commit took lately: recoveries cannot wait for
    /// better times, moves can.
    pub fn plan(&mut self, cluster: &Cluster, now: Boottime, commit: Duration) -> Vec<Command> {
        let late = self.late(cluster, now);
        let mut commands = Vec::new();
        commands.extend(recoveries::plan(cluster, &late));
        commands.extend(backups::plan(cluster));
        if commit <= COMMIT_MAX {
            commands.extend(moves::plan(cluster));
        }
        commands
    }

    /// When to plan again, if the map does not change before.
    pub fn poll_timeout(&self) -> Option<Boottime> {
        self.hand_overs.values().min().map(|seen| *seen + HAND_OVER_MAX)
    }

    /// Hand-overs that take too long.
    fn late(&mut self, cluster: &Cluster, now: Boottime) -> Vec<Epoch> {
        let mut under_way = BTreeMap::new();
        for (_, assignment) in cluster.assignments() {
            if let Phase::Handoff { epoch, .. } = assignment.phase {
                let seen = self.hand_overs.get(&epoch).copied().unwrap_or(now);
                under_way.insert(epoch, seen);
            }
        }
        self.hand_overs = under_way;
        let late = self.hand_overs.iter().filter(|(_, seen)| now.since(**seen) >= HAND_OVER_MAX);
        late.map(|(epoch, _)| *epoch).collect()
    }
}

/// Shards on their way, by what the map says of them and where they go: one transfer each.
#[derive(Default)]
struct Transfers(BTreeMap<(Assignment, Incarnation), Vec<ShardId>>);

impl Transfers {
    /// Shards come in rising order.
    fn add(&mut self, shard: ShardId, expects: Assignment, to: Incarnation) {
        self.0.entry((expects, to)).or_default().push(shard);
    }

    /// None if nothing is on its way.
    fn into_list(self) -> Option<Vec<Transfer>> {
        let transfers = self.0.into_iter();
        let transfers: Vec<_> =
            transfers.map(|((expects, to), shards)| Transfer { shards, expects, to }).collect();
        (!transfers.is_empty()).then_some(transfers)
    }
}

/// How many shards each living node has, or gets by what is under way.
fn loads(cluster: &Cluster) -> BTreeMap<Incarnation, usize> {
    let mut loads: BTreeMap<_, _> =
        cluster.live_nodes().map(|(_, node)| (node.incarnation, 0)).collect();
    for (_, assignment) in cluster.assignments() {
        if let Some(load) = loads.get_mut(&assignment.heir()) {
            *load += 1;
        }
    }
    loads
}

#[cfg(test)]
#[path = "planner_test.rs"]
mod tests;
