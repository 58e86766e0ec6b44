//! Entries of the log as bytes.

use std::time::Duration;

use crate::ids::{ClusterId, Epoch, Incarnation, LogIndex, NodeId};
use crate::shard::{ShardId, ShardKey};

use super::codec::{DecodeError, Reader, Wire, decode, encode, wire_enum, wire_struct};
use super::command::{Activation, Command, Join, Label, Takeover, Transfer};
use super::config::{Config, Features, LeaseParameters, UnicodeVersion};
use super::node::Residence;
use super::shards::{Assignment, Phase};

/// The first byte of every entry.
const FORMAT: u8 = 1;

impl Command {
    /// The bytes of the entry.
    pub fn encode(&self) -> Vec<u8> {
        encode(FORMAT, self)
    }

    /// The entry of these bytes.
    pub fn decode(bytes: &[u8]) -> Result<Command, DecodeError> {
        decode(FORMAT, bytes)
    }
}

wire_struct!(ClusterId { 0 });
wire_struct!(Epoch { 0 });
wire_struct!(Incarnation { 0 });
wire_struct!(LogIndex { 0 });
wire_struct!(NodeId { 0 });
wire_struct!(Features { 0 });
wire_struct!(UnicodeVersion { major, minor, update });
wire_struct!(LeaseParameters { length, renewal, drift_percent });
wire_struct!(Config {
    cluster_id,
    shards,
    shard_hash_key,
    unicode_version,
    lease,
    moves_max,
    features,
});
wire_struct!(Residence { directory, boot, local });
wire_struct!(Join { node, name, address, zone, residence, supports });
wire_struct!(Assignment { owner, epoch, phase });
wire_struct!(Transfer { shards, expects, to });
wire_struct!(Activation { shards, by, epoch, after });

wire_enum!(Phase {
    0 = Active {},
    1 = Handoff { to: to, epoch: epoch },
    2 = Recovering {},
});
wire_enum!(Takeover {
    0 = Handoff { from: from_node, sealed: sealed },
    1 = Recovery { answered: answered },
});
wire_enum!(Command {
    0 = Active { 0: activation },
    1 = Backup { of: of, expects: expects, to: backup },
    2 = BackupSynced { of: of, backup: backup },
    3 = Draining { incarnation: incarnation },
    4 = Ended { incarnation: incarnation },
    5 = Forgotten { node: node, incarnation: incarnation },
    6 = Handoff { 0: transfers },
    7 = Initialise { 0: config },
    8 = Join { 0: join },
    9 = Opened { expects: expects, features: features },
    10 = Recovering { 0: transfers },
});

impl Wire for ShardId {
    fn put(&self, to: &mut Vec<u8>) {
        self.number().put(to);
    }

    fn take(from: &mut Reader<'_>) -> Result<ShardId, DecodeError> {
        ShardId::new(u16::take(from)?).ok_or(DecodeError::Value)
    }
}

impl Wire for ShardKey {
    fn put(&self, to: &mut Vec<u8>) {
        self.bytes().put(to);
    }

    fn take(from: &mut Reader<'_>) -> Result<ShardKey, DecodeError> {
        Wire::take(from).map(ShardKey::new)
    }
}

impl Wire for Label {
    fn put(&self, to: &mut Vec<u8>) {
        self.as_str().to_owned().put(to);
    }

    fn take(from: &mut Reader<'_>) -> Result<Label, DecodeError> {
        Label::new(&String::take(from)?).ok_or(DecodeError::Value)
    }
}

/// More of them are another second.
const NANOSECONDS: u32 = 1_000_000_000;

impl Wire for Duration {
    fn put(&self, to: &mut Vec<u8>) {
        self.as_secs().put(to);
        self.subsec_nanos().put(to);
    }

    fn take(from: &mut Reader<'_>) -> Result<Duration, DecodeError> {
        let (seconds, nanoseconds) = <(u64, u32)>::take(from)?;
        if nanoseconds >= NANOSECONDS {
            return Err(DecodeError::Value);
        }
        Ok(Duration::new(seconds, nanoseconds))
    }
}
