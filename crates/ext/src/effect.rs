//! What handlers cause besides their answer.

use std::sync::Arc;

use jackdaw_session::Session;
use jackdaw_stanza::Stanza;

use crate::Pending;

/// Something to do after the stanza in hand. Effects are drained in the order in which they were
/// caused; what they cause in turn goes to the end of the queue, so nothing recurses.
pub enum Effect {
    /// A stanza with `from` and `to`, sent by the server or on behalf of an account. It passes the
    /// recipient's phases like any other.
    Route(Stanza),
    /// A stanza for exactly this session: roster pushes, carbon copies. No phases.
    Deliver(Arc<Session>, Stanza),
    /// Ends this session with a stream error condition (RFC 6120 §4.9.3) by name.
    Close(Arc<Session>, &'static str),
    /// Sends this newly available session its offline messages (XEP-0160).
    FlushOffline(Arc<Session>),
    /// Work that nobody waits for: a row to write. Failures are its own to log.
    Later(Pending<()>),
}

/// A queue of effects.
pub type Effects = Vec<Effect>;
