//! The link between nodes as pure machines: no I/O, no clock, no randomness.
//!
//! | machine | on the | does |
//! |---|---|---|
//! | [`Uplink`] | socket node, one per worker | keeps what is not durably accepted by its owner |
//! | [`Intake`] | owner | takes the next number of every sequence, tells receipts and accepts |
//! | [`Downlink`] | owner | numbers deliveries per session, keeps them until they are received |
//! | [`Arrivals`] | socket node | takes the next delivery of every session |
//!
//! All share the node's [`Fence`]: the highest epoch seen of every shard, in whatever role.
//!
//! Methods come in three kinds. `handle_*` and the verbs change a machine; after them, drain the
//! `poll_*` methods until they are empty. Getters are free. Whatever the network loses, repeats,
//! reorders or cuts, an entry is taken once and in order, or is still unaccepted at its sender:
//! `tests/links` plays it.

mod arrivals;
mod downlink;
mod fence;
mod incoming;
mod intake;
mod outgoing;
mod ranges;
mod session;
mod uplink;

pub use arrivals::{Arrival, Arrivals};
pub use downlink::{DeliveryState, Downlink, DownlinkEvent};
pub use fence::{Fence, Seen};
pub use intake::{Intake, IntakeEvent, LinkState};
pub use session::Local;
pub use uplink::{Full, Uplink, UplinkConfig, UplinkEvent};

use std::time::Duration;

/// What one worker keeps of one session's stanzas. Enough for a burst; a client that is that far
/// ahead of the owners is not read until they have caught up.
pub const SESSION_BYTES_MAX: usize = 256 * 1024;

/// What one worker keeps for one shard. A second of traffic of a very busy shard; reached only when
/// its owner is away, and then whoever writes to that shard is not read.
pub const SHARD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What an entry costs besides its payload: the entry itself, its place in its session, and its
/// head on the wire. Without it, empty entries would be free.
pub(crate) const ENTRY_BYTES: usize = 160;

/// After how long without progress what is not received is sent again. A connection loses nothing
/// by itself, so this is for frames that were refused: an owner that was not ready yet, or a moved
/// shard. Far above a round trip, so that load alone never causes it.
pub const RESEND: Duration = Duration::from_millis(500);

/// The longest wait between two attempts: each costs the owner work that it may have no time for.
pub const RESEND_MAX: Duration = Duration::from_secs(4);

/// When to try again after so many attempts in vain.
pub(crate) fn backoff(attempts: u32) -> Duration {
    RESEND.saturating_mul(1 << attempts.min(8)).min(RESEND_MAX)
}

/// What a peer did that no peer of a right mind does. Its connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A receipt or an accept for what was never sent.
    #[error("answers a number that was not sent")]
    Unsent,
    /// Numbers that do not rise, or overlap.
    #[error("ranges do not rise")]
    Ranges,
    /// Numbers beyond what 64 bits hold.
    #[error("numbers overflow")]
    Overflow,
}
