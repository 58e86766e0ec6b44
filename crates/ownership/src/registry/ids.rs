//! Names of what the protocol speaks of.

use crate::{Epoch, Incarnation, ShardId};

/// A shard in one of its epochs: what every frame carries, and every receiver compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenure {
    /// The shard.
    pub shard: ShardId,
    /// The epoch at which whoever speaks believes it to be owned.
    pub epoch: Epoch,
}

/// A generation of a session, g: new at its bind and at each resume, never given out twice. Ends,
/// evictions and frames name it, so that one that comes late does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation {
    /// The epoch of the owner that gave it out.
    pub epoch: Epoch,
    /// Which one of that epoch: one entry of the log may give shards to many owners, so the shard
    /// is in it.
    pub counter: u64,
}

/// Where the shard is in the counter of a generation. What is below is more than an owner can give
/// out in one epoch.
const COUNT_BITS: u32 = 48;

impl Generation {
    /// The how-manieth of a shard in an epoch.
    pub(super) fn of(tenure: Tenure, count: u64) -> Generation {
        let shard = u64::from(tenure.shard.number()) << COUNT_BITS;
        Generation { epoch: tenure.epoch, counter: shard | count }
    }
}

/// A session for good, σ: the generation of its bind. Stanza-ids and counters are by it, because
/// they go on when the session is resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionName(pub Generation);

/// Names one attempt to bind. Rises in a life of a node, so that the owner need remember only the
/// highest of each node to know a repetition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Nonce(pub u64);

/// A session of this node, by a name that the caller never uses twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Local(pub u64);

/// Where a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// On which node, in which of its lives.
    pub incarnation: Incarnation,
    /// With which of its workers.
    pub worker: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_that_one_entry_assigns_have_generations_of_their_own() {
        let epoch = Epoch(11);
        let shards = [0, 1].map(|number| ShardId::new(number).expect("a shard"));
        let [one, other] = shards.map(|shard| Generation::of(Tenure { shard, epoch }, 1));
        assert_ne!(one, other);
    }
}
