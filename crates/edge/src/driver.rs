//! The system calls behind a worker: one trait, two implementations.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

pub(crate) mod epoll;
pub(crate) mod uring;

/// Which driver a worker runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriverKind {
    /// Completion-based, with direct descriptors.
    IoUring,
    /// Readiness-based.
    Epoll,
}

impl fmt::Display for DriverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DriverKind::IoUring => "io_uring",
            DriverKind::Epoll => "epoll",
        })
    }
}

/// A socket, in the numbering of its driver. Valid from [`Sink::accepted`] to [`Driver::close`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Socket(pub(crate) u32);

/// What became of a buffer given to [`Driver::send`].
pub(crate) enum Sending {
    /// The kernel took all of it; here is the buffer back.
    Done(Vec<u8>),
    /// The driver keeps it until [`Sink::sent`].
    Pending,
    /// The socket is broken.
    Failed(Vec<u8>),
}

/// What a driver holds: nothing, once every socket is closed and the kernel has let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InUse {
    pub(crate) sockets: u64,
    pub(crate) sends: u64,
}

/// Moves bytes. The engine calls it between turns; it calls the engine, as [`Sink`], within.
pub(crate) trait Driver {
    /// Waits up to `wait` for anything to happen, then reports all that did.
    fn turn(&mut self, wait: Option<Duration>, sink: &mut impl Sink) -> io::Result<()>;

    /// How many connections may be accepted from now on, until it is said again.
    fn accept(&mut self, places: usize);

    /// Sends a whole buffer. At most one per socket is under way.
    fn send(&mut self, socket: Socket, buffer: Vec<u8>) -> Sending;

    /// Stops receiving. Bytes already under way may still be reported.
    fn pause(&mut self, socket: Socket);

    /// Receives again.
    fn resume(&mut self, socket: Socket);

    /// Tells the peer that no more is sent.
    fn shut(&mut self, socket: Socket);

    /// Closes; nothing more is reported for this socket, a send under way is dropped.
    fn close(&mut self, socket: Socket);

    /// What it holds now.
    fn in_use(&self) -> InUse;

    /// The last call: waits, not long, until the kernel has let go of everything.
    fn finish(&mut self) {}
}

/// What a driver reports. A slot is what [`Sink::accepted`] returned for the socket.
pub(crate) trait Sink {
    /// Waiting is over; reports follow.
    fn woke(&mut self);

    /// A connection came. The sink names the slot it belongs to, or the driver closes it.
    fn accepted(&mut self, listener: u16, peer: SocketAddr, socket: Socket) -> Option<u32>;

    /// Accepting failed, most likely for want of descriptors.
    fn accept_failed(&mut self, error: &io::Error);

    /// Bytes came. They may be overwritten in place, by decryption. False if the socket is to be
    /// paused, at once rather than at the end of the turn.
    #[must_use]
    fn received(&mut self, slot: u32, bytes: &mut [u8]) -> bool;

    /// The peer will send no more.
    fn ended(&mut self, slot: u32);

    /// Part of a pending send was taken.
    fn progressed(&mut self, slot: u32);

    /// A pending send is complete.
    fn sent(&mut self, slot: u32, buffer: Vec<u8>);

    /// The socket is broken. It still must be closed.
    fn failed(&mut self, slot: u32);
}

/// One worker's socket of a listener.
pub(crate) struct ListenSocket {
    /// Index into `EdgeConfig::listeners`.
    pub(crate) listener: u16,
    pub(crate) socket: TcpListener,
}
