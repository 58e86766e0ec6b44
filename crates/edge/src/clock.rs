//! The one place where the edge reads the clock.

use std::time::Instant;

/// The time. Workers read it once per turn and pass it on.
#[allow(clippy::disallowed_methods)] // Layers below take the time as a parameter; it starts here.
pub(crate) fn now() -> Instant {
    Instant::now()
}
