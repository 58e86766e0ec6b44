//! How a stream ends (RFC 6120 §4.4, §4.9), and what is left of its session.

use super::detached::{Detached, Suspended};
use super::event::{Answer, Event, Outcome};
use super::outgoing::Outgoing;
use super::session::Session;
use super::state::State;
use super::timer::Timer;
use super::{ACK_DELAY_MAX, C2s, Cx};
use crate::{StreamCondition, StreamError};
use jackdaw_stanza::Delivery;
use std::time::{Duration, Instant};

/// What becomes of a stream whose socket is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disconnected {
    /// Nothing. If it had a session that [`Event::Ended`] did not end before, it ends now.
    Over,
    /// It is kept: its session may be resumed. It takes deliveries and timeouts until
    /// [`Event::Ended`], or until [`detach`](C2s::detach) takes the session away.
    Resumable,
}

impl C2s {
    /// Ends the stream and its session, with an error if there is a reason to tell.
    pub fn close(&mut self, cx: &mut Cx<'_>, error: Option<StreamError>) {
        if matches!(self.state, State::Closed(_)) {
            return;
        }
        // Nobody will resume the session: what is accepted counts, not what is on record.
        if let Some(sm) = self.state.sm_mut() {
            sm.inbound.conclude();
        }
        let is_open = self.say_goodbye(cx, error);
        self.end(cx);
        cx.events.extend(is_open.then_some(Event::Close));
    }

    /// The stream cannot go on. The session of a client that fell silent outlives it.
    pub(super) fn fail(&mut self, cx: &mut Cx<'_>, error: StreamError) {
        tracing::debug!(%error, "stream error");
        let is_lost = error.condition() == StreamCondition::ConnectionTimeout;
        if is_lost && self.is_resumable() {
            let is_open = self.say_goodbye(cx, Some(error));
            self.wait_for_resumption(cx.now);
            cx.events.extend(is_open.then_some(Event::Close));
        } else {
            self.close(cx, Some(error));
        }
    }

    /// The client closed its stream, and with it its session (XEP-0198 §7). What it sent last it
    /// may still learn to be accepted; else it would send it again next time. And what it
    /// acknowledged is to be durable, where the session could be resumed after a crash: it would
    /// get it again in its next one.
    pub(super) fn handle_stream_close(&mut self, cx: &mut Cx<'_>) {
        let is_on_record = self.state.sm_mut().is_some_and(|sm| sm.inbound.leave());
        match std::mem::replace(&mut self.state, State::Taken) {
            State::Established(session)
                if session.sm.as_ref().is_some_and(|sm| !sm.inbound.may_leave()) =>
            {
                cx.events.extend(is_on_record.then_some(Event::Leaving));
                self.timers.stop_all();
                self.timers.set(Timer::Answer, cx.now + ACK_DELAY_MAX);
                self.state = State::Leaving(Box::new(session));
            }
            state => {
                self.state = state;
                self.close(cx, None);
            }
        }
    }

    /// The last that the client hears of this stream; says whether there is a socket to close. A
    /// header comes first if there was none (RFC 6120 §4.9.1.2).
    fn say_goodbye(&mut self, cx: &mut Cx<'_>, error: Option<StreamError>) -> bool {
        match self.state {
            State::Detached(_) | State::Closed(_) => return false,
            // The client is in its handshake and takes no XML.
            State::Securing => return true,
            _ => {}
        }
        if !self.is_open {
            self.write_header(cx.out);
        }
        // Whatever ends the stream, what was accepted need not be sent again.
        if self.state.sm_mut().is_some_and(|sm| sm.inbound.has_news()) {
            self.acknowledge(cx);
        }
        if let Some(error) = error {
            error.write_to(cx.out);
            cx.events.push_back(Event::Outcome(Outcome::StreamError(error.condition())));
        }
        cx.out.extend_from_slice(b"</stream:stream>");
        true
    }

    /// The server stops, and a session on record may be resumed after that: ends the stream with
    /// this error, and gives what the client has not acknowledged. None: there is no such session,
    /// and nothing has changed.
    pub fn suspend(&mut self, cx: &mut Cx<'_>, error: StreamError) -> Option<Suspended> {
        if !self.state.session().is_some_and(Session::is_on_record) {
            return None;
        }
        let is_open = self.say_goodbye(cx, Some(error));
        let session = match std::mem::replace(&mut self.state, State::Taken) {
            State::Established(session) => session,
            State::Detached(session) => *session,
            State::CatchingUp(resumed) => resumed.session,
            state => {
                self.state = state;
                return None;
            }
        };
        self.over(Vec::new());
        cx.events.extend(is_open.then_some(Event::Close));
        let sm = session.sm.as_ref()?;
        Some(Suspended {
            accepted: sm.inbound.accepted(),
            first: sm.outbound.acknowledged().wrapping_add(1),
            unacknowledged: Detached { session, gate: self.gate }.into_unacknowledged(),
        })
    }

    /// The session goes on in another stream, and this one is replaced (XEP-0198 §5).
    pub(super) fn give_way(&mut self, cx: &mut Cx<'_>) {
        StreamError::conflict().write_to(cx.out);
        cx.out.extend_from_slice(b"</stream:stream>");
        self.over(Vec::new());
        cx.events.push_back(Event::Close);
    }

    /// The session is over for good.
    pub(super) fn end(&mut self, cx: &mut Cx<'_>) {
        let session = match std::mem::replace(&mut self.state, State::Taken) {
            State::Established(session) => Some(session),
            State::Detached(session) | State::Leaving(session) => Some(*session),
            State::CatchingUp(resumed) => Some(resumed.session),
            State::Enabling(enabling) => Some(enabling.session),
            State::Closed(left) => return self.over(left),
            _ => None,
        };
        if session.is_some() {
            cx.events.push_back(Event::Ended);
        }
        self.over(session.map(Session::into_unacknowledged).unwrap_or_default());
    }

    /// Nothing happens on this stream any more.
    pub(super) fn over(&mut self, left: Vec<Outgoing>) {
        self.state = State::Closed(left);
        self.negotiation = None;
        self.timers.stop_all();
        self.input.restart();
        self.is_paused = false;
    }

    /// The socket is gone.
    pub fn handle_disconnect(&mut self, now: Instant) -> Disconnected {
        if self.is_resumable() {
            self.wait_for_resumption(now);
            return Disconnected::Resumable;
        }
        match std::mem::replace(&mut self.state, State::Taken) {
            State::Established(session) => self.over(session.into_unacknowledged()),
            State::Leaving(session) => self.over(session.into_unacknowledged()),
            State::Enabling(enabling) => self.over(enabling.session.into_unacknowledged()),
            State::Closed(left) => self.over(left),
            _ => self.over(Vec::new()),
        }
        Disconnected::Over
    }

    fn wait_for_resumption(&mut self, now: Instant) {
        let session = match std::mem::replace(&mut self.state, State::Taken) {
            State::Established(session) => Box::new(session),
            State::CatchingUp(resumed) => Box::new(resumed.session),
            state => {
                self.state = state;
                return;
            }
        };
        let secs = session.sm.as_ref().map_or(0, |sm| sm.resume_secs);
        self.over(Vec::new());
        self.timers.set(Timer::Resumption, now + Duration::from_secs(secs.into()));
        self.state = State::Detached(session);
    }

    /// An answer that nobody waits for: the stream ended meanwhile. What it brought must not be
    /// forgotten.
    pub(super) fn late_answer(&mut self, cx: &mut Cx<'_>, answer: Answer) {
        if !matches!(self.state, State::Closed(_)) {
            tracing::error!("a stream was given the answer to another question");
            return;
        }
        match answer {
            // Bound for nobody.
            Answer::Bound { jid, session } => {
                self.state = State::Established(Session::new(jid, session));
                self.end(cx);
            }
            Answer::Resumed(detached) => {
                self.gate = detached.gate;
                self.state = State::Established(detached.session);
                self.wait_for_resumption(cx.now);
            }
            Answer::Sasl(_)
            | Answer::Fast(_)
            | Answer::BindRefused(_)
            | Answer::ResumeFailed(_)
            | Answer::Enabled(_)
            | Answer::Register(_) => {}
        }
    }

    /// What the client has not confirmed, in order, once the session is over: for another
    /// resource, or the offline store (XEP-0198 §4).
    pub fn take_unacknowledged(&mut self) -> Vec<Delivery> {
        match &mut self.state {
            State::Closed(left) => {
                std::mem::take(left).into_iter().filter_map(Outgoing::into_delivery).collect()
            }
            _ => Vec::new(),
        }
    }
}
