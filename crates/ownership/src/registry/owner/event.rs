//! What an owner is told by its operator, and what it tells.

use std::time::Duration;

use jackdaw_jid::FullJid;

use crate::registry::{Counters, Generation, Place, RESEND, SessionName, Tenure};

/// Who keeps a full JID that two sockets want (RFC 6120 §7.7.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ConflictPolicy {
    /// The newcomer; the other one is closed with `conflict`.
    #[default]
    CloseOld,
    /// Whoever has it; the newcomer is refused with `conflict`.
    RefuseNew,
}

/// What an operator may set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RegistryConfig {
    /// Who keeps a full JID that two sockets want.
    pub policy: ConflictPolicy,
    /// Sessions an account may have at once.
    pub sessions_per_account_max: usize,
    /// After how long an eviction is asked for again.
    pub resend: Duration,
}

impl Default for RegistryConfig {
    fn default() -> RegistryConfig {
        RegistryConfig {
            policy: ConflictPolicy::CloseOld,
            sessions_per_account_max: 32,
            resend: RESEND,
        }
    }
}

/// How a socket came to its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// A resource was bound.
    New,
    /// The session was resumed.
    Resumed,
    /// The node of the socket came back in another life. A session that was not known any more has
    /// been declared over meanwhile, and its presence is to be told again.
    Returned {
        /// Whether the session was known.
        was_known: bool,
    },
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Over {
    /// Its client left, or nobody resumed it.
    Closed,
    /// Another session has its full JID.
    Conflict,
    /// Its node does not know it. What its client has not acknowledged was not delivered.
    Gone,
    /// Its node has ended. Contacts are told that it is unavailable.
    Lost,
}

/// What the layer above has to know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RegistryEvent {
    /// A session has a full JID.
    Bound {
        /// The full JID.
        jid: FullJid,
        /// The session.
        session: SessionName,
        /// Its new generation.
        generation: Generation,
        /// Where its socket is.
        place: Place,
        /// How it came there.
        how: How,
    },
    /// This node owns the shard no more: another one has a higher epoch.
    Deposed(Tenure),
    /// A session has lost its socket and waits to be resumed. The layer above counts the time, and
    /// says [`Registry::expire`](super::Registry::expire) at its end.
    Detached {
        /// The full JID.
        jid: FullJid,
        /// The session.
        session: SessionName,
        /// Its generation.
        generation: Generation,
    },
    /// A session is over.
    Over {
        /// The full JID.
        jid: FullJid,
        /// The session.
        session: SessionName,
        /// Its last generation.
        generation: Generation,
        /// How far it had come, as far as that is known.
        counters: Counters,
        /// Why.
        why: Over,
    },
}

/// A session, to whoever asks who has a JID.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Registered {
    /// The full JID.
    pub jid: FullJid,
    /// The session.
    pub session: SessionName,
    /// Its generation.
    pub generation: Generation,
    /// Where its socket is; nowhere while it waits to be resumed.
    pub place: Option<Place>,
}
