//! Clusters and commands for tests.

use proptest::prelude::*;

use crate::ids::{ClusterId, Incarnation, LogIndex, NodeId};
use crate::shard::{ShardId, ShardKey};

use super::*;

/// Shards of a cluster in tests: few, so that random commands meet.
pub(crate) const SHARDS: u16 = 6;

/// Where node `name` lives.
pub(crate) fn residence(name: u8, boot: u8) -> Residence {
    Residence { directory: [name; 16], boot: [boot; 16], local: true }
}

pub(crate) fn label(text: &str) -> Label {
    Label::new(text).expect("a short text")
}

/// What a node says that joins for the first time.
pub(crate) fn join(name: u8) -> Join {
    Join {
        node: None,
        name: label(&format!("jackdaw-{name}")),
        address: label("192.0.2.1:7000"),
        zone: label(["east", "west"][usize::from(name % 2)]),
        residence: residence(name, 0),
        supports: Features(0b111),
    }
}

pub(crate) fn config() -> Config {
    let unicode = UnicodeVersion { major: 16, minor: 0, update: 0 };
    let config = Config::new(ClusterId([7; 16]), ShardKey::new([9; 16]), unicode);
    Config { shards: SHARDS, moves_max: 2, ..config }
}

pub(crate) fn shard(number: u16) -> ShardId {
    ShardId::new(number).expect("a shard")
}

/// The state, and the next command.
pub(crate) struct Log {
    pub(crate) cluster: Cluster,
    next: u64,
}

impl Log {
    /// A cluster without a node.
    pub(crate) fn new() -> Log {
        let mut log = Log { cluster: Cluster::default(), next: 1 };
        log.apply(Command::Initialise(config())).expect("nothing was there");
        log
    }

    /// Nodes 1 to `count` joined one after the other.
    pub(crate) fn with_nodes(count: u8) -> (Log, Vec<Incarnation>) {
        let mut log = Log::new();
        let nodes = (1..=count).map(|name| log.join(join(name))).collect();
        (log, nodes)
    }

    pub(crate) fn apply(&mut self, command: Command) -> Result<Vec<Effect>, Refusal> {
        let index = LogIndex(self.next);
        self.next += 1;
        self.cluster.apply(index, command)
    }

    /// The index of the next command.
    pub(crate) fn next(&self) -> LogIndex {
        LogIndex(self.next)
    }

    pub(crate) fn join(&mut self, join: Join) -> Incarnation {
        let incarnation = Incarnation(self.next);
        self.apply(Command::Join(join)).expect("it may join");
        incarnation
    }

    pub(crate) fn assignment(&self, number: u16) -> Assignment {
        self.cluster.assignment(shard(number)).expect("a shard of the cluster")
    }

    pub(crate) fn transfer(&self, number: u16, to: Incarnation) -> Transfer {
        Transfer { shards: vec![shard(number)], expects: self.assignment(number), to }
    }

    /// The shard recovers at `to`, with the answers of all.
    pub(crate) fn place(&mut self, number: u16, to: Incarnation) -> Epoch {
        let epoch = Epoch::from(self.next());
        let transfer = self.transfer(number, to);
        self.apply(Command::Recovering(vec![transfer])).expect("nobody has it");
        let activation = self.recovered(number);
        self.apply(Command::Active(activation)).expect("all have answered");
        epoch
    }

    /// What a node says that takes the shard over with all the answers it needs.
    pub(crate) fn recovered(&self, number: u16) -> Activation {
        let Assignment { owner, epoch, .. } = self.assignment(number);
        let answered = self.cluster.respondents(epoch).collect();
        let after = Takeover::Recovery { answered };
        Activation { shards: vec![shard(number)], by: owner, epoch, after }
    }

    /// What a node says that takes the shard over with the state of the owner before.
    pub(crate) fn handed_over(&self, number: u16) -> Activation {
        let assignment = self.assignment(number);
        let Assignment { owner: from, epoch: sealed, .. } = assignment;
        let (by, epoch) = (assignment.heir(), assignment.epoch_max());
        let after = Takeover::Handoff { from, sealed };
        Activation { shards: vec![shard(number)], by, epoch, after }
    }
}

/// A command that was chosen without looking at the state: it is made to fit when it is applied,
/// or, sometimes, to a state of the past.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    kind: u8,
    shard: u16,
    from: u8,
    to: u8,
}

pub(crate) fn choices() -> impl Strategy<Value = Vec<Choice>> {
    let choice = (0..14u8, 0..SHARDS, 0..5u8, 0..5u8);
    let choice = choice.prop_map(|(kind, shard, from, to)| Choice { kind, shard, from, to });
    proptest::collection::vec(choice, 0..80)
}

impl Choice {
    /// The command that fits `log`.
    pub(crate) fn command(self, log: &Log) -> Command {
        let Choice { kind, shard: number, from, to } = self;
        let (of, node) = nth(log, from);
        let (to, _) = nth(log, to);
        let backup = log.cluster.live(of).and_then(|node| node.backup).map(|backup| backup.at);
        let handed = matches!(log.assignment(number).phase, Phase::Handoff { .. });
        match kind {
            0 => Command::Backup { of, expects: backup, to: Some(to) },
            1 => Command::BackupSynced { of, backup: backup.unwrap_or(to) },
            2 => Command::Draining { incarnation: of },
            3 => Command::Ended { incarnation: of },
            4 => Command::Forgotten { node, incarnation: of },
            5 | 6 => Command::Handoff(vec![log.transfer(number, to)]),
            7 | 8 => Command::Recovering(vec![log.transfer(number, to)]),
            9 | 10 if handed => Command::Active(log.handed_over(number)),
            9 | 10 => Command::Active(log.recovered(number)),
            11 => Command::Join(Join { node: Some(node), ..join(from) }),
            12 => Command::Opened { expects: Features(0), features: Features(1) },
            _ => Command::Join(join(from)),
        }
    }
}

/// One of the nodes, living or not.
fn nth(log: &Log, number: u8) -> (Incarnation, NodeId) {
    let nodes = log.cluster.nodes();
    let node = nodes.iter().nth(usize::from(number) % nodes.len().max(1));
    node.map_or((Incarnation(1), NodeId(1)), |(id, node)| (node.incarnation, *id))
}
