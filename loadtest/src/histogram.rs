//! A histogram of times with the same relative error everywhere.

/// Sub-buckets of one power of two: 128 of them make the error less than 1 %.
const SUB_BITS: u32 = 7;

/// Buckets for every `u64`.
const BUCKETS: usize = ((64 - SUB_BITS as usize) + 1) << SUB_BITS;

/// Counts of values, as in an HDR histogram with two significant digits.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: vec![0; BUCKETS], total: 0, max: 0 }
    }
}

impl Histogram {
    /// Counts `value`. Allocates nothing.
    pub fn record(&mut self, value: u64) {
        self.counts[bucket(value)] += 1;
        self.total += 1;
        self.max = self.max.max(value);
    }

    /// The value that `share` (0 to 1) of all do not exceed; 0 without any.
    pub fn quantile(&self, share: f64) -> u64 {
        let rank = ((share * self.total as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return highest(bucket).min(self.max);
            }
        }
        self.max
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The largest.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.counts.fill(0);
        (self.total, self.max) = (0, 0);
    }
}

fn bucket(value: u64) -> usize {
    let power = (u64::BITS - (value >> SUB_BITS).leading_zeros()) as usize;
    match power {
        0 => value as usize,
        // The top bit is implied by the power.
        _ => (power << SUB_BITS) + ((value >> (power - 1)) as usize & ((1 << SUB_BITS) - 1)),
    }
}

fn highest(bucket: usize) -> u64 {
    let (power, sub) = (bucket >> SUB_BITS, (bucket & ((1 << SUB_BITS) - 1)) as u64);
    match power {
        0 => sub,
        // Wraps to the greatest value there is in the last bucket.
        _ => ((((1 << SUB_BITS) | sub) + 1) << (power - 1)).wrapping_sub(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_values_and_is_narrow() {
        for value in (0..1 << 20).chain([1 << 40, (1 << 40) + 12_345_678]) {
            let highest = highest(bucket(value));
            assert!(highest >= value, "{value}: {highest}");
            assert!(highest - value <= value >> SUB_BITS, "{value}: {highest}");
        }
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|value| histogram.record(value * 1000));
        for (share, value) in [(0.5, 500_000_u64), (0.99, 990_000), (1.0, 1_000_000)] {
            let got = histogram.quantile(share);
            assert!(got.abs_diff(value) * 100 <= value, "{share}: {got}");
        }
        assert_eq!(Histogram::default().quantile(0.5), 0);
    }
}
