//! The engine's side of one connection.

use std::net::SocketAddr;

use crate::address::Origin;
use crate::driver::Socket;
use crate::protocol::{CloseReason, ConnectionId};
use crate::timers::Tick;
use crate::tls::Session;

/// What a slot is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing; it is in the free list.
    #[default]
    Free,
    /// The PROXY header comes first.
    Proxy,
    /// Bytes go to the TLS handshake.
    Handshake,
    /// Bytes go to the protocol.
    Open,
    /// We close: no more bytes for the protocol, the rest of the output is being sent.
    Flushing,
    /// All is sent and our side shut; waiting for the peer's end.
    Lingering,
    /// No socket; the protocol kept its state.
    Kept,
}

/// Engine state of one slot: what every connection has. Rare things live behind a `Box`.
#[derive(Default)]
pub(crate) struct Link {
    /// Written and not yet given to the driver. Owns memory only while not empty.
    pub(crate) out: Vec<u8>,
    /// Received and not consumed.
    pub(crate) held: Vec<u8>,
    pub(crate) generation: u32,
    pub(crate) socket: Socket,
    /// Bytes in the driver's hands.
    pub(crate) sending: u32,
    pub(crate) phase: Phase,
    /// Is in the list of those to flush at the end of the turn.
    pub(crate) dirty: bool,
    /// The protocol wants no bytes.
    pub(crate) paused: bool,
    /// The driver knows that.
    pub(crate) driver_paused: bool,
    /// Is in the list of those whose held bytes are to be offered again.
    pub(crate) resumed: bool,
    /// Waiting output was above the high mark; `writable` is owed.
    pub(crate) owes_writable: bool,
    /// The protocol is to hear of it when what is in `out` is sent.
    pub(crate) tells_next: bool,
    /// The same of what is in the driver's hands.
    pub(crate) tells_sent: bool,
    /// How often output was given to the driver, less whole turns of the counter.
    pub(crate) sends: u8,
    /// The protocol gave up a kept slot.
    pub(crate) release: bool,
    /// The protocol has state in this slot (`open` returned some).
    pub(crate) opened: bool,
    /// Why the socket goes, once that is decided.
    pub(crate) reason: Option<CloseReason>,
    /// Cut off without flushing.
    pub(crate) abort: bool,
    /// The peer has closed its side.
    pub(crate) ended: bool,
    /// The protocol's timer; 0 is none.
    pub(crate) timer: Tick,
    /// The engine's own deadline (stall, linger, handshake, PROXY); 0 is none.
    pub(crate) deadline: Tick,
    pub(crate) origin: Origin,
    pub(crate) listener: u16,
    /// TLS was asked for and begins when the output is sent.
    pub(crate) starttls: bool,
    pub(crate) tls: Option<Box<Session>>,
    /// Who connected, while the PROXY header is awaited.
    pub(crate) proxy: Option<Box<SocketAddr>>,
}

/// There is one for every idle connection.
const _: () = assert!(size_of::<Link>() <= 120);

impl Link {
    pub(crate) fn id(&self, worker: u16, slot: u32) -> ConnectionId {
        ConnectionId { worker, slot, generation: self.generation }
    }

    /// Bytes written by the protocol and not yet taken by the kernel.
    pub(crate) fn pending_out(&self) -> usize {
        self.out.len() + self.sending as usize
    }

    pub(crate) fn has_socket(&self) -> bool {
        !matches!(self.phase, Phase::Free | Phase::Kept)
    }

    /// Whether what the protocol writes may still go out.
    pub(crate) fn takes_output(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Handshake)
    }

    /// Whether the driver should not receive. A closing connection reads on, to see the peer's
    /// end, and a handshake does not wait for the protocol.
    pub(crate) fn wants_pause(&self) -> bool {
        self.paused && self.phase == Phase::Open
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|session| session.is_handshaking())
    }
}
