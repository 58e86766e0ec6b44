//! What the log of a cluster can say.

use crate::ids::{Epoch, Incarnation, NodeId};
use crate::shard::ShardId;

use super::config::{Config, Features};
use super::node::Residence;
use super::shards::{Assignment, Phase};

/// An entry of the log. Each names what it expects to find, and changes nothing where it finds
/// something else: whoever proposed it looked at a map that may have changed since.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// The shards are served. Said by whoever has taken them over.
    Active(Activation),
    /// A node keeps its session records on another one besides.
    Backup {
        /// Whose records.
        of: Incarnation,
        /// Where they are now.
        expects: Option<Incarnation>,
        /// Where they are to be, not synced yet.
        to: Option<Incarnation>,
    },
    /// All of them are there.
    BackupSynced {
        /// Whose records.
        of: Incarnation,
        /// Where they are.
        backup: Incarnation,
    },
    /// A node is leaving: it gets nothing new, and what it has is moved away.
    Draining {
        /// Which one.
        incarnation: Incarnation,
    },
    /// The lease of a node is over, or it has given it back. The only evidence of that.
    Ended {
        /// Which one.
        incarnation: Incarnation,
    },
    /// A node that has ended will not come back.
    Forgotten {
        /// Which one.
        node: NodeId,
        /// Its last life.
        incarnation: Incarnation,
    },
    /// Shards go from an owner that lives to another node.
    Handoff(Vec<Transfer>),
    /// The first command of every cluster.
    Initialise(Config),
    /// A node begins a life.
    Join(Join),
    /// All nodes may use these from now on.
    Opened {
        /// What is open before.
        expects: Features,
        /// What is opened besides.
        features: Features,
    },
    /// Shards are given to a node that asks everybody what is known of them.
    Recovering(Vec<Transfer>),
}

/// Shards of one assignment, to one node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Transfer {
    /// Which ones, rising.
    pub shards: Vec<ShardId>,
    /// What the map says of each of them.
    pub expects: Assignment,
    /// Who is to have them.
    pub to: Incarnation,
}

/// Shards of one epoch are served from now on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Activation {
    /// Which ones, rising.
    pub shards: Vec<ShardId>,
    /// By whom.
    pub by: Incarnation,
    /// The epoch of the hand-off or recovery.
    pub epoch: Epoch,
    /// Which of the two it was.
    pub after: Takeover,
}

/// How shards come to an owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Takeover {
    /// The owner before sealed them and sent all it knew.
    Handoff {
        /// Who that was, and in which epoch.
        from: Incarnation,
        /// Its epoch.
        sealed: Epoch,
    },
    /// Everybody was asked.
    Recovery {
        /// Who has answered, rising. Every node has to be among them that lives and was there
        /// before the epoch; the answer of the owner before is its seal.
        answered: Vec<Incarnation>,
    },
}

impl Activation {
    /// What the map has to say of each of the shards.
    pub fn expects(&self) -> Assignment {
        match &self.after {
            Takeover::Handoff { from, sealed } => Assignment {
                owner: *from,
                epoch: *sealed,
                phase: Phase::Handoff { to: self.by, epoch: self.epoch },
            },
            Takeover::Recovery { .. } => {
                Assignment { owner: self.by, epoch: self.epoch, phase: Phase::Recovering }
            }
        }
    }
}

/// What a node says of itself when it begins a life.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Join {
    /// The id that its data directory holds; none if it is new, or has lost it.
    pub node: Option<NodeId>,
    /// Its name, as in its certificate. At most one living node has it.
    pub name: Label,
    /// Where other nodes reach it.
    pub address: Label,
    /// What fails together; empty if nobody said.
    pub zone: Label,
    /// Where it lives, to tell whether an earlier life of it is over.
    pub residence: Residence,
    /// What it can do.
    pub supports: Features,
}

/// A short text of an operator or a name server: a name, an address, a zone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label(Box<str>);

/// A DNS name has at most 253 bytes; a port comes with it.
pub const LABEL_BYTES_MAX: usize = 300;

impl Label {
    /// The text, unless it is longer than [`LABEL_BYTES_MAX`].
    pub fn new(text: &str) -> Option<Label> {
        (text.len() <= LABEL_BYTES_MAX).then(|| Label(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
