//! Which session has which full JID, as pure machines: no I/O, no clock, no randomness.
//!
//! | machine | on the | does |
//! |---|---|---|
//! | [`Registry`] | owner | gives full JIDs to sockets, and takes them away |
//! | [`Binds`] | socket node | asks owners, tells them of ends, registers again |
//! | [`Mirror`] | owner | sends its backup what nobody else knows |
//! | [`Copies`] | backup | keeps it |
//! | [`Recovery`] | next owner | asks every node what is known of its shards |
//!
//! All share the node's [`Fence`]: the highest epoch seen of every shard, in whatever role.
//!
//! What has to hold (I4): of all sockets of a full JID, wherever they are, at most one is read or
//! written at any instant. It does because the owner names the next one only when the node of the
//! one before has said that it has stopped, or has ended, which it has not before its lease was
//! over; and because two owners of one shard have two epochs, of which every node believes the
//! higher. `tests/registry` plays it, and checks it exhaustively in the small.

mod binds;
mod copies;
mod fence;
mod ids;
mod message;
mod owner;
mod recovery;

pub use binds::{Binds, BindsEvent, Full, Held, Wanted};
pub use copies::{Change, Copies, Copy, Kept, Mirror, Version};
pub use fence::{Fence, Seen};
pub use ids::{Generation, Local, Nonce, Place, SessionName, Tenure};
pub use message::{Bind, Cause, Claim, Counters, End, Moved, Refusal, ToOwner, ToSocket};
pub use owner::{ConflictPolicy, How, Over, Registered, Registry, RegistryConfig, RegistryEvent};

pub use recovery::{Answer, Gap, Known, Recover, Recovered, Recovery, Snapshot};

use std::time::Duration;

/// After how long what is not answered is said again. A connection loses nothing by itself, so
/// this is for frames that came when a shard was on its way, or with a connection that was cut.
pub const RESEND: Duration = Duration::from_millis(500);

/// Attempts of one node that owners have not answered. As many clients log in during the seconds
/// of a fail-over, at the rate at which passwords can be checked.
pub const PENDING_MAX: usize = 16_384;

/// Ends of one node that owners have not confirmed. The oldest is forgotten at the bound: its owner
/// learns of it with the next delivery.
pub const ENDS_MAX: usize = 65_536;

/// Sessions of one shard. Hundreds of times its share of a million: a bound against whoever binds
/// without end, not against growth.
pub const SESSIONS_PER_SHARD_MAX: usize = 65_536;

/// Changes that are sent to a backup and not confirmed. Further ones wait, and many changes of one
/// session are one by then.
pub const MIRROR_WINDOW: usize = 256;
