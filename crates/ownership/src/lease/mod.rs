//! Leases: for how long a node may act for what the map says is its own.
//!
//! There is one per life of a node, not one per shard. The [`Holder`] has it, the [`Keeper`] (the
//! leader of the cluster) renews it, and neither ever takes the other's clock for its own: the
//! holder stops L(1−ρ) after it *asked*, the keeper has it ended L(1+ρ) after it *answered*.

mod holder;
mod keeper;
mod pairs;

pub use holder::Holder;
pub use keeper::{Keeper, RoundNumber};

use crate::ids::Incarnation;

/// Names a renewal among those of one life; rising.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RenewalNumber(pub u64);

/// A holder asks the leader for its lease to go on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Renewal {
    /// Whose lease.
    pub incarnation: Incarnation,
    /// Which request.
    pub number: RenewalNumber,
    /// Living nodes to which it has had no working link for [`UNREACHABLE_AFTER`].
    ///
    /// [`UNREACHABLE_AFTER`]: crate::UNREACHABLE_AFTER
    pub unreachable: Vec<Incarnation>,
}

/// The leader's yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Acknowledgement {
    /// Whose lease.
    pub incarnation: Incarnation,
    /// Which request.
    pub number: RenewalNumber,
}

/// How long a link has to be down before a renewal tells of it: longer than a reconnection takes.
pub const UNREACHABLE_AFTER: std::time::Duration = std::time::Duration::from_secs(2);
