//! The state of a cluster: its nodes, and who has which shard.
//!
//! Every node has a copy, and all copies apply the same entries in the same order, so nothing here
//! may depend on a clock, on chance, on the machine, or on the version of the program.

mod codec;
mod command;
mod command_codec;
mod config;
mod effect;
#[cfg(test)]
pub(crate) mod fixture;
mod node;
mod shards;
mod snapshot;

pub use codec::DecodeError;
pub use command::{Activation, Command, Join, LABEL_BYTES_MAX, Label, Takeover, Transfer};
pub use config::{
    Config, ELECTION_TIMEOUT_MAX, ELECTION_TIMEOUT_MIN, Features, LeaseParameters, MOVES_MAX,
    UnicodeVersion,
};
pub use effect::{Effect, Refusal};
pub use node::{Backup, NODES_MAX, Node, NodeState, Residence};
pub use shards::{Assignment, Phase};

use std::collections::BTreeMap;

use crate::ids::{Epoch, Incarnation, LogIndex, NodeId};
use crate::shard::ShardId;

use node::Nodes;
use shards::Shards;

/// The replicated state. [`Cluster::apply`] is the only way to change it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cluster {
    /// The last entry that was applied, refused ones included.
    applied: LogIndex,
    /// None before the first command of the log.
    config: Option<Config>,
    nodes: Nodes,
    shards: Shards,
}

impl Cluster {
    /// Applies the entry at `index`. A refused entry changes nothing; which ones are refused is
    /// the same on every node.
    ///
    /// # Panics
    ///
    /// If indexes do not rise: then the log is not one log, and nothing that follows is safe.
    pub fn apply(&mut self, index: LogIndex, command: Command) -> Result<Vec<Effect>, Refusal> {
        assert!(index > self.applied, "entries are applied once and in order");
        self.applied = index;
        let Some(config) = &self.config else { return self.initialise(command) };
        let (open, moves_max) = (config.features, config.moves_max);
        match command {
            Command::Active(activation) => self.shards.activate(&self.nodes, activation),
            Command::Backup { of, expects, to } => self.nodes.back_up(of, expects, to),
            Command::BackupSynced { of, backup } => self.nodes.backup_synced(of, backup),
            Command::Draining { incarnation } => self.nodes.drain(incarnation),
            Command::Ended { incarnation } => self.nodes.end(incarnation),
            Command::Forgotten { node, incarnation } => self.nodes.forget(node, incarnation),
            Command::Handoff(transfers) => {
                self.shards.hand_off(index, &self.nodes, moves_max, &transfers)
            }
            Command::Initialise(_) => Err(Refusal::Initialised),
            Command::Join(join) => self.nodes.join(index, open, join),
            Command::Opened { expects, features } => self.open(expects, features),
            Command::Recovering(transfers) => self.shards.recover(index, &self.nodes, &transfers),
        }
    }

    fn initialise(&mut self, command: Command) -> Result<Vec<Effect>, Refusal> {
        let Command::Initialise(config) = command else { return Err(Refusal::NotInitialised) };
        if !config.is_sound() {
            return Err(Refusal::Unsound);
        }
        self.shards = Shards::new(config.shards);
        let effects = vec![Effect::Initialised(config.cluster_id)];
        self.config = Some(config);
        Ok(effects)
    }

    /// Features open for good, and only if every living node has them; no node without them joins
    /// afterwards. So nothing that a node of the version before cannot read is ever in the log.
    fn open(&mut self, expects: Features, features: Features) -> Result<Vec<Effect>, Refusal> {
        let ready = self.live_nodes().all(|(_, node)| node.supports.has(features));
        match &mut self.config {
            Some(config) if ready && config.features == expects => {
                config.features = expects.with(features);
                Ok(vec![Effect::Opened(config.features)])
            }
            _ => Err(Refusal::Features),
        }
    }

    /// The last entry that was applied.
    pub fn applied(&self) -> LogIndex {
        self.applied
    }

    /// The settings of the cluster, once it is initialised.
    pub fn config(&self) -> Option<&Config> {
        self.config.as_ref()
    }

    /// All nodes in the map.
    pub fn nodes(&self) -> &BTreeMap<NodeId, Node> {
        &self.nodes.0
    }

    /// Those that live.
    pub fn live_nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.0.iter().filter(|(_, node)| node.is_live()).map(|(id, node)| (*id, node))
    }

    /// The living node of this incarnation.
    pub fn live(&self, incarnation: Incarnation) -> Option<&Node> {
        self.nodes.live(incarnation)
    }

    /// The id of the living node of this incarnation.
    pub fn id_of(&self, incarnation: Incarnation) -> Option<NodeId> {
        self.live_nodes().find(|(_, node)| node.incarnation == incarnation).map(|(id, _)| id)
    }

    /// What the map says of a shard; nothing before the cluster is initialised.
    pub fn assignment(&self, shard: ShardId) -> Option<Assignment> {
        self.shards.get(shard)
    }

    /// What the map says of all shards, by number.
    pub fn assignments(&self) -> impl Iterator<Item = (ShardId, Assignment)> {
        let numbers = (0..).map_while(ShardId::new);
        numbers.zip(self.shards.0.iter().copied())
    }

    /// Who has to answer a recovery of this epoch before it is complete: every living node that
    /// can know something of an epoch before, the recovering one among them.
    pub fn respondents(&self, epoch: Epoch) -> impl Iterator<Item = Incarnation> {
        shards::respondents(&self.nodes, epoch)
    }

    /// How many shards are on their way, to and from each node.
    pub fn moves(&self) -> BTreeMap<Incarnation, usize> {
        self.shards.moves()
    }
}

#[cfg(test)]
#[path = "cluster_test.rs"]
mod tests;
