//! A session between two streams.

use super::gate::Gate;
use super::ids::SmId;
use super::outgoing::Outgoing;
use super::session::Session;
use super::sm::Sm;
use jackdaw_jid::FullJid;
use jackdaw_stanza::Delivery;

/// The state of a session that was taken from its old stream and goes on in another one: JID,
/// resumption id, counters, and what the client has not acknowledged (XEP-0198 §5).
///
/// There is never more than one of a session, and whoever holds it must hand it on
/// ([`Answer::Resumed`](super::Answer::Resumed)): with it the stanzas would be lost.
#[derive(Debug)]
#[must_use = "the session's unacknowledged stanzas are in it"]
pub struct Detached {
    pub(super) session: Session,
    pub(super) gate: Gate,
}

/// What a session leaves that is to be resumed after a restart.
#[derive(Debug)]
pub struct Suspended {
    /// How many stanzas of the client are accepted.
    pub accepted: u32,
    /// The number of the first stanza that the client has not acknowledged.
    pub first: u32,
    /// These, in order.
    pub unacknowledged: Vec<Delivery>,
}

/// A session as its record has it, after the process that had it is gone.
#[derive(Debug)]
pub struct Restored {
    /// Whose session it is.
    pub jid: FullJid,
    /// What its client resumes it by.
    pub id: SmId,
    /// How long it waits to be resumed another time.
    pub resume_secs: u32,
    /// How many stanzas of the client are accepted.
    pub handled: u32,
    /// How many stanzas the client says it has handled.
    pub acknowledged: u32,
    /// What it was to get besides, in order.
    pub unacknowledged: Vec<Delivery>,
}

impl From<Restored> for Detached {
    fn from(restored: Restored) -> Detached {
        let Restored { jid, id, resume_secs, handled, acknowledged, unacknowledged } = restored;
        let queue = unacknowledged.iter().map(Outgoing::new).collect();
        let mut session = Session::new(jid, id.session());
        let sm = Sm::restored(id, resume_secs, handled, acknowledged, queue);
        session.sm = Some(Box::new(sm));
        Detached { session, gate: Gate::default() }
    }
}

impl Detached {
    /// Whose session it is.
    pub fn jid(&self) -> &FullJid {
        &self.session.jid
    }

    /// What the client has not confirmed, in order: for another resource, or the offline store,
    /// where the stream that asked for the session is gone.
    pub fn into_unacknowledged(self) -> Vec<Delivery> {
        self.session.into_unacknowledged().into_iter().filter_map(Outgoing::into_delivery).collect()
    }

    /// The number of the session.
    pub fn session(&self) -> u64 {
        self.session.number
    }
}
