//! What a node believes of itself, and what it has to do about it.

mod directory;

pub use directory::{Directory, Publisher, Seen};

use std::collections::BTreeMap;

use crate::cluster::{Assignment, Cluster, Effect, LeaseParameters, Phase};
use crate::ids::{Epoch, Incarnation, NodeId};
use crate::lease::{Acknowledgement, Holder, Renewal};
use crate::owners::Owner;
use crate::shard::ShardId;
use crate::time::{Boottime, Reading};

/// A node as it sees itself: the map it has applied, its lease, and the highest epochs it has seen
/// in any of its roles. It acts for a shard only if all three allow it; any of them alone may be
/// of the past.
///
/// The map is the caller's, because the log applies to it: it is handed to each question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LocalNode {
    life: Option<Life>,
    /// By number; shards behind the end have seen nothing.
    seen: Vec<Epoch>,
}

/// A lease belongs to one life: what was asked in an earlier one gives this one nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Life {
    incarnation: Incarnation,
    holder: Holder,
}

/// What an entry means for this node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Duty {
    /// Another life is over: nothing more comes from it, and nobody waits for it.
    Bury(Incarnation),
    /// Take shards over from a node that will send what it knows of them.
    Expect {
        /// Which ones.
        shards: Vec<ShardId>,
        /// From whom.
        from: Incarnation,
        /// In which epoch it has them.
        sealed: Epoch,
        /// In which this node will.
        epoch: Epoch,
    },
    /// Drop what is known of shards as their owner of an earlier epoch.
    Leave {
        /// Which ones.
        shards: Vec<ShardId>,
        /// Whose they are.
        owner: Incarnation,
        /// Since which epoch.
        epoch: Epoch,
    },
    /// Ask living nodes what they know of shards, and take these over with the answers.
    Recover {
        /// Which ones.
        shards: Vec<ShardId>,
        /// In which epoch.
        epoch: Epoch,
        /// Whom: each of them answers or is ended.
        ask: Vec<Incarnation>,
    },
    /// This life is over. Close what it holds, and join as a new one.
    Rejoin,
    /// Answer nobody any more for shards, finish what is under way, and send what is known.
    Seal {
        /// Which ones.
        shards: Vec<ShardId>,
        /// In which epoch this node has them.
        sealed: Epoch,
        /// Who gets it.
        to: Incarnation,
        /// In which epoch.
        epoch: Epoch,
    },
    /// Serve shards.
    Serve {
        /// Which ones.
        shards: Vec<ShardId>,
        /// In which epoch.
        epoch: Epoch,
    },
}

impl LocalNode {
    /// A life begins: the join at the index of this name is committed. It serves nothing before
    /// the map has that join too, and the leader has renewed its lease.
    pub fn begin(&mut self, incarnation: Incarnation, lease: LeaseParameters, now: Reading) {
        self.life = Some(Life { incarnation, holder: Holder::new(lease, now) });
    }

    /// Its present life.
    pub fn incarnation(&self) -> Option<Incarnation> {
        self.life.as_ref().map(|life| life.incarnation)
    }

    /// The loop is awake: call it first. Returns whether it was away too long, and has stopped.
    pub fn handle_wakeup(&mut self, now: Reading) -> bool {
        self.life.as_mut().is_some_and(|life| life.holder.handle_wakeup(now))
    }

    /// The renewal to send to the leader now, if one is due.
    pub fn poll_renewal(
        &mut self,
        now: Boottime,
        unreachable: impl FnOnce() -> Vec<Incarnation>,
    ) -> Option<Renewal> {
        let life = self.life.as_mut()?;
        let number = life.holder.poll_renewal(now)?;
        Some(Renewal { incarnation: life.incarnation, number, unreachable: unreachable() })
    }

    /// The leader has said yes, to this life or to one before.
    pub fn handle_acknowledgement(&mut self, yes: Acknowledgement) {
        if let Some(life) = &mut self.life
            && life.incarnation == yes.incarnation
        {
            life.holder.handle_acknowledged(yes.number);
        }
    }

    /// The node leaves: it acts for nobody any more, and its end may be proposed at once.
    pub fn give_back(&mut self) -> Option<Incarnation> {
        let life = self.life.as_mut()?;
        life.holder.give_back();
        Some(life.incarnation)
    }

    /// When the lease stops, if nothing comes.
    pub fn valid_until(&self) -> Option<Boottime> {
        self.life.as_ref().and_then(|life| life.holder.valid_until())
    }

    /// Whether it has its lease.
    pub fn is_leased(&self, now: Boottime) -> bool {
        self.life.as_ref().is_some_and(|life| life.holder.is_valid(now))
    }

    /// When to wake up at the latest.
    pub fn poll_timeout(&self) -> Option<Boottime> {
        self.life.as_ref().map(|life| life.holder.poll_timeout())
    }

    /// Something of this epoch came for a shard, whatever the role of this node in it.
    pub fn see(&mut self, shard: ShardId, epoch: Epoch) -> Seen {
        let place = usize::from(shard.number());
        if place >= self.seen.len() {
            self.seen.resize(place + 1, Epoch(0));
        }
        let highest = self.seen[place];
        self.seen[place] = highest.max(epoch);
        Seen::of(epoch, highest)
    }

    /// The highest epoch seen of a shard.
    pub fn highest(&self, shard: ShardId) -> Epoch {
        self.seen.get(usize::from(shard.number())).copied().unwrap_or_default()
    }

    /// The epoch in which this node serves a shard now; none if it does not. To be asked before
    /// every batch with an effect outside the process.
    pub fn serves(&self, cluster: &Cluster, shard: ShardId, now: Boottime) -> Option<Epoch> {
        match self.owner(cluster, shard, now) {
            Owner::Here(epoch) => Some(epoch),
            Owner::Node(..) | Owner::Nobody => None,
        }
    }

    /// Who has a shard, as far as this node knows.
    pub fn owner(&self, cluster: &Cluster, shard: ShardId, now: Boottime) -> Owner {
        match self.standing(cluster, shard) {
            Owner::Here(epoch) if epoch < self.highest(shard) => Owner::Nobody,
            Owner::Here(_) if !self.is_leased(now) => Owner::Nobody,
            standing => standing,
        }
    }

    /// Who has a shard by the map alone.
    fn standing(&self, cluster: &Cluster, shard: ShardId) -> Owner {
        let Some(assignment) = cluster.assignment(shard) else { return Owner::Nobody };
        let heir = assignment.heir();
        let Some(node) = cluster.id_of(heir) else { return Owner::Nobody };
        self.standing_of(assignment, node)
    }

    /// The same, of an assignment whose heir is the life of this node.
    fn standing_of(&self, assignment: Assignment, heir: NodeId) -> Owner {
        let mine = self.incarnation() == Some(assignment.heir());
        match assignment.phase {
            Phase::Active if mine => Owner::Here(assignment.epoch),
            _ if mine => Owner::Nobody,
            _ => Owner::Node(heir, assignment.epoch_max()),
        }
    }

    /// What an entry that the map has applied means for this node.
    pub fn handle_effect(&mut self, cluster: &Cluster, effect: Effect) -> Option<Duty> {
        let me = self.incarnation();
        match effect {
            Effect::Active { shards, owner, epoch } => {
                self.see_all(&shards, epoch);
                if me == Some(owner) {
                    Some(Duty::Serve { shards, epoch })
                } else {
                    Some(Duty::Leave { shards, owner, epoch })
                }
            }
            Effect::Recovering { shards, to, epoch } => {
                self.see_all(&shards, epoch);
                if me == Some(to) {
                    let ask = cluster.respondents(epoch).collect();
                    Some(Duty::Recover { shards, epoch, ask })
                } else {
                    Some(Duty::Leave { shards, owner: to, epoch })
                }
            }
            Effect::Handoff { shards, from, sealed, to, epoch } => match me {
                Some(me) if me == from => Some(Duty::Seal { shards, sealed, to, epoch }),
                Some(me) if me == to => Some(Duty::Expect { shards, from, sealed, epoch }),
                _ => None,
            },
            Effect::Ended { incarnation } if me == Some(incarnation) => {
                self.life = None;
                Some(Duty::Rejoin)
            }
            Effect::Ended { incarnation } => Some(Duty::Bury(incarnation)),
            Effect::Backup { .. }
            | Effect::BackupSynced { .. }
            | Effect::Draining { .. }
            | Effect::Forgotten { .. }
            | Effect::Initialised(_)
            | Effect::Joined { .. }
            | Effect::Opened(_) => None,
        }
    }

    /// The map was replaced by a snapshot: what it means for this node, whatever the entries were
    /// that led to it. Duties that were known before come again.
    pub fn handle_snapshot(&mut self, cluster: &Cluster) -> Vec<Duty> {
        let ended = cluster.nodes().values().filter(|node| !node.is_live());
        let ended = ended.map(|node| Effect::Ended { incarnation: node.incarnation });
        let mut duties: Vec<_> =
            ended.filter_map(|effect| self.handle_effect(cluster, effect)).collect();
        if self
            .incarnation()
            .is_some_and(|me| me.0 <= cluster.applied().0 && cluster.live(me).is_none())
        {
            self.life = None;
            duties.push(Duty::Rejoin);
        }
        let mut groups: BTreeMap<Assignment, Vec<ShardId>> = BTreeMap::new();
        for (shard, assignment) in cluster.assignments().filter(|(_, it)| *it != Assignment::NEVER)
        {
            groups.entry(assignment).or_default().push(shard);
        }
        let effects = groups.into_iter().map(|(assignment, shards)| assignment.effect(shards));
        duties.extend(effects.filter_map(|effect| self.handle_effect(cluster, effect)));
        duties
    }

    /// A hand-over raises nothing before it is complete: until then the owner before is the owner.
    fn see_all(&mut self, shards: &[ShardId], epoch: Epoch) {
        for shard in shards {
            self.see(*shard, epoch);
        }
    }
}

#[cfg(test)]
#[path = "local_test.rs"]
mod tests;
