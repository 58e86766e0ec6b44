//! The way to a session's stream; the edge implements it.

use jackdaw_session::Address;
use jackdaw_stanza::{Delivery, Settle};

/// What the router tells a stream besides deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The inbound stanza of this number is durably accepted: `h` may pass it (XEP-0198 §4).
    Accepted(u32),
    /// The record of the session says this `h` now, or still.
    Recorded(u32),
    /// The delivery of this number need not be held any more ([`Settle::is_held`]).
    Write(u32),
    /// Say which number the delivery with this token has: its row is in the spool.
    Number(Settle),
    /// What its client acknowledged is durable: it may leave.
    Left,
    /// The answer that the stream's later stanzas waited for is out (RFC 6120 §10.1).
    Release,
    /// Everything that was handed to the stream before this has come to it: say to the router
    /// whether it takes more.
    Fence,
    /// Close the stream with this stream error condition (RFC 6120 §4.9.3).
    Close(&'static str),
}

/// Puts deliveries and commands into the queue of the worker that holds the stream.
///
/// Called from any thread. Never blocks. Deliveries and commands for one address keep their order.
pub trait Outbox: Send + Sync {
    /// Hands the delivery to the stream at this address; gives it back where the worker's queue is
    /// full. A stream that is gone by the time it arrives is reported to
    /// the router as undelivered.
    fn deliver(&self, to: Address, delivery: Delivery) -> Result<(), Box<Delivery>>;

    /// Tells the stream. Commands have room of their own: they are not refused.
    fn command(&self, to: Address, command: Command);
}
