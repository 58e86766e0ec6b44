//! Enabling stream management and resuming a session (XEP-0198 §3, §5).

use super::detached::Detached;
use super::event::{Enable, Event, Kept, Request, Resume, ResumeFailed};
use super::ids::SmId;
use super::inline::is_true;
use super::sasl2::Completion;
use super::session::{Session, Socket};
use super::sm::{Acknowledged, Record, Sm, Step};
use super::state::State;
use super::timer::Timer;
use super::{ACK_DELAY_MAX, C2s, Cx};
use crate::StreamError;
use crate::xml::{attribute, declare};
use jackdaw_faults::{Point, reach};
use jackdaw_stanza::{Condition, ns};
use jackdaw_xml::Element;

/// A session that is here, and whose client waits to hear of it.
///
/// `<resumed h=''/>` waits for what was received before, as far as it can: what `h` leaves out the
/// client sends again.
#[derive(Debug)]
pub(super) struct CatchingUp {
    pub session: Session,
    /// With SASL2, what `<success/>` will say.
    completion: Option<Completion>,
}

/// A session whose client wants stream management.
#[derive(Debug)]
pub(super) struct Enabling {
    pub session: Session,
    id: SmId,
    resume_secs: u32,
}

impl Enabling {
    /// What the driver is asked, if the session is to outlive its socket.
    pub fn request(&self) -> Option<Request> {
        let Enabling { id, resume_secs, .. } = *self;
        (resume_secs > 0).then_some(Request::Enable(Enable { id, resume_secs }))
    }

    /// The session under stream management.
    pub fn finish(self, kept: Kept) -> (Session, Enabled) {
        let Enabling { mut session, id, resume_secs } = self;
        let (resume_secs, record) = match kept {
            Kept::Durably => (resume_secs, Record::Idle),
            Kept::InMemory => (resume_secs, Record::None),
            Kept::Not => (0, Record::None),
        };
        session.sm = Some(Box::new(Sm::new(id, resume_secs, record)));
        (session, Enabled { id, resume_secs })
    }
}

/// What `<enabled/>` says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Enabled {
    id: SmId,
    resume_secs: u32,
}

impl C2s {
    /// Begins to put a session under stream management, as `<enable/>` asks (§3).
    pub(super) fn begin_enabling(&mut self, session: Session, enable: &Element) -> Enabling {
        let offered = u32::try_from(self.config.sm.resume_timeout.as_secs()).unwrap_or(u32::MAX);
        let wanted = enable.attr("max").and_then(parse_h).unwrap_or(offered);
        let resume_secs = if is_true(enable.attr("resume")) { offered.min(wanted) } else { 0 };
        let id = SmId::new(session.number, &mut self.ids);
        Enabling { session, id, resume_secs }
    }

    /// The session is kept, or is not: the client is told which.
    pub(super) fn enabled(&mut self, cx: &mut Cx<'_>, enabling: Enabling, kept: Kept) -> State {
        let (session, enabled) = enabling.finish(kept);
        enabled.write_to(cx.out);
        cx.events.push_back(enabled.event());
        self.timers.set(Timer::Silence, cx.now + self.config.keepalive.idle);
        State::Established(session)
    }

    /// `<resume/>` on an authenticated stream (§5).
    pub(super) fn begin_resume(
        &mut self,
        cx: &mut Cx<'_>,
        element: &Element,
    ) -> Result<State, StreamError> {
        let h = element.attr("h").and_then(parse_h).ok_or(StreamError::bad_format())?;
        let id = element.attr("previd").and_then(SmId::parse);
        let authenticated = self.negotiation.as_ref().and_then(|n| n.authenticated());
        let (Some(id), Some(authenticated)) = (id, authenticated) else {
            return self.resume_failed(cx, ResumeFailed::NotFound { h: None });
        };
        let resume = Resume { account: authenticated.account.clone(), id, h };
        reach(Point::ResumeAsked);
        cx.events.push_back(Event::Request(Request::Resume(resume.clone())));
        Ok(State::Resuming(Box::new(resume)))
    }

    /// The session could not be had; the client may bind (§5).
    pub(super) fn resume_failed(
        &mut self,
        cx: &mut Cx<'_>,
        failed: ResumeFailed,
    ) -> Result<State, StreamError> {
        match failed {
            ResumeFailed::NotFound { h } => {
                write_failed(cx.out, Condition::ItemNotFound, h);
                Ok(State::ExpectBind)
            }
            ResumeFailed::HandledCountTooHigh { h, send_count } => {
                Err(StreamError::handled_count_too_high(h, send_count))
            }
        }
    }

    /// The session is here.
    pub(super) fn resumed(
        &mut self,
        cx: &mut Cx<'_>,
        resume: &Resume,
        detached: Detached,
        completion: Option<Completion>,
    ) -> Result<State, StreamError> {
        reach(Point::ResumeArrived);
        let Detached { mut session, gate } = detached;
        self.gate = gate;
        let Some(sm) = &mut session.sm else { return Err(StreamError::internal_server_error()) };
        // `detach` checked it, but another driver may bring it here.
        sm.outbound
            .acknowledge(resume.h, |settle| cx.events.push_back(Event::Settled(settle)))
            .map_err(|error| StreamError::handled_count_too_high(error.h, error.send_count))?;
        let step = sm.inbound.ask();
        let catching_up = CatchingUp { session, completion };
        match step {
            Step::Tell => return Ok(self.finish_resumption(cx, catching_up)),
            Step::Record(h) => cx.events.push_back(Event::Record(h)),
            Step::Nothing => {}
        }
        self.timers.set(Timer::Answer, cx.now + ACK_DELAY_MAX);
        Ok(State::CatchingUp(Box::new(catching_up)))
    }

    /// Tells the client, and sends it what it missed.
    pub(super) fn finish_resumption(&mut self, cx: &mut Cx<'_>, resumed: CatchingUp) -> State {
        let CatchingUp { mut session, completion } = resumed;
        self.timers.stop(Timer::Answer);
        if let Some(sm) = &mut session.sm {
            sm.inbound.rewind();
            let (id, h) = (sm.id, sm.inbound.tell());
            match &completion {
                Some(completion) => {
                    let jid = session.jid.as_str();
                    completion.write_success(cx.out, jid, |out| write_resumed(out, id, h));
                }
                None => write_resumed(cx.out, id, h),
            }
            sm.outbound.rewind();
            sm.outbound.write_on(cx.out);
            let is_restored = std::mem::take(&mut sm.is_restored);
            cx.events.push_back(Event::Resumed { h, is_restored });
        }
        reach(Point::ResumeTold);
        // The stream starts active, whatever the old one was (XEP-0352 §5.2).
        session.flush(cx, Socket::Open);
        session.held = None;
        let state = self.establish(cx, session);
        if let State::Established(mut session) = state {
            session.ask_again(cx);
            self.probed(cx.now);
            self.state = State::Established(session);
            self.tell_room(cx);
            return std::mem::replace(&mut self.state, State::Taken);
        }
        state
    }

    /// Hands the session to the stream that resumes it, if that one may: the account, the id and
    /// the count must be right. Of several that ask, one gets it. A socket that is still open is
    /// closed with `conflict` (§5).
    pub fn detach(
        &mut self,
        cx: &mut Cx<'_>,
        resume: &Resume,
    ) -> Result<Box<Detached>, ResumeFailed> {
        let session = self.state.session();
        let session = session.filter(|session| session.jid.bare_str() == resume.account.as_str());
        let sm = session.and_then(|session| session.sm.as_deref());
        let sm = sm.filter(|sm| sm.is_resumable() && sm.id.is(&resume.id));
        let sm = sm.ok_or(ResumeFailed::NotFound { h: None })?;
        match sm.outbound.check(resume.h) {
            Ok(Acknowledged::Next(_)) => {}
            // What it acknowledged once is not here any more to be sent again.
            Ok(Acknowledged::Before) => {
                return Err(ResumeFailed::NotFound { h: Some(sm.inbound.handled()) });
            }
            Err(error) => {
                let (h, send_count) = (error.h, error.send_count);
                return Err(ResumeFailed::HandledCountTooHigh { h, send_count });
            }
        }
        let gate = self.gate;
        self.take_session(cx).map(|session| Box::new(Detached { session, gate }))
    }

    fn take_session(&mut self, cx: &mut Cx<'_>) -> Result<Session, ResumeFailed> {
        match std::mem::replace(&mut self.state, State::Taken) {
            State::Detached(session) => {
                self.over(Vec::new());
                Ok(*session)
            }
            State::Established(session) => {
                self.give_way(cx);
                Ok(session)
            }
            State::CatchingUp(catching_up) => {
                self.give_way(cx);
                Ok(catching_up.session)
            }
            state => {
                self.state = state;
                Err(ResumeFailed::NotFound { h: None })
            }
        }
    }
}

impl Enabled {
    /// `<enabled/>` (§3).
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"<enabled");
        declare(out, ns::SM);
        if self.resume_secs > 0 {
            attribute(out, "id", &self.id.text());
            attribute(out, "resume", "true");
            attribute(out, "max", &self.resume_secs.to_string());
        }
        out.extend_from_slice(b"/>");
    }

    pub fn event(&self) -> Event {
        Event::SmEnabled { id: self.id, resumable: self.resume_secs > 0 }
    }
}

fn write_resumed(out: &mut Vec<u8>, id: SmId, h: u32) {
    out.extend_from_slice(b"<resumed");
    declare(out, ns::SM);
    attribute(out, "previd", &id.text());
    attribute(out, "h", &h.to_string());
    out.extend_from_slice(b"/>");
}

/// `<failed/>` (§6).
pub(super) fn write_failed(out: &mut Vec<u8>, condition: Condition, h: Option<u32>) {
    out.extend_from_slice(b"<failed");
    declare(out, ns::SM);
    if let Some(h) = h {
        attribute(out, "h", &h.to_string());
    }
    out.extend_from_slice(b"><");
    out.extend_from_slice(condition.name().as_bytes());
    declare(out, ns::STANZA_ERRORS);
    out.extend_from_slice(b"/></failed>");
}

/// An `xs:unsignedInt`, as `h`, `max` and `count` are.
pub(super) fn parse_h(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}
