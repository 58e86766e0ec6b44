//! What a cluster decided at its start, and every node has to do alike.

use std::time::Duration;

use crate::ids::ClusterId;
use crate::shard::{SHARDS, ShardKey};

/// The settings that are state of the cluster: a node that had others would hash an account to
/// another shard, or trust a lease for longer than it holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// The name of the cluster.
    pub cluster_id: ClusterId,
    /// How many shards there are: [`SHARDS`], in models and tests fewer.
    pub shards: u16,
    /// The key of the hash from account to shard.
    pub shard_hash_key: ShardKey,
    /// Of the tables by which JIDs are prepared: with others one JID could be in two shards.
    pub unicode_version: UnicodeVersion,
    /// How long leases are.
    pub lease: LeaseParameters,
    /// How many shards may be on their way to or from one node at a time. State, because all
    /// replicas have to refuse the same entries whatever version they are of.
    pub moves_max: u8,
    /// What is switched on, once every node can do it.
    pub features: Features,
}

/// Shards in hand-over at once, to or from one node: each is closed to its users for a moment, and
/// its state is in the memory of both.
pub const MOVES_MAX: u8 = 8;

impl Config {
    /// A cluster of this name and key, with the usual parameters.
    pub fn new(cluster_id: ClusterId, shard_hash_key: ShardKey, unicode: UnicodeVersion) -> Config {
        Config {
            cluster_id,
            shards: SHARDS,
            shard_hash_key,
            unicode_version: unicode,
            lease: LeaseParameters::default(),
            moves_max: MOVES_MAX,
            features: Features::default(),
        }
    }

    /// Whether a cluster can have it: there is a shard, and its leases are leases.
    pub fn is_sound(&self) -> bool {
        (1..=SHARDS).contains(&self.shards) && self.lease.is_sound()
    }
}

/// A version of Unicode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnicodeVersion {
    /// Before the first point.
    pub major: u16,
    /// Between the points.
    pub minor: u16,
    /// Behind the second point.
    pub update: u16,
}

/// One bit per feature that all nodes need to have before any may use it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Features(pub u64);

impl Features {
    /// Whether it has all of `others`.
    pub fn has(self, others: Features) -> bool {
        self.0 & others.0 == others.0
    }

    /// These and those.
    pub fn with(self, others: Features) -> Features {
        Features(self.0 | others.0)
    }
}

/// How long a lease is, and how it is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseParameters {
    /// L: for how long a renewal is good, if clocks were perfect.
    pub length: Duration,
    /// How often the holder asks.
    pub renewal: Duration,
    /// ρ: by how much the rate of a clock may be wrong.
    pub drift_percent: u8,
}

/// The longest election timeout of the consensus, e. Kept here because leases depend on it.
pub const ELECTION_TIMEOUT_MAX: Duration = Duration::from_millis(1_200);

/// The shortest one.
pub const ELECTION_TIMEOUT_MIN: Duration = Duration::from_millis(600);

/// Within which the accounts of a node that died must be served elsewhere.
const FAIL_OVER_MAX: Duration = Duration::from_secs(10);

/// What asking all nodes and reading the spools may take of it.
const RECOVERY_MAX: Duration = Duration::from_millis(2_300);

const L: LeaseParameters = LeaseParameters {
    length: Duration::from_secs(5),
    renewal: Duration::from_millis(500),
    drift_percent: 5,
};

// A longer lease breaks the promise of the fail-over; a shorter one does not survive the loss of a
// leader.
const _: () = assert!(
    2 * ELECTION_TIMEOUT_MAX.as_millis() + L.ended_after().as_millis() + RECOVERY_MAX.as_millis()
        < FAIL_OVER_MAX.as_millis()
);
const _: () = assert!(
    L.held_for().as_millis() - L.renewal.as_millis() > 3 * ELECTION_TIMEOUT_MAX.as_millis()
);

impl Default for LeaseParameters {
    fn default() -> LeaseParameters {
        L
    }
}

impl LeaseParameters {
    /// L(1−ρ): for how long the holder trusts it, from when it sent the request.
    pub const fn held_for(&self) -> Duration {
        self.percent_of_length(100 - self.drift_percent as u64)
    }

    /// L(1+ρ): after how long the leader may say that it is over.
    pub const fn ended_after(&self) -> Duration {
        self.percent_of_length(100 + self.drift_percent as u64)
    }

    /// For how long a process may be away without noticing, and still not act past the end of its
    /// lease: what is between the two ends.
    pub const fn margin(&self) -> Duration {
        self.percent_of_length(2 * self.drift_percent as u64)
    }

    /// Whether it can be a lease at all.
    pub fn is_sound(&self) -> bool {
        self.drift_percent < 50 && !self.renewal.is_zero() && self.renewal < self.held_for()
    }

    const fn percent_of_length(&self, percent: u64) -> Duration {
        Duration::from_nanos(self.length.as_nanos() as u64 / 100 * percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_stops_before_the_leader_says_that_it_is_over() {
        let lease = LeaseParameters::default();
        assert_eq!(lease.held_for(), Duration::from_millis(4_750));
        assert_eq!(lease.ended_after(), Duration::from_millis(5_250));
        assert_eq!(lease.margin(), lease.ended_after() - lease.held_for());
        assert!(lease.is_sound());
    }

    #[test]
    fn a_feature_is_there_only_if_all_its_bits_are() {
        assert!(Features(0b11).has(Features(0b10)));
        assert!(!Features(0b01).has(Features(0b11)));
        assert!(Features(0).has(Features::default()));
    }
}
