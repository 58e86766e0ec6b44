//! The nodes of a cluster, and the entries that concern them.

use std::collections::BTreeMap;

use crate::ids::{Incarnation, LogIndex, NodeId};

use super::command::{Join, Label};
use super::config::Features;
use super::effect::{Effect, Refusal};

/// Nodes in the map, living or not. The map is one message, and every node has a link to every
/// other. Part of what every replica decides alike, so it does not change with a version.
pub const NODES_MAX: usize = 256;

/// What the map says of a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// Its present life, or the last one.
    pub incarnation: Incarnation,
    /// Its name.
    pub name: Label,
    /// Where other nodes reach it.
    pub address: Label,
    /// What fails together with it.
    pub zone: Label,
    /// Where it lives.
    pub residence: Residence,
    /// What it can do.
    pub supports: Features,
    /// Whether it lives.
    pub state: NodeState,
    /// Who keeps its session records besides, and whether all of them are there.
    pub backup: Option<Backup>,
}

/// How far a life of a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeState {
    /// It may have shards.
    Up,
    /// It lives, and what it has is moved away.
    Draining,
    /// It is over: its lease is, and it acts for nobody.
    Ended,
}

/// Where a node keeps its session records besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Backup {
    /// At which node.
    pub at: Incarnation,
    /// Whether all of them are there. One that is not synced is not used.
    pub synced: bool,
}

/// Where a node lives. Two lives with the same data directory on a local file system of the same
/// boot cannot overlap, because the directory is locked: the second proves that the first is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Residence {
    /// Made at random with the data directory.
    pub directory: [u8; 16],
    /// Made by the kernel at its start.
    pub boot: [u8; 16],
    /// Whether a lock of the directory excludes every other process: not so on a network.
    pub local: bool,
}

impl Residence {
    /// Whether whoever lives here knows that whoever lived there lives no more.
    fn succeeds(self, before: Residence) -> bool {
        self.local && self == before
    }
}

impl Node {
    /// Whether this life is not over.
    pub fn is_live(&self) -> bool {
        self.state != NodeState::Ended
    }

    /// Whether it may be given shards.
    pub fn is_up(&self) -> bool {
        self.state == NodeState::Up
    }
}

/// All nodes, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Nodes(pub(super) BTreeMap<NodeId, Node>);

impl Nodes {
    /// The living node of this incarnation.
    pub(super) fn live(&self, incarnation: Incarnation) -> Option<&Node> {
        self.0.values().find(|node| node.incarnation == incarnation && node.is_live())
    }

    fn live_mut(&mut self, incarnation: Incarnation) -> Result<&mut Node, Refusal> {
        let mut nodes = self.0.values_mut();
        nodes
            .find(|node| node.incarnation == incarnation && node.is_live())
            .ok_or(Refusal::NotLive(incarnation))
    }

    /// A life begins at `index`. Of a node that is new, its id does too.
    pub(super) fn join(
        &mut self,
        index: LogIndex,
        open: Features,
        join: Join,
    ) -> Result<Vec<Effect>, Refusal> {
        if !join.supports.has(open) {
            return Err(Refusal::Features);
        }
        let id = self.id_for(index, &join)?;
        let ended = self.earlier_life(id, &join)?;
        let replaced = self.namesake(id, &join)?;
        if self.0.len() >= NODES_MAX && !self.0.contains_key(&id) && replaced.is_none() {
            return Err(Refusal::TooManyNodes);
        }
        let incarnation = Incarnation(index.0);
        let mut effects = ended.map_or(Ok(Vec::new()), |ended| self.end(ended))?;
        if let Some(replaced) = replaced {
            self.0.remove(&replaced);
            effects.push(Effect::Forgotten { node: replaced });
        }
        self.0.insert(
            id,
            Node {
                incarnation,
                name: join.name,
                address: join.address,
                zone: join.zone,
                residence: join.residence,
                supports: join.supports,
                state: NodeState::Up,
                backup: None,
            },
        );
        effects.push(Effect::Joined { node: id, incarnation });
        Ok(effects)
    }

    /// The id a joining node has, or gets.
    fn id_for(&self, index: LogIndex, join: &Join) -> Result<NodeId, Refusal> {
        match join.node {
            None => Ok(NodeId(index.0)),
            // Who initialised the cluster has its id from before all joins.
            Some(NodeId::FIRST) if self.0.is_empty() => Ok(NodeId::FIRST),
            Some(id) if self.0.contains_key(&id) => Ok(id),
            Some(id) => Err(Refusal::UnknownNode(id)),
        }
    }

    /// The earlier life of the same node that ends by this join. Refused if it may go on.
    fn earlier_life(&self, id: NodeId, join: &Join) -> Result<Option<Incarnation>, Refusal> {
        let Some(earlier) = self.0.get(&id).filter(|node| node.is_live()) else { return Ok(None) };
        if join.residence.succeeds(earlier.residence) {
            Ok(Some(earlier.incarnation))
        } else {
            Err(Refusal::NotEnded(earlier.incarnation))
        }
    }

    /// The other node of the same name, which this one replaces: it has lost its disk. Refused as
    /// long as that one lives.
    fn namesake(&self, id: NodeId, join: &Join) -> Result<Option<NodeId>, Refusal> {
        let namesake = self.0.iter().find(|(other, node)| **other != id && node.name == join.name);
        match namesake {
            Some((_, node)) if node.is_live() => Err(Refusal::NotEnded(node.incarnation)),
            Some((other, _)) => Ok(Some(*other)),
            None => Ok(None),
        }
    }

    pub(super) fn drain(&mut self, incarnation: Incarnation) -> Result<Vec<Effect>, Refusal> {
        let node = self.live_mut(incarnation)?;
        if !node.is_up() {
            return Err(Refusal::NotUp(incarnation));
        }
        node.state = NodeState::Draining;
        Ok(vec![Effect::Draining { incarnation }])
    }

    /// A life is over. Whoever had its backup there has none now.
    pub(super) fn end(&mut self, incarnation: Incarnation) -> Result<Vec<Effect>, Refusal> {
        let node = self.live_mut(incarnation)?;
        node.state = NodeState::Ended;
        node.backup = None;
        let mut effects = vec![Effect::Ended { incarnation }];
        for node in self.0.values_mut() {
            if node.backup.is_some_and(|backup| backup.at == incarnation) {
                node.backup = None;
                effects.push(Effect::Backup { of: node.incarnation, to: None });
            }
        }
        Ok(effects)
    }

    pub(super) fn forget(
        &mut self,
        id: NodeId,
        incarnation: Incarnation,
    ) -> Result<Vec<Effect>, Refusal> {
        let known = self.0.get(&id).filter(|node| node.incarnation == incarnation);
        let node = known.ok_or(Refusal::UnknownNode(id))?;
        if node.is_live() {
            return Err(Refusal::NotEnded(incarnation));
        }
        if self.0.len() == 1 {
            return Err(Refusal::UnknownNode(id));
        }
        self.0.remove(&id);
        Ok(vec![Effect::Forgotten { node: id }])
    }

    pub(super) fn back_up(
        &mut self,
        of: Incarnation,
        expects: Option<Incarnation>,
        to: Option<Incarnation>,
    ) -> Result<Vec<Effect>, Refusal> {
        if let Some(to) = to.filter(|to| self.live(*to).is_none()) {
            return Err(Refusal::NotLive(to));
        }
        let node = self.live_mut(of)?;
        if node.backup.map(|backup| backup.at) != expects || to == Some(of) || to == expects {
            return Err(Refusal::Backup);
        }
        node.backup = to.map(|at| Backup { at, synced: false });
        Ok(vec![Effect::Backup { of, to }])
    }

    pub(super) fn backup_synced(
        &mut self,
        of: Incarnation,
        at: Incarnation,
    ) -> Result<Vec<Effect>, Refusal> {
        let node = self.live_mut(of)?;
        match &mut node.backup {
            Some(backup) if backup.at == at && !backup.synced => backup.synced = true,
            _ => return Err(Refusal::Backup),
        }
        Ok(vec![Effect::BackupSynced { of }])
    }
}
