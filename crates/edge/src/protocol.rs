//! What runs on the edge: the contract between a worker and the protocol it carries.

use std::net::SocketAddr;

use crate::io::{Io, WorkerIo};
use crate::tls::TlsInfo;

/// Generations of a slot: those that fit beside it into the 64 bits of an io_uring completion, and
/// into the session table's packed addresses. A slot would have to be used again sixteen million
/// times while something still names its first life.
pub(crate) const GENERATIONS: u32 = 1 << 24;

/// The address of one connection, valid on every thread of this process.
///
/// The generation tells a connection from a later one in the same slot, so an id may outlive
/// what it names: mail to it then comes back through [`Protocol::undelivered`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId {
    /// The worker that owns the connection.
    pub worker: u16,
    /// The place in that worker's slab.
    pub slot: u32,
    /// How often the slot had been used before.
    pub generation: u32,
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The client's address; behind a proxy, the one the PROXY header names.
    pub address: SocketAddr,
    /// The address it connected to: the listener's bound one, or what the PROXY header names.
    pub local: SocketAddr,
    /// Which listener: the index into [`EdgeConfig::listeners`](crate::EdgeConfig::listeners).
    pub listener: u16,
    /// Whether a PROXY header said so.
    pub proxied: bool,
}

/// Why a connection's socket is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The peer closed its side; what was still to be sent has been sent.
    PeerClosed,
    /// The socket failed: reset, unreachable, keep-alive ran out.
    Reset,
    /// We closed, and the peer closed too or the linger time was over.
    Closed,
    /// We aborted.
    Aborted,
    /// Output made no progress for [`Limits::stall`](crate::Limits::stall).
    Stalled,
    /// More output than [`Limits::output_bytes_max`](crate::Limits::output_bytes_max) was
    /// waiting, or 2 MiB of input were left unconsumed.
    Overflow,
    /// The TLS handshake or a record was wrong.
    Tls,
    /// The TLS handshake took longer than [`Limits::handshake`](crate::Limits::handshake).
    HandshakeTimeout,
    /// The PROXY header was malformed.
    Proxy,
    /// The PROXY header took longer than [`Limits::proxy_header`](crate::Limits::proxy_header).
    ProxyTimeout,
    /// A handler of this connection panicked.
    Panicked,
    /// The edge shut down.
    Shutdown,
}

/// What becomes of a connection's state when its socket is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Drop it; the id is dead from now on.
    Free,
    /// Keep it without a socket: mail and timeouts still come, writes are dropped, until
    /// [`Io::free`]. A detached stream-management session lives like this (XEP-0198 §5).
    Keep,
}

/// A protocol that the edge carries; one value per worker thread.
///
/// Every method runs on the worker's thread and must not block: while it runs, no other
/// connection of the worker moves. A panic inside closes the connection it was called for, no
/// other. Output written during a turn of the loop leaves in one send per connection at its end.
pub trait Protocol: Sized + 'static {
    /// State of one connection. It lives in the worker's slab by value: keep it small.
    type Connection: 'static;
    /// What connections, workers and other threads send each other.
    type Mail: Send + 'static;

    /// A peer connected (and its PROXY header, if asked for, was read). `None` refuses: what was
    /// written is still sent, then the socket is closed, and nothing else is called.
    ///
    /// On a direct-TLS listener this comes before the handshake; what is written here leaves
    /// once it is done.
    fn open(&mut self, io: &mut Io<'_, Self::Mail>, peer: &Peer) -> Option<Self::Connection>;

    /// Plaintext came. Returns how many bytes were consumed.
    ///
    /// To stop in the middle, call [`Io::pause_reading`] and return less than all: the rest is
    /// kept and offered again after [`Io::resume_reading`]. Without a pause the rest is offered
    /// again together with what comes next; 2 MiB of it close the connection
    /// ([`CloseReason::Overflow`]).
    fn bytes(
        &mut self,
        io: &mut Io<'_, Self::Mail>,
        connection: &mut Self::Connection,
        bytes: &[u8],
    ) -> usize;

    /// The TLS handshake is finished; bytes that follow are protected.
    fn secured(
        &mut self,
        io: &mut Io<'_, Self::Mail>,
        connection: &mut Self::Connection,
        tls: &TlsInfo,
    ) {
        let _ = (io, connection, tls);
    }

    /// The timer set with [`Io::set_timer`] fired. Not before its time, and late by at most a
    /// few milliseconds and the turn in hand.
    fn timeout(&mut self, io: &mut Io<'_, Self::Mail>, connection: &mut Self::Connection) {
        let _ = (io, connection);
    }

    /// Mail for this connection. Mail from one sender comes in the order it was sent.
    fn mail(
        &mut self,
        io: &mut Io<'_, Self::Mail>,
        connection: &mut Self::Connection,
        mail: Self::Mail,
    );

    /// Mail for a connection that is gone.
    fn undelivered(
        &mut self,
        io: &mut WorkerIo<'_, Self::Mail>,
        to: ConnectionId,
        mail: Self::Mail,
    );

    /// Mail for the worker itself.
    fn worker_mail(&mut self, io: &mut WorkerIo<'_, Self::Mail>, mail: Self::Mail) {
        let _ = (io, mail);
    }

    /// Waiting output fell to [`Limits::output_low`](crate::Limits::output_low) after having
    /// been above [`Limits::output_high`](crate::Limits::output_high).
    fn writable(&mut self, io: &mut Io<'_, Self::Mail>, connection: &mut Self::Connection) {
        let _ = (io, connection);
    }

    /// The kernel has taken the output of this number, of which the protocol wanted to hear
    /// ([`Io::tell_when_sent`]). Comes between handlers and at the end of a turn; not if the
    /// connection is cut off before.
    fn sent(&mut self, io: &mut Io<'_, Self::Mail>, connection: &mut Self::Connection, send: u8) {
        let _ = (io, connection, send);
    }

    /// The edge shuts down: say good-bye. Closes by default. Called once for every connection,
    /// with a socket or kept; what has not closed by the deadline is cut off.
    fn shutting_down(&mut self, io: &mut Io<'_, Self::Mail>, connection: &mut Self::Connection) {
        let _ = connection;
        io.close();
    }

    /// The socket is gone; exactly once per opened connection. Writes have no effect any more.
    fn closed(
        &mut self,
        io: &mut Io<'_, Self::Mail>,
        connection: &mut Self::Connection,
        reason: CloseReason,
    ) -> Fate;

    /// The last call of a turn, before output is sent.
    fn turn_ended(&mut self, io: &mut WorkerIo<'_, Self::Mail>) {
        let _ = io;
    }
}
