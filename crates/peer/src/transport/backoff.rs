//! When to dial again. Pure.

use std::time::Duration;

/// The first wait, at most: a process that is restarted is back in about this time.
const FIRST: Duration = Duration::from_millis(100);

/// The longest: a node that comes back is found by all others within it.
const LONGEST: Duration = Duration::from_secs(3);

/// How long a connection has to last before the next wait is a first one again. Without this, a
/// node that accepts and drops would be dialled in a loop.
pub(super) const STABLE: Duration = Duration::from_secs(5);

/// Doubling waits, each shortened at random by up to half, so that nodes that lost a peer together
/// do not come back together.
#[derive(Clone, Debug)]
pub struct Backoff {
    attempts: u32,
    state: u64,
}

impl Backoff {
    /// The seed makes the waits of this node differ from those of others.
    pub fn new(seed: u64) -> Backoff {
        Backoff { attempts: 0, state: seed }
    }

    /// How long to wait before the next attempt.
    pub fn failed(&mut self) -> Duration {
        let longest = FIRST.saturating_mul(1 << self.attempts.min(8)).min(LONGEST);
        self.attempts = self.attempts.saturating_add(1);
        longest - longest.mul_f64(self.fraction() / 2.0)
    }

    /// The last connection lasted so long.
    pub fn lasted(&mut self, time: Duration) {
        if time >= STABLE {
            self.attempts = 0;
        }
    }

    /// SplitMix64, below one.
    fn fraction(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) as f64 / u64::MAX as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_are_never_below_half() {
        let mut backoff = Backoff::new(1);
        for attempt in 0..40 {
            let longest = FIRST.saturating_mul(1 << attempt.min(8)).min(LONGEST);
            let wait = backoff.failed();
            assert!(longest / 2 <= wait && wait <= longest, "{attempt}: {wait:?}");
        }
    }

    #[test]
    fn nodes_with_other_seeds_wait_otherwise() {
        let waits = |seed| {
            std::iter::repeat_with({
                let mut backoff = Backoff::new(seed);
                move || backoff.failed()
            })
            .take(5)
            .collect::<Vec<_>>()
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
    }

    #[test]
    fn only_a_connection_that_lasted_makes_the_next_wait_short() {
        let mut backoff = Backoff::new(1);
        for _ in 0..10 {
            backoff.failed();
        }
        backoff.lasted(STABLE / 2);
        assert!(backoff.failed() > FIRST);
        backoff.lasted(STABLE);
        assert!(backoff.failed() <= FIRST);
    }
}
