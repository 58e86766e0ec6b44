//! A session between two streams.

use super::outgoing::Outgoing;
use super::session::Session;
use jackdaw_jid::FullJid;
use jackdaw_stanza::Delivery;

/// The state of a session that was taken from its old stream and goes on in another one: JID,
/// resumption id, counters, and what the client has not acknowledged (XEP-0198 §5).
///
/// There is never more than one of a session, and whoever holds it must hand it on
/// ([`Answer::Resumed`](super::Answer::Resumed)): with it the stanzas would be lost.
#[derive(Debug)]
#[must_use = "the session's unacknowledged stanzas are in it"]
pub struct Detached(pub(super) Session);

impl Detached {
    /// Whose session it is.
    pub fn jid(&self) -> &FullJid {
        &self.0.jid
    }

    /// What the client has not confirmed, in order: for another resource, or the offline store,
    /// where the stream that asked for the session is gone.
    pub fn into_unacknowledged(self) -> Vec<Delivery> {
        self.0.into_unacknowledged().into_iter().filter_map(Outgoing::into_delivery).collect()
    }

    /// The number of the session.
    pub fn session(&self) -> u64 {
        self.0.number
    }
}
