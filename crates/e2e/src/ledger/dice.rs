//! Decisions that a seed repeats: SplitMix64, which needs no crate and no tuning.

use std::ops::Range;
use std::time::Duration;

/// A sequence of decisions.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The sequence of `seed` for the `nth` of those who decide; each has its own.
    pub fn new(seed: u64, nth: u64) -> Dice {
        let mut dice = Dice(seed ^ nth.wrapping_mul(0xd1b5_4a32_d192_ed03));
        dice.throw();
        dice
    }

    /// 64 bits.
    pub fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number out of `range`, which is not empty.
    pub fn among(&mut self, range: Range<u64>) -> u64 {
        range.start + self.throw() % (range.end - range.start)
    }

    /// True in `percent` of the cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.among(0..100) < percent
    }

    /// A duration of so many milliseconds.
    pub fn millis(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.among(range))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_decisions_and_others_decide_otherwise() {
        let throws = |seed, nth| {
            let mut dice = Dice::new(seed, nth);
            [0; 8].map(|_| dice.throw())
        };
        assert_eq!(throws(7, 1), throws(7, 1));
        assert_ne!(throws(7, 1), throws(7, 2));
        assert_ne!(throws(7, 1), throws(8, 1));
    }

    #[test]
    fn a_number_is_in_its_range() {
        let mut dice = Dice::new(1, 1);
        assert!((0..1_000).all(|_| (3..9).contains(&dice.among(3..9))));
        assert!(dice.percent(100) && !dice.percent(0));
    }
}
