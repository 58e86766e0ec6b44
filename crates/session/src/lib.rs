//! The session table: which resources of which account are bound, and where their sockets are.
//!
//! Sharded by bare JID. Callers get clones of [`Session`] and [`Account`] handles, never a guard
//! into the map, so no lock is held across a call. What extensions know about a session or an
//! account for as long as it is bound lives in typed [`Slots`].
//!
//! Does not: deliver, store or decide. Selection of resources is the router's.
#![forbid(unsafe_code)]

mod account;
mod address;
mod session;
mod slots;
mod table;

pub use account::Account;
pub use address::Address;
pub use session::{Availability, Session, SessionId};
pub use slots::Slots;
pub use table::{Bound, Conflict, ConflictPolicy, Found, Sessions};
