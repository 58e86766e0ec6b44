//! A stream on which stanzas flow.

use super::event::{ClientState, Event, Kept};
use super::resume::{parse_h, write_failed};
use super::session::{Session, write_acknowledgement, write_request};
use super::sm::Step;
use super::state::State;
use super::timer::Timer;
use super::{ACK_DELAY_MAX, C2s, Cx};
use crate::StreamError;
use crate::xml::{attribute, declare};
use jackdaw_faults::{Point, reach};
use jackdaw_stanza::{
    Condition, Delivery, Front, IqType, ParseError, Stanza, StanzaError, Type, ns,
};
use jackdaw_xml::{Element, StanzaTokenizer, Token, Tokenizer};
use std::borrow::Cow;
use std::time::Instant;

/// The id of our pings. There is one at a time, and its answer says only that somebody is there.
const PROBE_ID: &str = "jackdaw-probe";

impl C2s {
    /// Negotiation is over.
    pub(super) fn establish(&mut self, cx: &mut Cx<'_>, session: Session) -> State {
        self.negotiation = None;
        self.timers.stop_all();
        self.timers.set(Timer::Silence, cx.now + self.config.keepalive.idle);
        self.is_probing = false;
        State::Established(session)
    }

    pub(super) fn handle_established(
        &mut self,
        cx: &mut Cx<'_>,
        xml: Cow<'_, [u8]>,
    ) -> Result<(), StreamError> {
        if !is_likely_stanza(&xml) {
            if let Some(ack) = self.read_ack(&xml)? {
                return self.handle_ack(cx, ack);
            }
            let element = Element::parse(&xml, &self.input.scope, self.limits())?;
            if element.ns() != ns::CLIENT {
                return self.handle_nonza(cx, &element);
            }
        }
        let bytes = match xml {
            Cow::Borrowed(xml) => cx.arena.copy(xml),
            Cow::Owned(xml) => {
                let bytes = cx.arena.copy(&xml);
                cx.arena.give_buffer(xml);
                bytes
            }
        };
        match Stanza::parse(bytes.clone(), &self.input.scope, self.limits()) {
            Ok(stanza) => self.receive(cx, stanza),
            Err(ParseError::BadType(stanza)) => self.refuse_type(cx, &stanza),
            Err(ParseError::Xml(error)) => return Err(error.into()),
            Err(ParseError::NotAStanza) => {
                let element = Element::parse(&bytes, &self.input.scope, self.limits())?;
                return self.handle_nonza(cx, &element);
            }
        }
        Ok(())
    }

    /// Reads a stanza that has come in one piece, as nearly all do: one pass finds its end and what
    /// is in it. Says how many bytes it took, or nothing where the framer has to look.
    pub(super) fn read_front(&mut self, cx: &mut Cx<'_>, bytes: &[u8]) -> Option<usize> {
        let is_candidate = matches!(self.state, State::Established(_)) && self.input.is_between();
        if !is_candidate || !is_likely_stanza(bytes) {
            return None;
        }
        let front = Front::read(bytes, &self.input.scope, self.limits())?;
        let length = front.bytes().len();
        let copy = cx.arena.copy(front.bytes());
        match front.into_stanza(copy) {
            Ok(stanza) => self.receive(cx, stanza),
            Err(ParseError::BadType(stanza)) => self.refuse_type(cx, &stanza),
            Err(ParseError::Xml(_) | ParseError::NotAStanza) => return None,
        }
        Some(length)
    }

    fn receive(&mut self, cx: &mut Cx<'_>, stanza: Stanza) {
        let State::Established(session) = &mut self.state else { return };
        self.stats.stanzas_received += 1;
        let number = session.sm.as_mut().map(|sm| sm.inbound.receive());
        if is_probe_answer(&stanza) {
            self.accept_if_numbered(cx, number);
            return;
        }
        cx.events.push_back(Event::Stanza { stanza, number });
    }

    /// Answers a stanza of a type that its kind does not have. The sender is told; for the rest it
    /// is dealt with.
    fn refuse_type(&mut self, cx: &mut Cx<'_>, stanza: &Stanza) {
        let State::Established(session) = &mut self.state else { return };
        self.stats.stanzas_received += 1;
        let number = session.sm.as_mut().map(|sm| sm.inbound.receive());
        let mut reply = stanza.error(&StanzaError::bad_request());
        reply.set_to(session.jid.clone().into());
        if self.send(cx, Delivery::untracked(reply)).is_err() {
            tracing::debug!("no room for the reply to a bad stanza");
        }
        self.accept_if_numbered(cx, number);
    }

    fn accept_if_numbered(&mut self, cx: &mut Cx<'_>, number: Option<u32>) {
        if let Some(number) = number {
            self.accepted(cx, number);
        }
    }

    /// Elements of the stream that are no stanzas.
    fn handle_nonza(&mut self, cx: &mut Cx<'_>, element: &Element) -> Result<(), StreamError> {
        let csi = self.config.csi.enabled;
        match (element.ns(), element.name()) {
            (ns::SM, "r") => self.handle_request(cx),
            (ns::SM, "a") => {
                return self.handle_acknowledgement(cx, element.attr("h").and_then(parse_h));
            }
            (ns::SM, "enable") => self.handle_enable(cx, element),
            (ns::SM, "resume") => write_failed(cx.out, Condition::UnexpectedRequest, None),
            (ns::CSI, "active") if csi => self.set_client_state(cx, ClientState::Active),
            (ns::CSI, "inactive") if csi => self.set_client_state(cx, ClientState::Inactive),
            // The client gives up; there is nothing to add (RFC 6120 §4.9.1.1).
            (ns::STREAMS, "error") => self.close(cx, None),
            _ => return Err(StreamError::unsupported_stanza_type()),
        }
        Ok(())
    }

    fn set_client_state(&mut self, cx: &mut Cx<'_>, state: ClientState) {
        let State::Established(session) = &mut self.state else { return };
        session.set_client_state(cx, state);
        self.ask_if_due(cx);
    }

    /// XEP-0198 §3. A second time is one too many.
    fn handle_enable(&mut self, cx: &mut Cx<'_>, enable: &Element) {
        let State::Established(session) = std::mem::replace(&mut self.state, State::Taken) else {
            return;
        };
        if session.sm.is_some() {
            write_failed(cx.out, Condition::UnexpectedRequest, None);
            self.state = State::Established(session);
            return;
        }
        let enabling = self.begin_enabling(session, enable);
        self.state = match enabling.request() {
            Some(request) => {
                cx.events.push_back(Event::Request(request));
                State::Enabling(Box::new(enabling))
            }
            None => self.enabled(cx, enabling, Kept::Not),
        };
    }

    /// `<r/>` (XEP-0198 §4): answered when what came before it is accepted, or soon.
    fn handle_request(&mut self, cx: &mut Cx<'_>) {
        let State::Established(session) = &mut self.state else { return };
        let Some(sm) = &mut session.sm else {
            return write_failed(cx.out, Condition::UnexpectedRequest, None);
        };
        let step = sm.inbound.ask();
        if step != Step::Tell && !self.timers.is_set(Timer::Answer) {
            self.timers.set(Timer::Answer, cx.now + ACK_DELAY_MAX);
        }
        self.take_step(cx, step);
    }

    fn take_step(&mut self, cx: &mut Cx<'_>, step: Step) {
        match step {
            Step::Nothing => {}
            Step::Tell => self.acknowledge(cx),
            Step::Record(h) => cx.events.push_back(Event::Record(h)),
        }
    }

    /// `<a/>` (XEP-0198 §4).
    fn handle_acknowledgement(
        &mut self,
        cx: &mut Cx<'_>,
        h: Option<u32>,
    ) -> Result<(), StreamError> {
        let State::Established(session) = &mut self.state else { return Ok(()) };
        let Some(sm) = &mut session.sm else {
            write_failed(cx.out, Condition::UnexpectedRequest, None);
            return Ok(());
        };
        let h = h.ok_or(StreamError::bad_format().text("h is not a number"))?;
        sm.outbound
            .acknowledge(h, |settle| cx.events.push_back(Event::Settled(settle)))
            .map_err(|error| StreamError::handled_count_too_high(error.h, error.send_count))?;
        self.tell_room(cx);
        self.ask_if_due(cx);
        Ok(())
    }

    /// `<r/>` and `<a/>` as they are usually written, without building a tree: they come as often
    /// as stanzas do.
    fn read_ack(&self, xml: &[u8]) -> Result<Option<Ack>, StreamError> {
        let mut tokens = Tokenizer::new(xml, &self.input.scope, self.limits());
        let Some(Token::Start(start)) = tokens.next()? else { return Ok(None) };
        let is_whole = start.is_empty && start.end as usize == xml.len();
        Ok(match start.local {
            "r" if is_whole && start.ns == ns::SM => Some(Ack::Request),
            "a" if is_whole && start.ns == ns::SM => {
                let h = start.attribute("h");
                Some(Ack::Answer(h.and_then(|h| parse_h(&h.value()))))
            }
            _ => None,
        })
    }

    fn handle_ack(&mut self, cx: &mut Cx<'_>, ack: Ack) -> Result<(), StreamError> {
        match ack {
            Ack::Request => self.handle_request(cx),
            Ack::Answer(h) => self.handle_acknowledgement(cx, h)?,
        }
        Ok(())
    }

    pub(super) fn ask_if_due(&mut self, cx: &mut Cx<'_>) {
        let State::Established(session) = &mut self.state else { return };
        if session.ask(&self.config, cx, super::Socket::Open) == super::Asked::Yes {
            self.probed(cx.now);
        }
    }

    /// Stanza `number` is durably accepted (promise P1). They may be accepted in any order; `h`
    /// tells the client up to where there is no gap.
    pub fn accepted(&mut self, cx: &mut Cx<'_>, number: u32) {
        let Some(sm) = self.state.sm_mut() else { return };
        let step = sm.inbound.accept(number);
        self.got_on(cx, step);
    }

    /// The record of the session says `h` now, or could not be written and says what it said
    /// before.
    pub fn recorded(&mut self, cx: &mut Cx<'_>, h: u32) {
        let Some(sm) = self.state.sm_mut() else { return };
        let step = sm.inbound.recorded(h);
        self.got_on(cx, step);
    }

    /// What a client that leaves has acknowledged is durable.
    pub fn left(&mut self, cx: &mut Cx<'_>) {
        let Some(sm) = self.state.sm_mut() else { return };
        sm.inbound.left();
        self.got_on(cx, Step::Nothing);
    }

    /// More is accepted, or on record, and somebody may have waited for it.
    fn got_on(&mut self, cx: &mut Cx<'_>, step: Step) {
        let Some(sm) = self.state.sm_mut() else { return };
        let (is_caught_up, may_leave) = (sm.inbound.is_caught_up(), sm.inbound.may_leave());
        match &self.state {
            State::CatchingUp(_) if is_caught_up => self.stop_catching_up(cx),
            State::Leaving(_) if may_leave => self.close(cx, None),
            State::Established(_) => self.take_step(cx, step),
            _ if step == Step::Tell => {}
            _ => self.take_step(cx, step),
        }
    }

    /// Tells the client how many of its stanzas are accepted.
    pub(super) fn acknowledge(&mut self, cx: &mut Cx<'_>) {
        let Some(sm) = self.state.sm_mut() else { return };
        reach(Point::AckBeforeWrite);
        write_acknowledgement(cx.out, sm.inbound.tell());
        reach(Point::AckAfterWrite);
        if !sm.inbound.owes_answer() {
            self.timers.stop(Timer::Answer);
        }
    }

    fn stop_catching_up(&mut self, cx: &mut Cx<'_>) {
        match std::mem::replace(&mut self.state, State::Taken) {
            State::CatchingUp(resumed) => self.state = self.finish_resumption(cx, *resumed),
            state => self.state = state,
        }
    }

    /// What the client waits for takes too long.
    pub(super) fn answer_late(&mut self, cx: &mut Cx<'_>) {
        match &mut self.state {
            State::Established(Session { sm: Some(sm), .. }) => {
                sm.inbound.answer_now();
                self.acknowledge(cx);
            }
            State::CatchingUp(_) => self.stop_catching_up(cx),
            State::Leaving(_) => self.close(cx, None),
            _ => {}
        }
    }

    /// Something went out that the client has to answer.
    pub(super) fn probed(&mut self, now: Instant) {
        if !self.is_probing {
            self.is_probing = true;
            self.timers.set(Timer::Silence, now + self.config.keepalive.dead);
        }
    }

    /// Looks how long the client was silent. The timer is not moved for every byte: it is set
    /// again from here, by when the client was heard last.
    pub(super) fn judge_silence(&mut self, cx: &mut Cx<'_>) {
        let keepalive = self.config.keepalive;
        let silence = cx.now.saturating_duration_since(self.heard_at);
        let is_deaf = self.is_paused();
        let State::Established(session) = &mut self.state else { return };
        if is_deaf {
            // It is we who do not listen.
            self.timers.set(Timer::Silence, cx.now + keepalive.idle);
        } else if self.is_probing {
            self.fail(cx, StreamError::connection_timeout());
        } else if silence >= keepalive.idle {
            match &mut session.sm {
                Some(sm) => {
                    sm.outbound.ask();
                    write_request(cx.out);
                }
                None => write_ping(cx.out, session),
            }
            self.probed(cx.now);
        } else {
            self.timers.set(Timer::Silence, self.heard_at + keepalive.idle);
        }
    }
}

/// An ack element (XEP-0198 §4).
enum Ack {
    /// `<r/>`
    Request,
    /// `<a/>`, with its `h` if that is a number.
    Answer(Option<u32>),
}

/// A ping (XEP-0199 §4.1), which every client answers, if with an error.
fn write_ping(out: &mut Vec<u8>, session: &Session) {
    out.extend_from_slice(b"<iq type='get'");
    attribute(out, "id", PROBE_ID);
    attribute(out, "from", session.jid.domain());
    attribute(out, "to", session.jid.as_str());
    out.extend_from_slice(b"><ping");
    declare(out, ns::PING);
    out.extend_from_slice(b"/></iq>");
}

fn is_probe_answer(stanza: &Stanza) -> bool {
    matches!(stanza.kind_and_type(), Type::Iq(IqType::Result | IqType::Error))
        && stanza.id().is_some_and(|id| id == PROBE_ID)
}

/// A message, presence or iq that is not prefixed, which is nearly everything.
fn is_likely_stanza(xml: &[u8]) -> bool {
    matches!(xml, [b'<', b'm' | b'p' | b'i', ..])
}
