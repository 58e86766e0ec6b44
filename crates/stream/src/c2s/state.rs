//! The states of a client stream.

use super::auth::Attempt;
use super::bind::BindRequest;
use super::event::Resume;
use super::outgoing::Outgoing;
use super::resume::{CatchingUp, Enabling};
use super::sasl2::Completion;
use super::session::Session;
use super::sm::Sm;
use crate::sasl::{ExpectAnswer, ExpectResponse};

/// Where the stream is. Each state holds what is valid in it, and its handler consumes it.
#[derive(Debug)]
pub(super) enum State {
    /// The client opens a stream, or opens it anew (RFC 6120 §4.3.3).
    ExpectHeader,
    /// TLS is required and missing (§5).
    ExpectStartTls,
    /// The driver does the TLS handshake.
    Securing,
    /// The client may authenticate, register, or start TLS where that is voluntary.
    ExpectAuth,
    /// A challenge is out (§6.4.3).
    ExpectSaslResponse(Box<Attempt<ExpectResponse>>),
    /// The driver finds out about the account.
    Authenticating(Box<Attempt<ExpectAnswer>>),
    /// The driver answers an iq of in-band registration.
    Registering,
    /// Authenticated by SASL2; the driver does what was asked for inline.
    Completing(Box<Completion>),
    /// Authenticated; the client binds a resource (§7) or resumes a session.
    ExpectBind,
    /// The driver binds.
    Binding(Box<BindRequest>),
    /// The driver looks for the session.
    Resuming(Box<Resume>),
    /// The session is here, and what its client sent before is still being accepted.
    CatchingUp(Box<CatchingUp>),
    /// The driver makes a record of the session, which is about to become resumable.
    Enabling(Box<Enabling>),
    /// Stanzas flow.
    Established(Session),
    /// The client closed its stream, and what it sent last is still being accepted.
    Leaving(Box<Session>),
    /// The socket is gone, the session waits to be resumed.
    Detached(Box<Session>),
    /// Over. What the client did not confirm may still be taken.
    Closed(Vec<Outgoing>),
    /// A handler has it in hand, and puts the next one here.
    Taken,
}

impl State {
    pub fn closed() -> State {
        State::Closed(Vec::new())
    }

    /// Whether bytes mean nothing any more.
    pub fn is_over(&self) -> bool {
        matches!(self, State::Leaving(_) | State::Detached(_) | State::Closed(_))
    }

    /// Whether the driver has something to do before the next byte.
    pub fn is_waiting(&self) -> bool {
        match self {
            State::Securing
            | State::Authenticating(_)
            | State::Registering
            | State::Completing(_)
            | State::Binding(_)
            | State::Resuming(_)
            | State::Enabling(_)
            | State::CatchingUp(_) => true,
            State::ExpectHeader
            | State::ExpectStartTls
            | State::ExpectAuth
            | State::ExpectSaslResponse(_)
            | State::ExpectBind
            | State::Established(_)
            | State::Leaving(_)
            | State::Detached(_)
            | State::Closed(_)
            | State::Taken => false,
        }
    }

    /// The session, if a resource is bound and stays so.
    pub fn session(&self) -> Option<&Session> {
        match self {
            State::Established(session) => Some(session),
            State::Detached(session) => Some(session),
            State::CatchingUp(catching_up) => Some(&catching_up.session),
            State::Enabling(enabling) => Some(&enabling.session),
            _ => None,
        }
    }

    /// The session under stream management, to be changed.
    pub fn sm_mut(&mut self) -> Option<&mut Sm> {
        let session = match self {
            State::Established(session) => Some(session),
            State::Leaving(session) | State::Detached(session) => Some(&mut **session),
            State::CatchingUp(catching_up) => Some(&mut catching_up.session),
            _ => None,
        };
        session.and_then(|session| session.sm.as_deref_mut())
    }

    /// Whether as many stanzas as may be wait to be accepted.
    pub fn is_window_full(&self) -> bool {
        let sm = self.session().and_then(|session| session.sm.as_ref());
        sm.is_some_and(|sm| sm.inbound.is_full())
    }
}
