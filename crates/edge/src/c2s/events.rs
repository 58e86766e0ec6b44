//! Does what a stream's machine says.

use std::net::IpAddr;
use std::sync::Arc;

use jackdaw_router::Taken;
use jackdaw_session::Session;
use jackdaw_stanza::{Kind, Stanza};
use jackdaw_stream::c2s::{Answer, C2s, Cx, Event, Outcome, Request};
use jackdaw_stream::sasl::Mechanism;

use super::connection::StreamName;
use super::{C2sProtocol, Connection, Mail};
use crate::Io;

impl C2sProtocol {
    /// Handles events until there is none, or one has to be waited for.
    pub(super) fn handle_events(&mut self, io: &mut Io<'_, Mail>, connection: &mut Connection) {
        while let Some(event) = self.events.pop_front() {
            match event {
                Event::Stanza { stanza, number } => {
                    if self.handle_stanza(io, connection, stanza, number) == Taken::Hold {
                        let rest = std::mem::take(&mut self.events);
                        connection.hold(rest);
                        if let Some(stream) = &mut connection.stream {
                            stream.pause();
                        }
                        return;
                    }
                }
                Event::Settled(settle) => self.shared.router.settled(settle),
                Event::Room => {
                    if let Some(session) = &connection.session {
                        self.shared.router.has_room(session);
                    }
                }
                Event::Numbered { settle, number } => {
                    if let Some(session) = &connection.session {
                        self.shared.router.numbered(session, settle, number);
                    }
                }
                Event::Leaving => {
                    if let Some(session) = &connection.session {
                        self.shared.router.leaving(session);
                    }
                }
                Event::Record(h) => self.record(io, connection, h),
                Event::Resumed { h, is_restored } => {
                    if let Some(session) = &connection.session {
                        self.shared.router.rewound(session, h);
                        if is_restored {
                            self.shared.router.returned(session);
                        }
                    }
                }
                Event::Request(request) => self.handle_request(io, connection, request),
                Event::StartTls => io.start_tls(),
                Event::SmEnabled { .. } => {
                    if let Some(session) = &connection.session {
                        session.set_managed();
                    }
                }
                Event::ClientState(state) => {
                    tracing::trace!(stream = %StreamName(io.id()), ?state, "client state");
                }
                Event::Outcome(outcome) => {
                    self.shared.counts(self.worker).outcomes.add(outcome);
                    log(outcome, StreamName(io.id()), connection.peer);
                }
                Event::Ended => {
                    self.end_session(connection);
                    if connection.is_kept {
                        io.free();
                    }
                }
                Event::Close => io.close(),
            }
        }
    }

    fn handle_stanza(
        &mut self,
        io: &mut Io<'_, Mail>,
        connection: &mut Connection,
        stanza: Stanza,
        number: Option<u32>,
    ) -> Taken {
        let Some(session) = &connection.session else { return Taken::Done };
        let counts = self.shared.counts(self.worker);
        match stanza.kind() {
            Kind::Message => counts.messages_in.add(),
            Kind::Presence => counts.presences_in.add(),
            Kind::Iq => counts.iqs_in.add(),
        }
        let taken = self.shared.router.accept(session, stanza, number);
        if let (Taken::Done, Some(number)) = (taken, number) {
            self.call(io, connection, |stream, cx| stream.accepted(cx, number));
        }
        taken
    }

    /// Has the session's record say `h`; at once, if it says so already.
    fn record(&mut self, io: &mut Io<'_, Mail>, connection: &mut Connection, h: u32) {
        let Some(session) = &connection.session else { return };
        if self.shared.router.record(session, h) {
            self.call(io, connection, |stream, cx| stream.recorded(cx, h));
        }
    }

    /// Calls the machine. What it says comes behind the events in hand.
    pub(super) fn call<R>(
        &mut self,
        io: &mut Io<'_, Mail>,
        connection: &mut Connection,
        call: impl FnOnce(&mut C2s, &mut Cx<'_>) -> R,
    ) -> Option<R> {
        let now = io.now();
        let stream = connection.stream.as_mut()?;
        let unsent = io.sending();
        let mut cx =
            Cx { now, out: io.out(), unsent, arena: &mut self.arena, events: &mut self.events };
        Some(call(stream, &mut cx))
    }

    pub(super) fn bound(
        &mut self,
        io: &mut Io<'_, Mail>,
        connection: &mut Connection,
        session: Arc<Session>,
    ) {
        let answer = take_bound(connection, session);
        self.with_stream(io, connection, |stream, cx| stream.answer(cx, answer));
    }

    /// The session is over: out of the table, and what it did not confirm goes elsewhere.
    pub(super) fn end_session(&mut self, connection: &mut Connection) {
        let Some(session) = connection.session.take() else { return };
        tracing::debug!(jid = %session.jid(), "session ended");
        let left = connection.stream.as_mut().map(C2s::take_unacknowledged).unwrap_or_default();
        let at = session.address();
        self.shared.router.ended(&session, left);
        for mail in connection.take_behind() {
            if let Mail::Deliver(delivery) = mail {
                self.shared.router.undelivered(at, delivery);
            }
        }
    }

    fn handle_request(
        &mut self,
        io: &mut Io<'_, Mail>,
        connection: &mut Connection,
        request: Request,
    ) {
        if let Some(answer) = self.ask(io, connection, request) {
            match answer {
                Mail::Answer(answer) => {
                    self.call(io, connection, |stream, cx| stream.answer(cx, *answer));
                }
                Mail::Bound(session) => {
                    let answer = take_bound(connection, session);
                    self.call(io, connection, |stream, cx| stream.answer(cx, answer));
                }
                Mail::Surrendered(surrendered) => self.surrendered(io, connection, *surrendered),
                // No answer to a request.
                Mail::Deliver(_)
                | Mail::Late(_)
                | Mail::Trail(_)
                | Mail::Command(_)
                | Mail::Surrender(_) => {}
            }
        }
    }
}

/// The connection has this session from now on; what its machine is told of it.
fn take_bound(connection: &mut Connection, session: Arc<Session>) -> Answer {
    let answer = Answer::Bound { jid: session.jid().clone(), session: session.id().0 };
    connection.session = Some(session);
    answer
}

/// Failed authentications are logged with the client's address, for whoever bans by the log; the
/// rest only for whoever looks for it.
fn log(outcome: Outcome, stream: StreamName, peer: IpAddr) {
    match outcome {
        Outcome::Authentication { mechanism, failure } => {
            let mechanism = mechanism.map_or("unknown", Mechanism::name);
            match failure.map(|condition| condition.element()) {
                None => tracing::debug!(%stream, %peer, mechanism, "authenticated"),
                Some(condition) => {
                    tracing::info!(%stream, %peer, mechanism, condition, "authentication failed");
                }
            }
        }
        Outcome::StreamError(condition) => {
            tracing::debug!(%stream, %peer, condition = condition.name(), "stream error");
        }
    }
}
