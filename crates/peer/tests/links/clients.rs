//! Who sends to whom, and the store in which it ends up.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jackdaw_peer::frame::{Epoch, Generation, Incarnation, Item, Origin, Shard, Stanza};
use jackdaw_peer::link::Local;

pub const SHARDS: u16 = 3;

/// Recipients of each shard.
const PER_SHARD: u8 = 2;

/// Whom a stanza is for: the shard, and which account of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Recipient(pub u8);

impl Recipient {
    pub fn all() -> impl Iterator<Item = Recipient> {
        (0..SHARDS as u8 * PER_SHARD).map(Recipient)
    }

    pub fn shard(self) -> Shard {
        Shard::new(u16::from(self.0 / PER_SHARD)).expect("few shards")
    }

    /// The session in which the recipient gets it.
    pub fn generation(self) -> Generation {
        Generation { epoch: Epoch(1), counter: u64::from(self.0) }
    }

    /// The node that has its socket.
    pub fn socket(self) -> Incarnation {
        Incarnation(1 + u64::from(self.0) % super::world::NODES)
    }
}

/// A sending session at one node.
#[derive(Debug)]
pub struct Client {
    pub session: Local,
    pub home: Incarnation,
    /// The recipient of each stanza it has sent, in order.
    pub sent: Vec<Recipient>,
    /// What was refused at a bound: the next to be offered.
    pub held: Option<(Recipient, Item)>,
    /// Told to stop.
    pub stopped: bool,
    /// What `h` says.
    pub handled: u64,
}

impl Client {
    pub fn new(session: u64, home: Incarnation) -> Client {
        let session = Local(session);
        Client { session, home, sent: Vec::new(), held: None, stopped: false, handled: 0 }
    }

    pub fn origin(&self, inbound: u64) -> Origin {
        let session = Generation { epoch: Epoch(self.home.0), counter: self.session.0 };
        Origin { session, inbound }
    }

    /// The next stanza, for this recipient.
    pub fn compose(&self, to: Recipient) -> Item {
        let origin = self.origin(self.sent.len() as u64 + 1);
        Item::Stanza(Stanza { origin: Some(origin), stanza: Bytes::from(vec![to.0]) })
    }
}

/// What is durable, and the order in which it became that.
#[derive(Debug, Default)]
pub struct Store {
    /// Per recipient; `false` once a later epoch has claimed the shard.
    pub rows: BTreeMap<Recipient, Vec<Origin>>,
    keys: BTreeSet<Origin>,
    fence: BTreeMap<u16, Epoch>,
}

impl Store {
    /// A new owner; nobody writes under a lower epoch from now on.
    pub fn claim(&mut self, shard: Shard, epoch: Epoch) {
        self.fence.insert(shard.number(), epoch);
    }

    /// Commits a row, unless the writer is fenced off. The same row again is the same row. Gives
    /// whether it is durable, and whether it is new.
    pub fn commit(&mut self, epoch: Epoch, to: Recipient, origin: Origin) -> (bool, bool) {
        if self.fence.get(&to.shard().number()).is_some_and(|fence| epoch < *fence) {
            return (false, false);
        }
        let new = self.keys.insert(origin);
        if new {
            self.rows.entry(to).or_default().push(origin);
        }
        (true, new)
    }

    pub fn holds(&self, origin: Origin) -> bool {
        self.keys.contains(&origin)
    }
}
