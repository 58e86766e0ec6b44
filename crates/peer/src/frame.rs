//! What nodes say to each other, in types of our own. The wire form is in [`wire`](crate::wire).

use std::fmt;

use bytes::Bytes;

/// How many shards there are. The number of a shard is below it.
pub const SHARDS: u16 = 4096;

/// More workers than one node has cores; a number above is no worker.
pub const WORKERS_MAX: u16 = 1024;

/// A slice of the accounts, by a hash of the bare JID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shard(u16);

impl Shard {
    /// The shard of this number, if there is one.
    pub fn new(number: u16) -> Option<Shard> {
        (number < SHARDS).then_some(Shard(number))
    }

    /// Its number, below [`SHARDS`].
    pub fn number(self) -> u16 {
        self.0
    }
}

/// Numbers the assignments of shards to nodes: unique and rising.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u64);

/// One life of a node, the index of its join in the log. 0 is nobody's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "incarnation-{}", self.0)
    }
}

/// A worker of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Worker(u16);

impl Worker {
    /// The first one; also stands for a node's control stream.
    pub const FIRST: Worker = Worker(0);

    /// The worker of this number, if a node can have so many.
    pub fn new(number: u16) -> Option<Worker> {
        (number < WORKERS_MAX).then_some(Worker(number))
    }

    /// Its number, below [`WORKERS_MAX`].
    pub fn number(self) -> u16 {
        self.0
    }
}

/// One end of a payload stream: a worker of one life of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId {
    /// The node.
    pub incarnation: Incarnation,
    /// The worker.
    pub worker: Worker,
}

/// A generation of a session, new at each bind and resume. The first one names the session for
/// good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation {
    /// The epoch of the owner that gave it out.
    pub epoch: Epoch,
    /// The how-manieth of that epoch.
    pub counter: u64,
}

/// A shard at an epoch: what every frame carries, and every receiver checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tenure {
    /// The shard.
    pub shard: Shard,
    /// The epoch of the assignment.
    pub epoch: Epoch,
}

/// A run of consecutive numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub first: u64,
    /// How many, at least one.
    pub count: u64,
}

impl Range {
    /// The first number behind it.
    pub fn end(self) -> u64 {
        self.first.saturating_add(self.count)
    }
}

/// Consecutive entries for one shard, from a socket node to the owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sends {
    /// For whom.
    pub tenure: Tenure,
    /// Everything below is durably accepted.
    pub floor: u64,
    /// The number of the first entry.
    pub first: u64,
    /// The entries; none asks for receipt and accepts once more.
    pub entries: Vec<Entry>,
}

/// One entry of [`Sends`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Takes one number.
    Item(Item),
    /// Takes as many numbers; they were accepted before or withdrawn.
    Gap(u64),
}

/// Something for the owner of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A stanza for an account of the shard.
    Stanza(Stanza),
    /// A session asks for its full JID.
    Bind(Bind),
    /// A session has ended.
    Unbind(Unbind),
}

impl Item {
    /// Its bytes that are not of fixed size.
    pub fn payload_bytes(&self) -> usize {
        match self {
            Item::Stanza(stanza) => stanza.stanza.len(),
            Item::Bind(bind) => bind.jid.len(),
            Item::Unbind(unbind) => unbind.jid.len(),
        }
    }
}

/// A stanza on its way to the recipient's owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stanza {
    /// The sending session and the stanza's number in it; they make the stanza-id. `None` if the
    /// server itself says it.
    pub origin: Option<Origin>,
    /// The stanza, `from` and `to` in their final form.
    pub stanza: Bytes,
}

/// Which stanza of which session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// The first generation of the session.
    pub session: Generation,
    /// The stanza's number in it.
    pub inbound: u64,
}

/// A session asks the owner for its full JID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// The full JID, as text.
    pub jid: Box<str>,
    /// Made at random for this attempt.
    pub nonce: u64,
    /// The generation that it had, on resumption or after the owner changed.
    pub previous: Option<Generation>,
}

/// A session has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unbind {
    /// The full JID, as text.
    pub jid: Box<str>,
    /// Its generation; an old one does nothing.
    pub generation: Generation,
}

/// Consecutive deliveries for one session, from the owner to the socket node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deliveries {
    /// From whom.
    pub tenure: Tenure,
    /// The session.
    pub generation: Generation,
    /// The number of the first delivery.
    pub first: u64,
    /// The deliveries; none asks for the receipt once more.
    pub parcels: Vec<Parcel>,
}

/// A stanza for one session, as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// The stanza in its final form.
    pub stanza: Bytes,
    /// Which stanza of which session it is; `None` if the server said it.
    pub origin: Option<Origin>,
    /// A hash of its origin-id (XEP-0359), 0 without one.
    pub origin_hash: u64,
    /// Under which name the owner waits for the client's acknowledgement; 0 if it does not.
    pub settle: u64,
}

/// What must never wait behind payload. What travels which way is said in `control.proto`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// What the owner has taken of a sequence of sends.
    Receipt(Receipt),
    /// Sends that are durably accepted.
    Accepts(Accepts),
    /// A shard has a new owner.
    Moved(Moved),
    /// The session has its full JID, in this generation.
    BindOk {
        /// From whom.
        tenure: Tenure,
        /// Of the bind.
        nonce: u64,
        /// The generation.
        generation: Generation,
    },
    /// The full JID is taken.
    BindConflict {
        /// From whom.
        tenure: Tenure,
        /// Of the bind.
        nonce: u64,
    },
    /// The session has lost its full JID.
    Evict {
        /// From whom.
        tenure: Tenure,
        /// Which session.
        generation: Generation,
        /// Of its bind.
        nonce: u64,
    },
    /// The session reads and writes no more.
    Evicted {
        /// For whom.
        tenure: Tenure,
        /// Which session.
        generation: Generation,
        /// How many of its stanzas are accepted without a gap.
        inbound: u64,
        /// The highest delivery it had taken.
        delivered: u64,
    },
    /// What a session's socket node has taken of its deliveries.
    DeliveryReceipt(DeliveryReceipt),
    /// Deliveries that the client has acknowledged.
    Acknowledged(SessionRanges),
    /// Deliveries that need not be remembered.
    Settled(SessionRanges),
    /// There is no such session here.
    Gone(Gone),
    /// A lease is to be renewed.
    Renew {
        /// Of the node that asks.
        incarnation: Incarnation,
        /// Numbers its requests.
        request: u64,
        /// Live nodes without a working link.
        unreachable: Vec<Incarnation>,
    },
    /// It is.
    Renewed {
        /// Whose.
        incarnation: Incarnation,
        /// Which request is answered.
        request: u64,
    },
    /// A recovering owner asks for all that concerns its new shards.
    Recover {
        /// Numbers its questions.
        request: u64,
        /// The epoch of the assignment.
        epoch: Epoch,
        /// Which.
        shards: Vec<Shard>,
    },
    /// A part of the answer.
    Recovered {
        /// Which question.
        request: u64,
        /// In a form of the asking layer.
        records: Vec<Bytes>,
        /// The answer is complete.
        last: bool,
    },
}

/// What the owner has taken of the sends of one worker for one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// From whom.
    pub tenure: Tenure,
    /// Whose sequence.
    pub worker: Worker,
    /// Everything below was taken.
    pub next: u64,
    /// Whether `next` is missed: `Nack(expected)`.
    pub missed: bool,
}

/// Sends that are durably accepted, in any order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepts {
    /// From whom.
    pub tenure: Tenure,
    /// Whose sequence.
    pub worker: Worker,
    /// Rising and without overlap.
    pub ranges: Vec<Range>,
}

/// A shard has a new owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The shard and the epoch of its new owner.
    pub tenure: Tenure,
    /// The new owner, if whoever says it knows.
    pub owner: Option<Incarnation>,
}

/// What a session's socket node has taken of its deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryReceipt {
    /// For whom; the epoch is the highest that the socket node knows.
    pub tenure: Tenure,
    /// Which session.
    pub generation: Generation,
    /// Everything below was taken.
    pub next: u64,
    /// Whether `next` is missed.
    pub missed: bool,
}

/// Some deliveries of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRanges {
    /// The owner's.
    pub tenure: Tenure,
    /// Which session.
    pub generation: Generation,
    /// Rising and without overlap.
    pub ranges: Vec<Range>,
}

/// A delivery came for a session that is not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    /// For whom; the epoch is the highest that the socket node knows.
    pub tenure: Tenure,
    /// Which session.
    pub generation: Generation,
}
