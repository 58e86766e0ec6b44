//! Accounts fall into shards.

use jackdaw_jid::JidRef;

use crate::sip::siphash_2_4;

/// Shards of the deployment: some hundred for each node of a large cluster, so that load can be
/// moved in small pieces, and few enough for the whole map to be one message.
pub const SHARDS: u16 = 4096;

const _: () = assert!(SHARDS.is_power_of_two(), "no shard gets more of the hash than another");

/// One of the [`SHARDS`] parts into which accounts fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(u16);

impl ShardId {
    /// The shard of this number, if there is one.
    pub fn new(number: u16) -> Option<ShardId> {
        (number < SHARDS).then_some(ShardId(number))
    }

    /// Its number, below [`SHARDS`].
    pub fn number(self) -> u16 {
        self.0
    }
}

/// The deployment's secret key of the hash: who does not know it cannot aim at one shard.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ShardKey([u8; 16]);

impl ShardKey {
    /// A key of these bytes. Every node of a deployment has the same one, for ever.
    pub fn new(bytes: [u8; 16]) -> ShardKey {
        ShardKey(bytes)
    }

    /// Its bytes, for the log of the cluster. They go nowhere else.
    pub(crate) fn bytes(&self) -> [u8; 16] {
        self.0
    }

    /// The shard of a JID: of its bare part, normalised as every [`JidRef`] is.
    pub fn shard_of(&self, jid: JidRef<'_>) -> ShardId {
        let hash = siphash_2_4(&self.0, jid.bare_str().as_bytes());
        ShardId((hash % u64::from(SHARDS)) as u16)
    }
}

impl std::fmt::Debug for ShardKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ShardKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackdaw_jid::Jid;

    fn shard(key: u8, jid: &str) -> ShardId {
        let jid = Jid::parse(jid).expect("a JID");
        ShardKey::new([key; 16]).shard_of(jid.as_jid_ref())
    }

    #[test]
    fn a_resource_is_in_the_shard_of_its_account() {
        assert_eq!(shard(1, "romeo@example.net/orchard"), shard(1, "romeo@example.net"));
        assert_eq!(shard(1, "ROMEO@Example.net"), shard(1, "romeo@example.net"));
    }

    #[test]
    fn another_key_makes_other_shards() {
        let moved =
            (0..100).filter(|n| shard(1, &format!("u{n}@b")) != shard(2, &format!("u{n}@b")));
        assert!(moved.count() > 90);
    }

    #[test]
    fn accounts_spread_over_the_shards() {
        let mut counts = vec![0u32; usize::from(SHARDS)];
        for n in 0..40_960 {
            counts[usize::from(shard(7, &format!("user{n}@example.net")).number())] += 1;
        }
        let most = counts.iter().max().copied().unwrap_or_default();
        let empty = counts.iter().filter(|count| **count == 0).count();
        assert!(most < 40, "{most} of 10 on average");
        assert!(empty < 10, "{empty} shards are empty");
    }

    #[test]
    fn a_shard_has_a_number_below_their_count() {
        assert_eq!(ShardId::new(SHARDS - 1).map(ShardId::number), Some(SHARDS - 1));
        assert_eq!(ShardId::new(SHARDS), None);
    }
}
