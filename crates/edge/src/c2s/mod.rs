//! Client streams on the edge: joins a socket, a [`C2s`] machine and the router.
//!
//! One [`C2sProtocol`] per worker. Bytes go into the machine; what it says (its events) is done
//! here, in order: stanzas to the router, questions to the services, deliveries to the socket.
//! Other workers and threads reach a stream by [`Mail`].
//!
//! Does not: know RFC 6121 or any extension.

mod connection;
mod events;
mod mail;
mod outbox;
mod outcomes;
mod pool;
mod requests;
mod shared;
mod tokens;
mod written;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jackdaw_stdx::Arena;
use jackdaw_stream::c2s::{C2s, Cx, Disconnected, Event, Seed, StartTls, Transport};
use jackdaw_stream::{StreamCondition, StreamError};

pub use connection::Connection;
pub use mail::Mail;
pub use outbox::StreamOutbox;
pub use outcomes::OutcomeCounts;
pub use pool::PasswordPool;
pub use shared::{C2sShared, ListenerKind, Registrar, WorkerCounts};

use crate::{CloseReason, ConnectionId, Fate, Io, Peer, Protocol, TlsInfo, WorkerIo};

/// How long mail for a stream that moved is sent after it. Longer than mail waits in any queue.
const FORWARD_FOR: Duration = Duration::from_secs(10);

/// Streams that moved and are remembered; beyond it the oldest are forgotten, and mail that is
/// still under way to them counts as undelivered.
const FORWARDS_MAX: usize = 65_536;

/// Client streams of one worker.
pub struct C2sProtocol {
    shared: Arc<C2sShared>,
    worker: u16,
    arena: Arena,
    /// What the machine in hand said; empty between calls.
    events: VecDeque<Event>,
    /// Whether a call further out is handing on local mail.
    is_delivering: bool,
    /// Empty queues of what was written.
    #[expect(clippy::vec_box, reason = "connections have them in boxes")]
    spare: Vec<Box<written::Written>>,
    /// Streams of this worker that were resumed elsewhere.
    moved: HashMap<ConnectionId, ConnectionId>,
    moved_at: VecDeque<(Instant, ConnectionId)>,
}

impl C2sProtocol {
    /// The protocol of worker `worker`.
    pub fn new(shared: Arc<C2sShared>, worker: u16) -> C2sProtocol {
        outbox::enter_worker(worker);
        C2sProtocol {
            shared,
            worker,
            arena: Arena::new(),
            events: VecDeque::new(),
            is_delivering: false,
            spare: Vec::new(),
            moved: HashMap::new(),
            moved_at: VecDeque::new(),
        }
    }

    /// Begins a call of the engine. What a call before it left behind when it panicked belongs to a
    /// stream that is closed now, and must not be taken for this one's.
    fn enter(&mut self) {
        self.is_delivering = false;
        self.events.clear();
    }

    fn stream(&self, io: &Io<'_, Mail>, transport: Transport) -> C2s {
        let mut seed = [0u8; 32];
        self.shared.router.services().random.fill(&mut seed);
        C2s::new(self.shared.config(), transport, Seed(seed), io.now())
    }

    /// Calls the machine, does what it says, and sets the timer.
    fn with_stream<R>(
        &mut self,
        io: &mut Io<'_, Mail>,
        connection: &mut Connection,
        call: impl FnOnce(&mut C2s, &mut Cx<'_>) -> R,
    ) -> Option<R> {
        let result = self.call(io, connection, call)?;
        self.do_events(io, connection);
        Some(result)
    }

    fn do_events(&mut self, io: &mut Io<'_, Mail>, connection: &mut Connection) {
        self.handle_events(io, connection);
        self.deliver_local(io, connection);
        let next = connection.stream.as_ref().and_then(C2s::next_timeout);
        io.set_timer(next);
    }

    /// Hands on what the router delivered meanwhile: to the stream in hand at once, so that an
    /// answer is out before the bytes behind its request are read, to others by mail. Mail that is
    /// handled here may cause more; the outermost call takes it all, in order.
    fn deliver_local(&mut self, io: &mut Io<'_, Mail>, connection: &mut Connection) {
        if std::mem::replace(&mut self.is_delivering, true) {
            return;
        }
        let here = io.id();
        while !outbox::pass_local(io, here)
            && let Some((to, mail)) = outbox::take_local()
        {
            if to == here {
                self.handle_mail(io, connection, mail);
            } else {
                self.forward(io, to, mail);
            }
        }
        self.is_delivering = false;
    }

    /// Hands on what the router delivered to streams of this worker meanwhile.
    fn send_local(&mut self, io: &mut WorkerIo<'_, Mail>) {
        while let Some((to, mail)) = outbox::take_local() {
            self.forward(io, to, mail);
        }
    }

    fn forget_moved(&mut self, now: Instant) {
        while let Some((at, _)) = self.moved_at.front() {
            if now.saturating_duration_since(*at) < FORWARD_FOR
                && self.moved_at.len() <= FORWARDS_MAX
            {
                return;
            }
            if let Some((_, id)) = self.moved_at.pop_front() {
                self.moved.remove(&id);
            }
        }
    }
}

impl Protocol for C2sProtocol {
    type Connection = Connection;
    type Mail = Mail;

    fn open(&mut self, io: &mut Io<'_, Mail>, peer: &Peer) -> Option<Connection> {
        self.enter();
        let stream = match self.shared.listener(peer.listener) {
            // The machine starts when it is known what the handshake says.
            ListenerKind::DirectTls => None,
            ListenerKind::StartTls => Some(self.stream(io, Transport::Plain(StartTls::Required))),
            ListenerKind::Plain => Some(self.stream(io, Transport::Trusted)),
        };
        let mut connection = Connection::new(stream, peer.address.ip());
        self.do_events(io, &mut connection);
        Some(connection)
    }

    fn bytes(&mut self, io: &mut Io<'_, Mail>, connection: &mut Connection, bytes: &[u8]) -> usize {
        self.enter();
        let mut consumed = 0;
        // A machine stops at a question; most are answered at once, and then it goes on.
        while let Some(rest) = bytes.get(consumed..).filter(|rest| !rest.is_empty()) {
            if connection.is_holding() {
                break;
            }
            let taken =
                self.with_stream(io, connection, |stream, cx| stream.handle_bytes(cx, rest));
            match taken {
                Some(0) | None => break,
                Some(taken) => consumed += taken,
            }
        }
        if consumed < bytes.len() {
            io.pause_reading();
        }
        consumed
    }

    fn secured(&mut self, io: &mut Io<'_, Mail>, connection: &mut Connection, tls: &TlsInfo) {
        self.enter();
        let info = connection::tls_info(tls);
        if connection.stream.is_none() {
            connection.stream = Some(self.stream(io, Transport::Secure(info)));
            self.do_events(io, connection);
        } else {
            self.with_stream(io, connection, |stream, cx| stream.handle_secured(cx, info));
            // Reading was paused if anything stood behind `<starttls/>`, were it a line feed.
            io.resume_reading();
        }
    }

    fn timeout(&mut self, io: &mut Io<'_, Mail>, connection: &mut Connection) {
        self.enter();
        self.with_stream(io, connection, |stream, cx| stream.handle_timeout(cx));
    }

    fn writable(&mut self, io: &mut Io<'_, Mail>, connection: &mut Connection) {
        self.enter();
        self.with_stream(io, connection, |stream, cx| stream.drained(cx));
    }

    fn sent(&mut self, io: &mut Io<'_, Mail>, connection: &mut Connection, send: u8) {
        self.settle_sent(connection, send);
        self.send_local(io);
    }

    fn mail(&mut self, io: &mut Io<'_, Mail>, connection: &mut Connection, mail: Mail) {
        self.enter();
        self.handle_mail(io, connection, mail);
    }

    fn undelivered(&mut self, io: &mut WorkerIo<'_, Mail>, to: ConnectionId, mail: Mail) {
        self.forget_moved(io.now());
        self.mail_for_nobody(io, to, mail);
        self.send_local(io);
    }

    fn shutting_down(&mut self, io: &mut Io<'_, Mail>, connection: &mut Connection) {
        self.enter();
        let error = StreamError::system_shutdown();
        let suspended = self.call(io, connection, |stream, cx| stream.suspend(cx, error)).flatten();
        if let Some(suspended) = suspended {
            if let Some(session) = connection.session.take() {
                self.shared.router.suspended(&session, suspended);
            }
            self.do_events(io, connection);
            if connection.is_kept {
                io.free();
            }
            return;
        }
        let closed = self.with_stream(io, connection, |stream, cx| {
            stream.close(cx, Some(StreamError::system_shutdown()));
        });
        if closed.is_none() {
            io.close();
        }
    }

    fn closed(
        &mut self,
        io: &mut Io<'_, Mail>,
        connection: &mut Connection,
        reason: CloseReason,
    ) -> Fate {
        self.enter();
        let stream = connection::StreamName(io.id());
        tracing::debug!(%stream, peer = %connection.peer, ?reason, "socket closed");
        let now = io.now();
        let Some(stream) = connection.stream.as_mut() else { return Fate::Free };
        match stream.handle_disconnect(now) {
            Disconnected::Resumable => {
                connection.is_kept = true;
                self.give_back_unsent(io, connection);
                self.do_events(io, connection);
                Fate::Keep
            }
            Disconnected::Over => {
                self.do_events(io, connection);
                self.end_session(connection);
                self.give_back_unsent(io, connection);
                self.send_local(io);
                Fate::Free
            }
        }
    }

    fn turn_ended(&mut self, io: &mut WorkerIo<'_, Mail>) {
        for (to, mail) in self.shared.outbox.take_overflow(self.worker) {
            self.forward(io, to, mail);
        }
    }
}

/// The error of that name. The router asks only for conditions that exist; were it to ask for
/// another, the stream would still end.
fn stream_error(condition: &str) -> StreamError {
    let known = StreamCondition::ALL.iter().find(|known| known.name() == condition);
    StreamError::new(*known.unwrap_or(&StreamCondition::UndefinedCondition))
}
