//! What socket nodes and owners say to each other about sessions.

use jackdaw_jid::FullJid;

use super::{Generation, Nonce, SessionName, Tenure};
use crate::Incarnation;

/// From the node that has the socket to the owner of the shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ToOwner {
    /// A socket wants its full JID.
    Bind(Bind),
    /// It does not want it any more. Answered with `Refused`, whatever was made of the attempt.
    Cancel {
        /// Of the account.
        tenure: Tenure,
        /// The full JID.
        jid: FullJid,
        /// Which attempt.
        nonce: Nonce,
    },
    /// Something came for a session that is not here.
    Gone {
        /// Of the account.
        tenure: Tenure,
        /// Which session.
        generation: Generation,
    },
    /// The session has left its socket. An old generation does nothing.
    Unbind {
        /// Of the account.
        tenure: Tenure,
        /// Which session.
        generation: Generation,
        /// Why.
        end: End,
        /// How far it had come; nothing if it never lived there.
        counters: Option<Counters>,
    },
}

/// A socket wants its full JID.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bind {
    /// Of the account.
    pub tenure: Tenure,
    /// The full JID.
    pub jid: FullJid,
    /// Which worker of the node has the socket.
    pub worker: u16,
    /// Names the attempt; the answer carries it.
    pub nonce: Nonce,
    /// Why the JID should be given.
    pub claim: Claim,
    /// Whether the client may resume the session when it has lost its socket.
    pub is_resumable: bool,
}

/// Why a session has left its socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum End {
    /// It is over: the client said so, or cannot resume it.
    Closed,
    /// The socket broke, and the client may resume the session.
    Detached,
    /// The owner asked for it.
    Evicted,
}

/// Why a full JID should be given to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Claim {
    /// The socket has the session already: its node is another incarnation now. The higher
    /// generation wins, whatever the policy.
    Again {
        /// Which session.
        session: SessionName,
        /// Its generation.
        generation: Generation,
    },
    /// A client binds a resource (RFC 6120 §7).
    New,
    /// A client resumes (XEP-0198 §5). Fails without the session.
    Resume {
        /// Which session.
        session: SessionName,
    },
}

impl Claim {
    /// The session that is to go on.
    pub fn session(&self) -> Option<SessionName> {
        match *self {
            Claim::Again { session, .. } | Claim::Resume { session } => Some(session),
            Claim::New => None,
        }
    }
}

/// From the owner of a shard to the node that has the socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ToSocket {
    /// The socket has its full JID.
    Bound {
        /// Of the account.
        tenure: Tenure,
        /// Which attempt.
        nonce: Nonce,
        /// The generation, by which the session ends.
        generation: Generation,
        /// The session; of another generation if it goes on.
        session: SessionName,
        /// How far a session that goes on had come.
        counters: Counters,
    },
    /// Somebody else gets the full JID. The socket neither reads nor writes any more, and then
    /// this is answered with `Unbind`.
    Evict {
        /// Of the account.
        tenure: Tenure,
        /// Which session.
        generation: Generation,
        /// The attempt that made it. It may not have been answered yet.
        nonce: Nonce,
        /// For what.
        cause: Cause,
    },
    /// The socket does not get it.
    Refused {
        /// Of the account.
        tenure: Tenure,
        /// Which attempt.
        nonce: Nonce,
        /// Why.
        why: Refusal,
    },
    /// The owner has no such session: an end need not be told again.
    Unbound {
        /// Of the account.
        tenure: Tenure,
        /// Which session.
        generation: Generation,
    },
}

/// What becomes of a session that is evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// Another session has its full JID: its stream is closed with `conflict`.
    Conflict,
    /// It goes on elsewhere: contacts hear nothing of it.
    Resumed,
}

/// Why a bind failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// The full JID is taken, and whoever has it keeps it.
    Conflict,
    /// The session to be resumed is over.
    NotFound,
    /// The attempt was seen before, or one after it. If it is still wanted, it needs a new nonce.
    Stale,
    /// The account has as many sessions as it may.
    TooMany,
}

/// How far a session has come, in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Counters {
    /// Stanzas of the client that are accepted without a gap: its `h` (XEP-0198 §4).
    pub inbound: u64,
    /// The highest delivery to it that its node has taken.
    pub delivered: u64,
}

/// An answer to a frame of a lower epoch, either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Moved {
    /// The highest epoch that whoever answers has seen.
    pub tenure: Tenure,
    /// Whose it is, if that is known.
    pub owner: Option<Incarnation>,
}

impl ToOwner {
    /// Of which assignment it speaks.
    pub fn tenure(&self) -> Tenure {
        match self {
            ToOwner::Bind(Bind { tenure, .. })
            | ToOwner::Cancel { tenure, .. }
            | ToOwner::Gone { tenure, .. }
            | ToOwner::Unbind { tenure, .. } => *tenure,
        }
    }
}

impl ToSocket {
    /// Of which assignment it speaks.
    pub fn tenure(&self) -> Tenure {
        match self {
            ToSocket::Bound { tenure, .. }
            | ToSocket::Evict { tenure, .. }
            | ToSocket::Refused { tenure, .. }
            | ToSocket::Unbound { tenure, .. } => *tenure,
        }
    }
}
