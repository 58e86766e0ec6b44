//! Rates.

use std::time::Instant;

/// A token bucket: `rate` tokens a second, `capacity` of them saved at most.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    tokens: f64,
    rate: f64,
    capacity: f64,
    filled_at: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub fn new(rate: f64, capacity: f64, now: Instant) -> TokenBucket {
        TokenBucket { tokens: capacity, rate, capacity, filled_at: now }
    }

    /// Takes `n` tokens if there are as many.
    pub fn take(&mut self, n: f64, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = now;
        self.tokens = (self.tokens + elapsed * self.rate).min(self.capacity);
        let enough = self.tokens >= n;
        if enough {
            self.tokens -= n;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a starting point; only differences count")]
    fn a_bucket_gives_its_rate_and_no_more_than_its_capacity_at_once() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(10.0, 5.0, start);
        let burst = (0..10).filter(|_| bucket.take(1.0, start)).count();
        assert_eq!(burst, 5);
        let later = start + Duration::from_millis(200);
        assert!(bucket.take(2.0, later));
        assert!(!bucket.take(1.0, later));
        let much_later = start + Duration::from_secs(3600);
        assert!(!bucket.take(6.0, much_later));
        assert!(bucket.take(5.0, much_later));
    }
}
