//! Time as leases count it.

use std::ops::Add;
use std::time::Duration;

/// A reading of `CLOCK_BOOTTIME`, which goes on while the machine sleeps. Readings of two machines
/// do not compare; only their rates do, within [`LeaseParameters::drift_percent`].
///
/// [`LeaseParameters::drift_percent`]: crate::LeaseParameters::drift_percent
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Boottime(pub Duration);

impl Boottime {
    /// How long ago `earlier` was; nothing if it was not.
    pub fn since(self, earlier: Boottime) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Boottime {
    type Output = Boottime;

    fn add(self, duration: Duration) -> Boottime {
        Boottime(self.0.saturating_add(duration))
    }
}

/// Both clocks of a machine, read one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reading {
    /// What leases are counted by.
    pub boottime: Boottime,
    /// Since 1970. No order of events depends on it: a jump of it tells of a time away that the
    /// other clock may not have counted.
    pub wall: Duration,
}
