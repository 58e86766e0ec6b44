//! What streams are told from outside.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use jackdaw_ext::Command;
use jackdaw_faults::{Point, reach};
use jackdaw_session::{Address, Session};
use jackdaw_stanza::Delivery;
use jackdaw_stream::c2s::{Answer, Detached, Resume, ResumeFailed};

use super::connection::Passage;
use super::outbox::keeps_order;
use super::written::Fate;
use super::{C2sProtocol, Connection, stream_error};
use crate::{ConnectionId, Io, WorkerIo};

/// Mail for a client stream.
pub enum Mail {
    /// A stanza for its client.
    Deliver(Delivery),
    /// An order of the router.
    Command(Command),
    /// The answer to a request of its machine.
    Answer(Box<Answer>),
    /// The resource is bound.
    Bound(Arc<Session>),
    /// Give the session to the stream that resumes it.
    Surrender(Box<Surrender>),
    /// The session, for the stream that asked for it.
    Surrendered(Box<Surrendered>),
    /// Mail that was on its way to the stream that had the session before.
    Late(Box<Mail>),
    /// Sent after such mail by the stream that has the session now, to come back behind it.
    Trail(ConnectionId),
}

/// Mail that waits for what was sent before it to the stream that had the session. That comes
/// within a turn or two of its worker; more than this goes to the spool instead.
const BEHIND_MAX: usize = 1_024;

/// Who wants a session, and by what right.
pub struct Surrender {
    /// The stream that resumes.
    pub to: ConnectionId,
    /// What its client said.
    pub resume: Resume,
}

/// A session that is handed over, or why not.
pub struct Surrendered {
    /// The stream that had it; none if it comes from its record.
    pub from: Option<ConnectionId>,
    /// Which.
    pub session: Arc<Session>,
    /// Its state.
    pub outcome: Result<Box<Detached>, ResumeFailed>,
}

pub(super) fn address(id: ConnectionId) -> Address {
    Address { worker: id.worker, slot: id.slot, generation: id.generation }
}

pub(super) fn connection_id(address: Address) -> ConnectionId {
    ConnectionId { worker: address.worker, slot: address.slot, generation: address.generation }
}

impl C2sProtocol {
    pub(super) fn handle_mail(
        &mut self,
        io: &mut Io<'_, Mail>,
        connection: &mut Connection,
        mail: Mail,
    ) {
        match connection.passage() {
            None => {}
            Some(&mut Passage::Moved(to)) => return self.send_after(io, to, mail),
            Some(Passage::Behind(waiting)) if keeps_order(&mail) => {
                return match mail {
                    Mail::Deliver(delivery) if waiting.len() >= BEHIND_MAX => {
                        self.shared.router.undelivered(address(io.id()), delivery);
                    }
                    mail => waiting.push_back(mail),
                };
            }
            Some(Passage::Behind(_)) => {}
        }
        self.handle_in_turn(io, connection, mail);
    }

    /// Handles mail before which nothing has to come.
    fn handle_in_turn(&mut self, io: &mut Io<'_, Mail>, connection: &mut Connection, mail: Mail) {
        match mail {
            Mail::Deliver(delivery) => self.deliver(io, connection, delivery),
            Mail::Command(command) => self.command(io, connection, command),
            Mail::Answer(answer) => {
                self.with_stream(io, connection, |stream, cx| stream.answer(cx, *answer));
                io.resume_reading();
            }
            Mail::Bound(session) => {
                self.bound(io, connection, session);
                io.resume_reading();
            }
            Mail::Surrender(surrender) => self.surrender(io, connection, &surrender),
            Mail::Surrendered(surrendered) => {
                self.surrendered(io, connection, *surrendered);
                self.do_events(io, connection);
                io.resume_reading();
            }
            Mail::Late(mail) => self.handle_in_turn(io, connection, *mail),
            Mail::Trail(by) if by == io.id() => self.catch_up(io, connection),
            // The session has gone on from there.
            Mail::Trail(_) => {}
        }
    }

    /// Everything that was sent to the stream that had the session before has come.
    fn catch_up(&mut self, io: &mut Io<'_, Mail>, connection: &mut Connection) {
        for mail in connection.take_behind() {
            self.handle_in_turn(io, connection, mail);
        }
    }

    fn deliver(&mut self, io: &mut Io<'_, Mail>, connection: &mut Connection, delivery: Delivery) {
        let here = address(io.id());
        let fate = Fate::of(connection, &delivery);
        let sent = self
            .with_stream(io, connection, |stream, cx| stream.send(cx, delivery).map_err(Box::new));
        match (sent, fate) {
            (Some(Ok(())), Some(fate)) => self.note_written(io, connection, fate),
            (Some(Ok(())) | None, _) => {}
            (Some(Err(delivery)), _) => {
                self.shared.router.undelivered(here, *delivery);
                self.send_local(io);
            }
        }
    }

    /// The router's fence: everything that it handed over before is here.
    fn fence(&mut self, io: &mut Io<'_, Mail>, connection: &mut Connection) {
        let takes_more = self.with_stream(io, connection, |stream, cx| stream.fence(cx));
        if let Some(session) = connection.session.clone() {
            self.shared.router.fenced(&session, takes_more == Some(true));
            self.send_local(io);
        }
    }

    fn command(&mut self, io: &mut Io<'_, Mail>, connection: &mut Connection, command: Command) {
        match command {
            Command::Accepted(number) => {
                self.with_stream(io, connection, |stream, cx| stream.accepted(cx, number));
                // The window may have been full.
                io.resume_reading();
            }
            Command::Recorded(h) => {
                self.with_stream(io, connection, |stream, cx| stream.recorded(cx, h));
            }
            Command::Left => {
                self.with_stream(io, connection, |stream, cx| stream.left(cx));
            }
            Command::Write(number) => {
                self.with_stream(io, connection, |stream, cx| stream.release(cx, number));
            }
            Command::Number(settle) => {
                let number = connection.stream.as_mut().and_then(|s| s.number_of(settle));
                if let (Some(number), Some(session)) = (number, &connection.session) {
                    self.shared.router.numbered(session, settle, number);
                }
            }
            Command::Release => {
                self.events.extend(connection.release());
                self.with_stream(io, connection, |stream, cx| stream.resume(cx));
                if !connection.is_holding() {
                    io.resume_reading();
                }
            }
            Command::Fence => self.fence(io, connection),
            Command::Close(condition) => {
                let error = stream_error(condition);
                self.with_stream(io, connection, |stream, cx| stream.close(cx, Some(error)));
            }
        }
    }

    /// Another stream resumes this one's session (XEP-0198 §5).
    fn surrender(
        &mut self,
        io: &mut Io<'_, Mail>,
        connection: &mut Connection,
        surrender: &Surrender,
    ) {
        let Some(session) = connection.session.clone() else {
            return self.answer_elsewhere(io, surrender.to, not_found());
        };
        // It goes on from here with what has come; hardly anybody resumes that fast.
        self.catch_up(io, connection);
        let outcome =
            self.with_stream(io, connection, |stream, cx| stream.detach(cx, &surrender.resume));
        let outcome = outcome.unwrap_or(Err(ResumeFailed::NotFound { h: None }));
        if outcome.is_ok() {
            // What still comes here is sent after it, behind the session itself.
            self.remember_move(io.now(), io.id(), surrender.to);
            connection.set_passage(Passage::Moved(surrender.to));
            connection.session = None;
            if connection.is_kept {
                io.free();
            }
        }
        reach(Point::ResumeSurrendered);
        let from = Some(io.id());
        let mail = Mail::Surrendered(Box::new(Surrendered { from, session, outcome }));
        self.forward(io, surrender.to, mail);
    }

    /// What this stream's client wanted to resume. The events that follow are the caller's.
    pub(super) fn surrendered(
        &mut self,
        io: &mut Io<'_, Mail>,
        connection: &mut Connection,
        surrendered: Surrendered,
    ) {
        let Surrendered { from, session, outcome } = surrendered;
        let answer = match outcome {
            Ok(detached) => {
                // Not before: mail that came first would find no session here.
                session.set_address(address(io.id()));
                connection.session = Some(session);
                if let Some(from) = from {
                    // Who sends to this stream from now on may have sent to the other one before.
                    connection.set_passage(Passage::Behind(VecDeque::new()));
                    self.shared.outbox.send_last(from, Mail::Trail(io.id()));
                }
                Answer::Resumed(detached)
            }
            Err(failed) => Answer::ResumeFailed(failed),
        };
        self.call(io, connection, |stream, cx| stream.answer(cx, answer));
    }

    pub(super) fn answer_elsewhere(
        &mut self,
        io: &mut WorkerIo<'_, Mail>,
        to: ConnectionId,
        answer: Answer,
    ) {
        self.forward(io, to, Mail::Answer(Box::new(answer)));
    }

    /// Sends on; a full queue gives deliveries back to the router and keeps the rest.
    pub(super) fn forward(&mut self, io: &mut WorkerIo<'_, Mail>, to: ConnectionId, mail: Mail) {
        if let Err(mail) = io.send(to, mail) {
            self.shared.outbox.overflow(to, mail, &self.shared.router);
        }
    }

    /// Sends mail after a session that has gone to another stream.
    fn send_after(&mut self, io: &mut WorkerIo<'_, Mail>, to: ConnectionId, mail: Mail) {
        let mail = match mail {
            mail if keeps_order(&mail) => Mail::Late(Box::new(mail)),
            mail => mail,
        };
        self.forward(io, to, mail);
    }

    fn remember_move(&mut self, now: Instant, from: ConnectionId, to: ConnectionId) {
        self.forget_moved(now);
        self.moved.insert(from, to);
        self.moved_at.push_back((now, from));
    }

    /// Mail for a stream that is gone: after it if it moved, else to whom it concerns.
    pub(super) fn mail_for_nobody(
        &mut self,
        io: &mut WorkerIo<'_, Mail>,
        to: ConnectionId,
        mail: Mail,
    ) {
        if let Some(moved) = self.moved.get(&to).copied() {
            return self.send_after(io, moved, mail);
        }
        let router = &self.shared.router;
        match mail {
            Mail::Deliver(delivery) => router.undelivered(address(to), delivery),
            Mail::Surrender(surrender) => {
                self.answer_elsewhere(io, surrender.to, not_found());
            }
            // The stream that bound, or resumed, is gone before it heard of it: so is the session.
            Mail::Bound(session) => router.ended(&session, Vec::new()),
            Mail::Surrendered(surrendered) => {
                let Surrendered { session, outcome, .. } = *surrendered;
                if let Ok(detached) = outcome {
                    router.ended(&session, detached.into_unacknowledged());
                }
            }
            Mail::Late(mail) => self.mail_for_nobody(io, to, *mail),
            // Nothing follows what nobody remembers.
            Mail::Trail(by) if by != to => self.forward(io, by, Mail::Trail(by)),
            Mail::Command(_) | Mail::Answer(_) | Mail::Trail(_) => {}
        }
    }
}

fn not_found() -> Answer {
    Answer::ResumeFailed(ResumeFailed::NotFound { h: None })
}
