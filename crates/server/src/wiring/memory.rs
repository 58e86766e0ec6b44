//! Turns newcomers away before the kernel ends the process for its memory.

use std::sync::Weak;
use std::time::Duration;

use jackdaw_edge::c2s::C2sShared;
use jackdaw_edge::heap_bytes;

/// How often memory is looked at: what clients can bring in that time on a fast network is some
/// megabytes, which the bound has to leave free anyway.
const EVERY: Duration = Duration::from_millis(50);

/// Newcomers are let in again when less than this part of the bound is in use.
const AGAIN_PERCENT: u64 = 95;

/// Looks at the memory in use for as long as there are streams. Nothing to do without a bound.
pub(super) async fn watch(mib_max: u32, shared: Weak<C2sShared>) {
    if mib_max == 0 {
        return;
    }
    let bound = u64::from(mib_max) << 20;
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        ticks.tick().await;
        let Some(shared) = shared.upgrade() else { return };
        let in_use = heap_bytes();
        let was_short = shared.is_short_of_memory();
        let is_short = decide(was_short, in_use, bound);
        if is_short != was_short {
            shared.set_short_of_memory(is_short);
            let state = if is_short { "refused" } else { "let in again" };
            tracing::warn!(bytes = in_use, "new sessions are {state}: limits.memory_mib_max");
        }
    }
}

/// Whether newcomers are refused. Once they are, some room has to come first, so as not to go to
/// and fro for each one.
fn decide(was_short: bool, in_use: u64, bound: u64) -> bool {
    let again = bound / 100 * AGAIN_PERCENT;
    in_use > if was_short { again } else { bound }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newcomers_wait_until_there_is_some_room_again() {
        assert!(!decide(false, 1_000, 1_000));
        assert!(decide(false, 1_001, 1_000));
        assert!(decide(true, 960, 1_000));
        assert!(!decide(true, 950, 1_000));
    }
}
