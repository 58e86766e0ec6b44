//! Random choices that a printed seed repeats.

/// SplitMix64 (Steele, Lea and Flood 2014): small, and good enough to choose where to cut.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// A sequence of its own for the part named `label` of the run with this seed.
    pub fn of(seed: u64, label: &str) -> Dice {
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Dice(label.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, mix))
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// In another order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_choices_and_another_does_not() {
        let roll = |mut dice: Dice| (0..8).map(|_| dice.below(1_000)).collect::<Vec<_>>();
        assert_eq!(roll(Dice::of(1, "a")), roll(Dice::of(1, "a")));
        assert_ne!(roll(Dice::of(1, "a")), roll(Dice::of(1, "b")));
        assert_ne!(roll(Dice::of(1, "a")), roll(Dice::of(2, "a")));
    }
}
