//! The highest epoch of every shard that a node has seen, in any of its roles.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Tenure;
use crate::{Epoch, SHARDS, ShardId};

/// One per node, shared by all its machines and told of every assignment that the node applies.
/// The lease gives liveness, the epoch gives safety: a lower one is refused, a higher one ends the
/// node's own ownership of the shard at once.
#[derive(Debug)]
pub struct Fence {
    highest: Box<[AtomicU64]>,
}

/// Of a shard that the cluster does not have: above every index of a log.
const NO_SHARD: Epoch = Epoch(u64::MAX);

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

impl Default for Fence {
    fn default() -> Fence {
        Fence::new(SHARDS)
    }
}

impl Fence {
    /// Of a cluster with so many shards. What is said of any other is refused.
    pub fn new(shards: u16) -> Fence {
        Fence { highest: (0..shards).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Compares, and remembers a higher one.
    pub fn see(&self, tenure: Tenure) -> Seen {
        let Epoch(epoch) = tenure.epoch;
        let Some(highest) = self.highest.get(usize::from(tenure.shard.number())) else {
            return Seen::Older(NO_SHARD);
        };
        let before = highest.fetch_max(epoch, Ordering::AcqRel);
        match epoch.cmp(&before) {
            std::cmp::Ordering::Less => Seen::Older(Epoch(before)),
            std::cmp::Ordering::Equal => Seen::Current,
            std::cmp::Ordering::Greater => Seen::Newer,
        }
    }

    /// The highest epoch seen of a shard; 0 before the first.
    pub fn highest(&self, shard: ShardId) -> Epoch {
        let highest = self.highest.get(usize::from(shard.number()));
        highest.map_or(NO_SHARD, |highest| Epoch(highest.load(Ordering::Acquire)))
    }

    /// Whether something is still of the highest epoch seen.
    pub fn holds(&self, tenure: Tenure) -> bool {
        self.highest(tenure.shard) == tenure.epoch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_never_falls() {
        let fence = Fence::default();
        let shard = ShardId::new(7).expect("a shard");
        let see = |epoch| fence.see(Tenure { shard, epoch: Epoch(epoch) });
        assert_eq!(see(5), Seen::Newer);
        assert_eq!(see(5), Seen::Current);
        assert_eq!(see(4), Seen::Older(Epoch(5)));
        assert_eq!(fence.highest(shard), Epoch(5));
        assert!(!fence.holds(Tenure { shard, epoch: Epoch(4) }));
    }

    #[test]
    fn shards_have_their_own_epochs() {
        let fence = Fence::default();
        let tenure =
            |number| Tenure { shard: ShardId::new(number).expect("a shard"), epoch: Epoch(3) };
        fence.see(tenure(1));
        assert_eq!(fence.see(tenure(SHARDS - 1)), Seen::Newer);
    }
}
