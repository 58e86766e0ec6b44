//! The map of shards, and the entries that concern them.

use std::collections::BTreeMap;

use crate::ids::{Epoch, Incarnation, LogIndex};
use crate::shard::ShardId;

use super::command::{Activation, Takeover, Transfer};
use super::effect::{Effect, Refusal};
use super::node::Nodes;

/// What the map says of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Assignment {
    /// Whose it is.
    pub owner: Incarnation,
    /// The index of the entry that made it so.
    pub epoch: Epoch,
    /// Whether it is served.
    pub phase: Phase,
}

/// Whether a shard is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// By its owner, while that one has its lease.
    Active,
    /// Its owner is to seal it, and another one to take it over.
    Handoff {
        /// Who.
        to: Incarnation,
        /// In which epoch.
        epoch: Epoch,
    },
    /// Not yet: its owner asks everybody what is known of it.
    Recovering,
}

impl Assignment {
    /// Of a shard that nobody ever had.
    pub const NEVER: Assignment =
        Assignment { owner: Incarnation::NOBODY, epoch: Epoch(0), phase: Phase::Active };

    /// The highest epoch in it.
    pub fn epoch_max(&self) -> Epoch {
        match self.phase {
            Phase::Handoff { epoch, .. } => epoch,
            Phase::Active | Phase::Recovering => self.epoch,
        }
    }

    /// The effect of the entry that made it so.
    pub(crate) fn effect(self, shards: Vec<ShardId>) -> Effect {
        let Assignment { owner, epoch, phase } = self;
        match phase {
            Phase::Active => Effect::Active { shards, owner, epoch },
            Phase::Handoff { to, epoch: next } => {
                Effect::Handoff { shards, from: owner, sealed: epoch, to, epoch: next }
            }
            Phase::Recovering => Effect::Recovering { shards, to: owner, epoch },
        }
    }

    /// Who has it when what is under way succeeds.
    pub fn heir(&self) -> Incarnation {
        match self.phase {
            Phase::Handoff { to, .. } => to,
            Phase::Active | Phase::Recovering => self.owner,
        }
    }
}

/// All shards, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Shards(pub(super) Vec<Assignment>);

impl Shards {
    pub(super) fn new(count: u16) -> Shards {
        Shards(vec![Assignment::NEVER; usize::from(count)])
    }

    pub(super) fn get(&self, shard: ShardId) -> Option<Assignment> {
        self.0.get(usize::from(shard.number())).copied()
    }

    /// Owners that live are to give shards to nodes that are up.
    pub(super) fn hand_off(
        &mut self,
        index: LogIndex,
        nodes: &Nodes,
        moves_max: u8,
        transfers: &[Transfer],
    ) -> Result<Vec<Effect>, Refusal> {
        self.check(transfers.iter().map(|transfer| (&transfer.shards[..], transfer.expects)))?;
        for transfer in transfers {
            may_hand_off(nodes, transfer)?;
        }
        self.check_moves(moves_max, transfers)?;
        let epoch = Epoch::from(index);
        Ok(transfers.iter().map(|transfer| self.begin_hand_off(epoch, transfer)).collect())
    }

    fn begin_hand_off(&mut self, epoch: Epoch, transfer: &Transfer) -> Effect {
        let Assignment { owner: from, epoch: sealed, .. } = transfer.expects;
        let phase = Phase::Handoff { to: transfer.to, epoch };
        self.put(&transfer.shards, Assignment { owner: from, epoch: sealed, phase });
        Effect::Handoff { shards: transfer.shards.clone(), from, sealed, to: transfer.to, epoch }
    }

    /// No node may have more than so many shards on their way, coming or going.
    fn check_moves(&self, moves_max: u8, transfers: &[Transfer]) -> Result<(), Refusal> {
        let mut moves = self.moves();
        for transfer in transfers {
            for node in [transfer.expects.owner, transfer.to] {
                let count = moves.entry(node).or_default();
                *count += transfer.shards.len();
                if *count > usize::from(moves_max) {
                    return Err(Refusal::Moves(node));
                }
            }
        }
        Ok(())
    }

    /// How many shards are on their way, to and from each node.
    pub(super) fn moves(&self) -> BTreeMap<Incarnation, usize> {
        let mut moves = BTreeMap::new();
        for assignment in &self.0 {
            if let Phase::Handoff { to, .. } = assignment.phase {
                *moves.entry(assignment.owner).or_default() += 1;
                *moves.entry(to).or_default() += 1;
            }
        }
        moves
    }

    /// Nodes are to ask everybody about shards whose owner is no more, or failed to hand them over.
    pub(super) fn recover(
        &mut self,
        index: LogIndex,
        nodes: &Nodes,
        transfers: &[Transfer],
    ) -> Result<Vec<Effect>, Refusal> {
        self.check(transfers.iter().map(|transfer| (&transfer.shards[..], transfer.expects)))?;
        for transfer in transfers {
            may_recover(nodes, transfer)?;
        }
        let epoch = Epoch::from(index);
        Ok(transfers.iter().map(|transfer| self.begin_recovery(epoch, transfer)).collect())
    }

    fn begin_recovery(&mut self, epoch: Epoch, transfer: &Transfer) -> Effect {
        let to = transfer.to;
        self.put(&transfer.shards, Assignment { owner: to, epoch, phase: Phase::Recovering });
        Effect::Recovering { shards: transfer.shards.clone(), to, epoch }
    }

    /// Whoever took shards over serves them.
    pub(super) fn activate(
        &mut self,
        nodes: &Nodes,
        activation: Activation,
    ) -> Result<Vec<Effect>, Refusal> {
        self.check([(&activation.shards[..], activation.expects())])?;
        let Activation { shards, by: owner, epoch, after } = activation;
        if nodes.live(owner).is_none() {
            return Err(Refusal::NotLive(owner));
        }
        if let Takeover::Recovery { answered } = &after
            && let Some(silent) = respondents(nodes, epoch).find(|node| !answered.contains(node))
        {
            return Err(Refusal::Answer(silent));
        }
        self.put(&shards, Assignment { owner, epoch, phase: Phase::Active });
        Ok(vec![Effect::Active { shards, owner, epoch }])
    }

    /// Refuses shards that do not rise, that there are not, or that are not as expected.
    fn check<'a>(
        &self,
        groups: impl IntoIterator<Item = (&'a [ShardId], Assignment)>,
    ) -> Result<(), Refusal> {
        let mut named = vec![false; self.0.len()];
        let mut groups = groups.into_iter().peekable();
        if groups.peek().is_none() {
            return Err(Refusal::Shards);
        }
        for (shards, expects) in groups {
            if shards.is_empty() || !shards.is_sorted() {
                return Err(Refusal::Shards);
            }
            for &shard in shards {
                let named = named.get_mut(usize::from(shard.number())).ok_or(Refusal::Shards)?;
                if std::mem::replace(named, true) {
                    return Err(Refusal::Shards);
                }
                if self.get(shard) != Some(expects) {
                    return Err(Refusal::Shard(shard));
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, shards: &[ShardId], assignment: Assignment) {
        for shard in shards {
            let place = &mut self.0[usize::from(shard.number())];
            // What makes an old owner's frames old. Never weaken it.
            let rises = assignment.epoch_max() > place.epoch_max();
            let activates =
                assignment.epoch_max() == place.epoch_max() && assignment.phase == Phase::Active;
            assert!(rises || activates, "the epoch of a shard rises with every assignment");
            *place = assignment;
        }
    }
}

/// Who has to answer before a recovery is complete: every living node that can know something of
/// an epoch before.
pub(super) fn respondents(nodes: &Nodes, epoch: Epoch) -> impl Iterator<Item = Incarnation> {
    let old = move |node: &Incarnation| node.0 < epoch.0;
    nodes.0.values().filter(|node| node.is_live()).map(|node| node.incarnation).filter(old)
}

/// Only a shard that is served can be handed over, by an owner that lives.
fn may_hand_off(nodes: &Nodes, transfer: &Transfer) -> Result<(), Refusal> {
    let Transfer { shards, expects, to } = transfer;
    if expects.phase != Phase::Active || *to == expects.owner {
        return Err(Refusal::Shard(shards[0]));
    }
    if nodes.live(expects.owner).is_none() {
        return Err(Refusal::NotLive(expects.owner));
    }
    match nodes.live(*to) {
        None => Err(Refusal::NotLive(*to)),
        Some(node) if !node.is_up() => Err(Refusal::NotUp(*to)),
        Some(_) => Ok(()),
    }
}

/// Nobody takes a shard from an owner that lives, unless that one was told to hand it over: then
/// its answer to the recovery is its seal, and without the answer there is no activation.
fn may_recover(nodes: &Nodes, transfer: &Transfer) -> Result<(), Refusal> {
    let Transfer { expects, to, .. } = transfer;
    if nodes.live(*to).is_none() {
        return Err(Refusal::NotLive(*to));
    }
    let seals = matches!(expects.phase, Phase::Handoff { .. });
    if !seals && nodes.live(expects.owner).is_some() {
        return Err(Refusal::Owned(expects.owner));
    }
    Ok(())
}
