//! Who renews the leases.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::cluster::{Cluster, ELECTION_TIMEOUT_MAX, LeaseParameters, NODES_MAX};
use crate::ids::{Incarnation, NodeId};
use crate::time::Boottime;

use super::pairs::condemned;
use super::{Acknowledgement, Renewal, RenewalNumber, UNREACHABLE_AFTER};

/// After how long an `Ended` is proposed again that was lost with something else.
const PROPOSED_AGAIN_AFTER: Duration = ELECTION_TIMEOUT_MAX;

/// For how long a report counts: a node that is gone must not accuse others for ever.
const REPORT_COUNTS_FOR: Duration = UNREACHABLE_AFTER;

/// Names a quorum round among those of one leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoundNumber(pub u64);

/// The leases of all nodes, as the leader of one term keeps them. Made anew at every election.
///
/// It says yes to a renewal (its own node's too) only when its first entry is applied, so that it
/// knows of every end that was committed before, and after a quorum round that *began* after the
/// renewal came: a leader that was deposed without noticing gets no such round, so it renews
/// nothing that its successor may have ended. One round serves all who wait.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Keeper {
    parameters: LeaseParameters,
    first_entry_applied: bool,
    lives: BTreeMap<Incarnation, Life>,
    /// The last renewal of each life that came after the round began.
    waiting: BTreeMap<Incarnation, RenewalNumber>,
    round: Option<Round>,
    next_round: u64,
    /// Not renewed while the reports are as they are.
    condemned: BTreeSet<Incarnation>,
}

/// A life that has not ended in the map of the leader.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Life {
    node: NodeId,
    /// When its lease was renewed last, or could have been by somebody else.
    renewed: Boottime,
    /// When its end was proposed. From then on it is never renewed.
    proposed: Option<Boottime>,
    unreachable: Vec<Incarnation>,
    reported: Boottime,
}

/// A question to a quorum whether this is still the leader.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Round {
    number: RoundNumber,
    serves: BTreeMap<Incarnation, RenewalNumber>,
}

impl Keeper {
    /// A leader that was elected no later than `elected`, with the map it has at that time.
    pub fn new(parameters: LeaseParameters, elected: Boottime, cluster: &Cluster) -> Keeper {
        let mut keeper = Keeper {
            parameters,
            first_entry_applied: false,
            lives: BTreeMap::new(),
            waiting: BTreeMap::new(),
            round: None,
            next_round: 0,
            condemned: BTreeSet::new(),
        };
        keeper.handle_map(elected, cluster);
        keeper
    }

    /// The first entry of its term is applied: all that leaders before it committed is in the map.
    pub fn handle_first_entry_applied(&mut self) {
        self.first_entry_applied = true;
    }

    /// The map has other nodes than before. A life that is new may have got a lease from a leader
    /// before this one, so it counts as renewed now.
    pub fn handle_map(&mut self, now: Boottime, cluster: &Cluster) {
        self.lives.retain(|incarnation, _| cluster.live(*incarnation).is_some());
        for (node, life) in cluster.live_nodes() {
            self.lives.entry(life.incarnation).or_insert_with(|| Life {
                node,
                renewed: now,
                proposed: None,
                unreachable: Vec::new(),
                reported: now,
            });
        }
        let lives = &self.lives;
        self.condemned.retain(|incarnation| lives.contains_key(incarnation));
    }

    /// The leader itself was away (see [`Holder::handle_wakeup`]), and heard nobody meanwhile. All
    /// get the time of a lease to ask, as after an election.
    ///
    /// [`Holder::handle_wakeup`]: super::Holder::handle_wakeup
    pub fn handle_away(&mut self, now: Boottime) {
        for life in self.lives.values_mut() {
            life.renewed = now;
        }
    }

    /// A node asks. It waits for the next round, unless its end is proposed or in the map.
    pub fn handle_renewal(&mut self, now: Boottime, renewal: Renewal) {
        let Some(life) = self.lives.get_mut(&renewal.incarnation) else { return };
        life.unreachable = renewal.unreachable;
        life.unreachable.truncate(NODES_MAX);
        life.reported = now;
        if life.proposed.is_none() {
            let last = self.waiting.entry(renewal.incarnation).or_default();
            *last = renewal.number.max(*last);
        }
    }

    /// The round to begin now, if somebody waits for one and none is under way.
    pub fn poll_round(&mut self, now: Boottime) -> Option<RoundNumber> {
        if !self.first_entry_applied || self.round.is_some() {
            return None;
        }
        self.condemned = self.judge(now);
        let condemned = &self.condemned;
        self.waiting.retain(|incarnation, _| !condemned.contains(incarnation));
        if self.waiting.is_empty() {
            return None;
        }
        let number = RoundNumber(self.next_round);
        self.next_round += 1;
        self.round = Some(Round { number, serves: std::mem::take(&mut self.waiting) });
        Some(number)
    }

    /// A quorum has said after the round began that this is the leader.
    pub fn handle_round_succeeded(
        &mut self,
        now: Boottime,
        number: RoundNumber,
    ) -> Vec<Acknowledgement> {
        let Some(round) = self.round.take_if(|round| round.number == number) else {
            return Vec::new();
        };
        let mut acknowledged = Vec::new();
        for (incarnation, number) in round.serves {
            if let Some(life) = self.lives.get_mut(&incarnation)
                && life.proposed.is_none()
            {
                life.renewed = now;
                acknowledged.push(Acknowledgement { incarnation, number });
            }
        }
        acknowledged
    }

    /// The round failed or took too long. Who waited for it asks again.
    pub fn handle_round_failed(&mut self, number: RoundNumber) {
        self.round.take_if(|round| round.number == number);
    }

    /// The lives whose end to propose now. A new leader finds none sooner than L(1+ρ) after its
    /// election, because a leader before it may have renewed any of them just before.
    pub fn poll_ended(&mut self, now: Boottime) -> Vec<Incarnation> {
        if !self.first_entry_applied {
            return Vec::new();
        }
        let after = self.parameters.ended_after();
        let mut ended = Vec::new();
        for (incarnation, life) in &mut self.lives {
            if now >= life.ends(after) {
                life.proposed = Some(now);
                self.waiting.remove(incarnation);
                ended.push(*incarnation);
            }
        }
        ended
    }

    /// A node has stopped and gives its lease back: its end is to be proposed now. Whether it has
    /// one to give.
    pub fn handle_given_back(&mut self, now: Boottime, incarnation: Incarnation) -> bool {
        let Some(life) = self.lives.get_mut(&incarnation) else { return false };
        life.proposed = Some(now);
        self.waiting.remove(&incarnation);
        true
    }

    /// When to ask [`Keeper::poll_ended`] again.
    pub fn poll_timeout(&self) -> Option<Boottime> {
        let after = self.parameters.ended_after();
        self.lives.values().map(|life| life.ends(after)).min()
    }

    /// When each lease was renewed last, for whoever wants to see it.
    pub fn renewed(&self) -> impl Iterator<Item = (Incarnation, Boottime)> {
        self.lives.iter().map(|(incarnation, life)| (*incarnation, life.renewed))
    }

    fn judge(&self, now: Boottime) -> BTreeSet<Incarnation> {
        let living = self.lives.iter().map(|(incarnation, life)| (*incarnation, life.node));
        let reports = self.lives.iter().filter(|(_, life)| {
            now.since(life.reported) < REPORT_COUNTS_FOR && life.proposed.is_none()
        });
        let pairs = reports
            .flat_map(|(one, life)| life.unreachable.iter().map(move |other| (*one, *other)));
        condemned(&living.collect(), pairs)
    }
}

impl Life {
    /// When its end is to be proposed, again if it was before.
    fn ends(&self, after: Duration) -> Boottime {
        match self.proposed {
            Some(proposed) => proposed + PROPOSED_AGAIN_AFTER,
            None => self.renewed + after,
        }
    }
}

#[cfg(test)]
#[path = "keeper_test.rs"]
mod tests;
