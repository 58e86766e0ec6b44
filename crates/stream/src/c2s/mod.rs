//! The client-to-server stream: header, STARTTLS, SASL, binding, stanzas, resumption.
//!
//! ```text
//! ExpectHeader ─> ExpectStartTls ─> Securing ─> ExpectHeader        (RFC 6120 §5)
//!              ─> ExpectAuth <─> ExpectSaslResponse, Authenticating, Registering
//!                    │ SASL: ExpectHeader ─> ExpectBind             (RFC 6120 §6)
//!                    │ SASL2: Completing ──> ExpectBind, CatchingUp, Established
//! ExpectBind  ─> Binding ───────> Established                       (RFC 6120 §7)
//!             ─> Resuming ─> CatchingUp ─> Established              (XEP-0198 §5)
//! Established ─> Enabling ─> Established                            (XEP-0198 §3)
//!             ─> Detached ─> taken by another stream, or Closed
//!             ─> Leaving ─> Closed
//! ```
//!
//! Waiting for an outside fact is a state that has emitted an [`Event::Request`].

mod auth;
mod bind;
mod close;
mod config;
mod csi;
mod detached;
mod established;
mod event;
mod features;
mod gate;
mod header;
mod ids;
mod inline;
mod input;
mod negotiation;
mod outgoing;
mod resume;
mod sasl2;
mod session;
mod sm;
mod starttls;
mod state;
mod timer;
mod transport;

pub use close::Disconnected;
pub use config::{
    C2sConfig, CsiConfig, Deadlines, Host, Hosts, KeepaliveConfig, SmConfig, StreamLimits,
};
pub use detached::{Detached, Restored, Suspended};
pub use event::{
    Answer, Bind, Carbons, ClientState, Enable, Event, FastWork, IssuedToken, Kept, Outcome,
    Request, Resume, ResumeFailed, Revoke, UserAgent,
};
pub use ids::{Seed, SmId};
pub use transport::{StartTls, TlsInfo, Transport};

use self::gate::Gate;
use self::ids::Ids;
use self::input::Input;
use self::negotiation::Negotiation;
use self::session::{Asked, Session, Socket};
use self::state::State;
use self::timer::{Timer, Timers};
use crate::StreamError;
use jackdaw_jid::FullJid;
use jackdaw_stanza::{Delivery, Settle};
use jackdaw_stdx::Arena;
use jackdaw_xml::{Element, Frame, Limits};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an answer to `<r/>`, or a resumption, waits for what the client sent before it to be
/// accepted. A durable commit takes milliseconds; XEP-0198 §4 lets an answer wait for a timeout
/// only, and clients call a server dead after several seconds.
const ACK_DELAY_MAX: Duration = Duration::from_secs(1);

/// What every call may use. It is the worker's, so a stream owns no buffer while it is idle.
pub struct Cx<'a> {
    /// The time of this turn.
    pub now: Instant,
    /// Bytes to the peer, before TLS.
    pub out: &'a mut Vec<u8>,
    /// Bytes that were taken from `out` and that the socket has not taken.
    pub unsent: usize,
    /// Where stanzas are copied to.
    pub arena: &'a mut Arena,
    /// What happened, for the driver.
    pub events: &'a mut VecDeque<Event>,
}

/// One client-to-server stream (RFC 6120 §4): bytes in, events and bytes out.
///
/// Methods that take a [`Cx`] change the machine; after each, handle the events in order, then
/// send what is in `out`, then look at [`next_timeout`](C2s::next_timeout). Getters are free.
///
/// After the socket is gone ([`handle_disconnect`](C2s::handle_disconnect)) what is written to
/// `out` is to be dropped.
#[derive(Debug)]
pub struct C2s {
    config: Arc<C2sConfig>,
    state: State,
    /// What only matters until a resource is bound.
    negotiation: Option<Box<Negotiation>>,
    input: Input,
    ids: Ids,
    timers: Timers,
    /// When the peer last sent anything.
    heard_at: Instant,
    /// Whether the peer was silent since a probe; [`Timer::Silence`] then says how long.
    is_probing: bool,
    is_paused: bool,
    /// Whether our own stream header is out.
    is_open: bool,
    gate: Gate,
    stats: Stats,
}

/// Counts of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Stanzas the client sent after binding.
    pub stanzas_received: u64,
    /// Stanzas it was sent, or that are queued or held back for it.
    pub stanzas_sent: u64,
}

impl C2s {
    /// A stream on a connection that has just been accepted, and secured if it is direct TLS.
    pub fn new(config: Arc<C2sConfig>, transport: Transport, seed: Seed, now: Instant) -> C2s {
        let mut timers = Timers::default();
        timers.set(Timer::Phase, now + config.deadlines.header);
        C2s {
            config,
            state: State::ExpectHeader,
            negotiation: Some(Box::new(Negotiation::new(transport))),
            input: Input::new(),
            ids: Ids::new(seed),
            timers,
            heard_at: now,
            is_probing: false,
            is_paused: false,
            is_open: false,
            gate: Gate::default(),
            stats: Stats::default(),
        }
    }

    /// Takes bytes of the client; says how many. It stops behind each stanza: handle the events,
    /// then offer the rest. It stops early while a request waits for its answer, behind
    /// `<starttls/>`, and while [`is_paused`](C2s::is_paused).
    pub fn handle_bytes(&mut self, cx: &mut Cx<'_>, bytes: &[u8]) -> usize {
        self.heard_at = cx.now;
        self.is_probing = false;
        let mut consumed = 0;
        while let Some(rest) = bytes.get(consumed..).filter(|rest| !rest.is_empty()) {
            if self.state.is_over() {
                return bytes.len();
            }
            if self.is_paused() || self.state.is_waiting() {
                break;
            }
            match self.read(cx, rest) {
                Ok(length) => consumed += length,
                Err(error) => self.fail(cx, error),
            }
            // A stanza is dealt with before what follows it is read: its answer may have to go out
            // before the stream is closed by the next bytes (RFC 6120 §4.4, §10.1).
            if matches!(cx.events.back(), Some(Event::Stanza { .. })) {
                break;
            }
        }
        consumed
    }

    fn read(&mut self, cx: &mut Cx<'_>, bytes: &[u8]) -> Result<usize, StreamError> {
        if let Some(length) = self.read_front(cx, bytes) {
            return Ok(length);
        }
        let limits = *self.limits();
        let read = self.input.read(cx.arena, &limits, bytes)?;
        if let Some(negotiation) = &mut self.negotiation {
            negotiation.charge(read.consumed, &self.config.limits)?;
        }
        match read.frame {
            Some((Frame::StreamOpen, xml)) => self.handle_header(cx, &xml)?,
            Some((Frame::Element, xml)) => self.handle_element(cx, xml)?,
            Some((Frame::StreamClose, _)) => self.handle_stream_close(cx),
            Some((Frame::Whitespace, _)) | None => {}
        }
        Ok(read.consumed)
    }

    fn limits(&self) -> &Limits {
        match &self.negotiation {
            Some(negotiation) if !negotiation.is_authenticated() => &self.config.limits.before_auth,
            Some(_) | None => &self.config.limits.after_auth,
        }
    }

    fn handle_element(&mut self, cx: &mut Cx<'_>, xml: Cow<'_, [u8]>) -> Result<(), StreamError> {
        if matches!(self.state, State::Established(_)) {
            return self.handle_established(cx, xml);
        }
        let element = Element::parse(&xml, &self.input.scope, self.limits())?;
        let state = match std::mem::replace(&mut self.state, State::Taken) {
            State::ExpectStartTls => self.expect_starttls(cx, &element)?,
            State::ExpectAuth => self.expect_auth(cx, &element, &xml)?,
            State::ExpectSaslResponse(attempt) => {
                self.expect_sasl_response(cx, *attempt, &element)?
            }
            State::ExpectBind => self.expect_bind(cx, &element)?,
            // The framer gives no element before the header, and waiting states read nothing.
            state @ (State::ExpectHeader
            | State::Securing
            | State::Authenticating(_)
            | State::Registering
            | State::Completing(_)
            | State::Binding(_)
            | State::Resuming(_)
            | State::CatchingUp(_)
            | State::Enabling(_)
            | State::Established(_)
            | State::Leaving(_)
            | State::Detached(_)
            | State::Closed(_)
            | State::Taken) => state,
        };
        self.state = state;
        Ok(())
    }

    /// The answer to an [`Event::Request`].
    pub fn answer(&mut self, cx: &mut Cx<'_>, answer: Answer) {
        let state = std::mem::replace(&mut self.state, State::Taken);
        let next = match (state, answer) {
            (State::Authenticating(attempt), Answer::Sasl(answer)) => {
                self.sasl_answered(cx, *attempt, answer)
            }
            (State::Completing(completion), answer) => {
                self.completion_answered(cx, *completion, answer)
            }
            (State::Registering, Answer::Register(reply)) => {
                reply.write_to(cx.out);
                Ok(State::ExpectAuth)
            }
            (State::Binding(bind), Answer::Bound { jid, session }) => {
                Ok(self.bound(cx, &bind, Session::new(jid, session)))
            }
            (State::Binding(bind), Answer::BindRefused(error)) => {
                bind.write_refusal(cx.out, &error);
                Ok(State::ExpectBind)
            }
            (State::Resuming(resume), Answer::Resumed(detached)) => {
                self.resumed(cx, &resume, *detached, None)
            }
            (State::Resuming(_), Answer::ResumeFailed(failed)) => self.resume_failed(cx, failed),
            (State::Enabling(enabling), Answer::Enabled(kept)) => {
                Ok(self.enabled(cx, *enabling, kept))
            }
            (state, answer) => {
                self.state = state;
                return self.late_answer(cx, answer);
            }
        };
        match next {
            Ok(state) => self.state = state,
            Err(error) => self.fail(cx, error),
        }
    }

    /// Holds the client's later stanzas back, while the answer to one is prepared (RFC 6120
    /// §10.1).
    pub fn pause(&mut self) {
        self.is_paused = true;
    }

    /// Goes on; offer the bytes that were not consumed again.
    pub fn resume(&mut self, cx: &mut Cx<'_>) {
        self.is_paused = false;
        // What waits was sent in time.
        self.heard_at = cx.now;
    }

    /// Whether bytes are refused for now: after [`pause`](C2s::pause), or because as many stanzas
    /// as may be are waiting to be [`accepted`](C2s::accepted). Look again after either changed.
    pub fn is_paused(&self) -> bool {
        self.is_paused || self.state.is_window_full()
    }

    /// Sends a delivery to the client. Without stream management nobody will confirm it: it is
    /// settled when the socket has taken what is in the buffer now. It comes back where there
    /// is no session, and, if it [can wait](Delivery::can_wait), where the client has left too
    /// many unacknowledged or, without stream management, unread. From then on everything that
    /// can wait comes back, until a [`fence`](C2s::fence): so nothing overtakes what came back.
    ///
    /// What cannot wait passes that bound, up to one at which the session ends.
    pub fn send(&mut self, cx: &mut Cx<'_>, delivery: Delivery) -> Result<(), Delivery> {
        let is_full = self.state.session().is_some_and(|session| session.is_full(&self.config, cx));
        if delivery.can_wait() && !self.gate.lets_pass(is_full) {
            return Err(delivery);
        }
        if is_full && self.state.session().is_some_and(|s| s.is_overfull(&self.config)) {
            self.close(cx, Some(StreamError::resource_constraint()));
            return Err(delivery);
        }
        let (session, socket) = match &mut self.state {
            State::Established(session) => (session, Socket::Open),
            State::Enabling(enabling) => (&mut enabling.session, Socket::Open),
            State::CatchingUp(catching_up) => (&mut catching_up.session, Socket::Gone),
            State::Detached(session) => (&mut **session, Socket::Gone),
            _ => return Err(delivery),
        };
        let asked = session.send(&self.config, cx, socket, delivery);
        self.stats.stanzas_sent += 1;
        if asked == Asked::Yes {
            self.probed(cx.now);
        }
        Ok(())
    }

    /// Everything that was handed to the stream before has come to it, and what it refused is with
    /// whoever handed it over. Says whether it takes deliveries that can wait, again or still. If
    /// not, it refuses them, and [`Event::Room`] comes when another fence is worth while.
    pub fn fence(&mut self, cx: &mut Cx<'_>) -> bool {
        let Some(session) = self.state.session() else { return false };
        let takes_more = match self.gate.is_shut() {
            true => session.has_room(&self.config, cx),
            false => session.takes_more(&self.config, cx),
        };
        self.gate = if takes_more { Gate::Open } else { Gate::Shut };
        takes_more
    }

    /// The socket took what was waiting for it.
    pub fn drained(&mut self, cx: &mut Cx<'_>) {
        self.tell_room(cx);
    }

    /// Says that there is room, if somebody waits for that.
    fn tell_room(&mut self, cx: &mut Cx<'_>) {
        if self.gate.owes_room()
            && self.state.session().is_some_and(|session| session.has_room(&self.config, cx))
        {
            self.gate = Gate::Told;
            cx.events.push_back(Event::Room);
        }
    }

    /// The number of this delivery is durable: it may be written, if it was held. Numbers become
    /// durable in their order, and what stands behind a delivery that is held waits for it.
    pub fn release(&mut self, cx: &mut Cx<'_>, number: u32) {
        let Some(sm) = self.state.sm_mut() else { return };
        sm.outbound.release(number);
        if let State::Established(session) = &mut self.state {
            session.write_on(cx.out);
            self.ask_if_due(cx);
        }
    }

    /// The number of the delivery that carries this token, if the client has not acknowledged it.
    pub fn number_of(&mut self, settle: Settle) -> Option<u32> {
        self.state.sm_mut()?.outbound.number_of(settle)
    }

    /// What is due. Call it when [`next_timeout`](C2s::next_timeout) is past.
    pub fn handle_timeout(&mut self, cx: &mut Cx<'_>) {
        while let Some(timer) = self.timers.expire(cx.now) {
            match timer {
                Timer::Phase => self.fail(cx, StreamError::connection_timeout()),
                Timer::Silence => self.judge_silence(cx),
                Timer::Answer => self.answer_late(cx),
                Timer::Resumption => self.end(cx),
            }
        }
    }

    /// When [`handle_timeout`](C2s::handle_timeout) is to be called.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The full JID, once a resource is bound.
    pub fn jid(&self) -> Option<&FullJid> {
        self.state.session().map(|session| &session.jid)
    }

    /// Whether a resource is bound and stanzas flow.
    pub fn is_established(&self) -> bool {
        matches!(self.state, State::Established(_))
    }

    /// Whether the session is under stream management.
    pub fn is_sm_enabled(&self) -> bool {
        self.state.session().is_some_and(|session| session.sm.is_some())
    }

    /// Whether the session outlives its socket.
    pub fn is_resumable(&self) -> bool {
        self.state.session().is_some_and(Session::is_resumable)
    }

    /// What was counted.
    pub fn stats(&self) -> Stats {
        self.stats
    }
}
