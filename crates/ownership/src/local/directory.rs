//! What the hot path asks: who owns an account, and may this node act?

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use jackdaw_jid::JidRef;

use crate::cluster::{Cluster, NODES_MAX};
use crate::ids::{Epoch, Incarnation, NodeId};
use crate::owners::{Owner, Owners};
use crate::shard::{SHARDS, ShardId, ShardKey};
use crate::time::Boottime;

use super::LocalNode;

/// How an epoch compares with what was seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Lower than this one: refuse.
    Older(Epoch),
    /// The highest so far.
    Current,
    /// Higher than all before; it is the highest from now on.
    Newer,
}

impl Seen {
    pub(super) fn of(epoch: Epoch, highest: Epoch) -> Seen {
        match epoch.cmp(&highest) {
            std::cmp::Ordering::Less => Seen::Older(highest),
            std::cmp::Ordering::Equal => Seen::Current,
            std::cmp::Ordering::Greater => Seen::Newer,
        }
    }
}

/// What a [`LocalNode`] believes, shared with all threads of the process. Reading it takes two or
/// three loads: no lock, no loop, no allocation.
///
/// Who has a shard, and since which epoch, is one word, so both are of one moment. The id of a
/// node is in a table beside it; a place in the table goes to another node only after nothing in
/// the map names the one before, and a reader that is so late has an epoch its receiver refuses.
#[derive(Debug)]
pub struct Directory {
    key: OnceLock<ShardKey>,
    shards: Box<[Shard]>,
    /// Ids of living nodes.
    nodes: Box<[AtomicU64]>,
    /// When the lease stops, in nanoseconds of `CLOCK_BOOTTIME`; 0 without one.
    lease: AtomicU64,
}

#[derive(Debug, Default)]
struct Shard {
    /// See [`Word`].
    owner: AtomicU64,
    /// The highest epoch seen.
    seen: AtomicU64,
}

/// An [`Owner`] in 64 bits: the epoch above, the place of the node in the table, what it is below.
/// An index of the log that needs more than the 54 bits of the epoch is never reached.
#[derive(Clone, Copy)]
struct Word(u64);

const KIND_BITS: u32 = 2;
const PLACE_BITS: u32 = 8;
const NOBODY: u64 = 0;
const HERE: u64 = 1;
const NODE: u64 = 2;

const _: () = assert!(NODES_MAX <= 1 << PLACE_BITS, "every node has a place");

impl Word {
    fn new(kind: u64, place: usize, epoch: Epoch) -> Word {
        let tail = (place as u64) << KIND_BITS | kind;
        Word(epoch.0 << (KIND_BITS + PLACE_BITS) | tail)
    }

    fn kind(self) -> u64 {
        self.0 & ((1 << KIND_BITS) - 1)
    }

    fn place(self) -> usize {
        (self.0 >> KIND_BITS & ((1 << PLACE_BITS) - 1)) as usize
    }

    fn epoch(self) -> Epoch {
        Epoch(self.0 >> (KIND_BITS + PLACE_BITS))
    }
}

impl Default for Directory {
    fn default() -> Directory {
        Directory {
            key: OnceLock::new(),
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            nodes: (0..NODES_MAX).map(|_| AtomicU64::new(u64::MAX)).collect(),
            lease: AtomicU64::new(0),
        }
    }
}

/// Writes a directory. There is one, because places in the table of nodes are its own.
#[derive(Debug, Default)]
pub struct Publisher {
    places: BTreeMap<NodeId, usize>,
}

impl Publisher {
    /// Makes the map public: after each entry that was applied, before anything is done about it.
    pub fn publish_map(&mut self, directory: &Directory, local: &LocalNode, cluster: &Cluster) {
        if let Some(config) = cluster.config() {
            directory.key.get_or_init(|| config.shard_hash_key.clone());
        }
        let lives = self.publish_nodes(directory, cluster);
        for (shard, assignment) in cluster.assignments() {
            let heir = lives.get(&assignment.heir());
            let word = match heir.map(|(node, place)| (local.standing_of(assignment, *node), place))
            {
                Some((Owner::Here(epoch), place)) => Word::new(HERE, *place, epoch),
                Some((Owner::Node(_, epoch), place)) => Word::new(NODE, *place, epoch),
                Some((Owner::Nobody, _)) | None => Word::new(NOBODY, 0, assignment.epoch_max()),
            };
            let shard = directory.of(shard);
            shard.seen.fetch_max(assignment.epoch.0, Ordering::AcqRel);
            shard.owner.store(word.0, Ordering::Release);
        }
    }

    /// Makes the lease public: when it was renewed, and when it stops.
    pub fn publish_lease(&self, directory: &Directory, local: &LocalNode, now: Boottime) {
        let end = local.valid_until().filter(|end| *end > now);
        directory.lease.store(end.map_or(0, nanoseconds), Ordering::Release);
    }

    /// Ids before the words that point at them.
    fn publish_nodes(
        &mut self,
        directory: &Directory,
        cluster: &Cluster,
    ) -> BTreeMap<Incarnation, (NodeId, usize)> {
        self.places.retain(|node, _| cluster.nodes().contains_key(node));
        let mut lives = BTreeMap::new();
        for (node, life) in cluster.live_nodes() {
            let Some(place) = self.place(node) else { continue };
            directory.nodes[place].store(node.0, Ordering::Release);
            lives.insert(life.incarnation, (node, place));
        }
        lives
    }

    fn place(&mut self, node: NodeId) -> Option<usize> {
        if let Some(place) = self.places.get(&node) {
            return Some(*place);
        }
        let taken: BTreeSet<_> = self.places.values().copied().collect();
        let place = (0..NODES_MAX).find(|place| !taken.contains(place))?;
        self.places.insert(node, place);
        Some(place)
    }
}

impl Directory {
    /// Something of this epoch came for a shard. A higher one than this node's own ends its
    /// ownership at once, on all threads, before the map has it.
    pub fn see(&self, shard: ShardId, epoch: Epoch) -> Seen {
        let before = self.of(shard).seen.fetch_max(epoch.0, Ordering::AcqRel);
        Seen::of(epoch, Epoch(before))
    }

    /// The highest epoch seen of a shard.
    pub fn highest(&self, shard: ShardId) -> Epoch {
        Epoch(self.of(shard).seen.load(Ordering::Acquire))
    }

    /// Whether this node may act as an owner now. To be asked, with a clock that was just read,
    /// after dequeuing and before each batch with an effect outside the process;
    /// [`Owners::owner_of`] has no clock, and says what was so when the lease was last published.
    pub fn is_leased(&self, now: Boottime) -> bool {
        nanoseconds(now) < self.lease.load(Ordering::Acquire)
    }

    /// The shard of an account, once there is a cluster.
    pub fn shard_of(&self, account: JidRef<'_>) -> Option<ShardId> {
        self.key.get().map(|key| key.shard_of(account))
    }

    /// Who has a shard.
    pub fn owner(&self, shard: ShardId) -> Owner {
        let shard = self.of(shard);
        let word = Word(shard.owner.load(Ordering::Acquire));
        match word.kind() {
            HERE if shard.seen.load(Ordering::Acquire) > word.epoch().0 => Owner::Nobody,
            HERE if self.lease.load(Ordering::Acquire) == 0 => Owner::Nobody,
            HERE => Owner::Here(word.epoch()),
            NODE => {
                let node = self.nodes[word.place()].load(Ordering::Acquire);
                Owner::Node(NodeId(node), word.epoch())
            }
            _ => Owner::Nobody,
        }
    }

    fn of(&self, shard: ShardId) -> &Shard {
        &self.shards[usize::from(shard.number())]
    }
}

impl Owners for Directory {
    fn owner_of(&self, account: JidRef<'_>) -> Owner {
        self.shard_of(account).map_or(Owner::Nobody, |shard| self.owner(shard))
    }
}

fn nanoseconds(time: Boottime) -> u64 {
    let Boottime(duration) = time;
    duration.as_nanos().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "directory_test.rs"]
mod tests;
