//! What can be measured again and again: something that runs, and a load for it.

mod chat;

pub use chat::ChatProbe;

use crate::Result;
use std::time::Duration;

/// One side of a row. What it needs stays up between measurements, and rests.
pub trait Probe {
    /// Measures for about `duration`: a value for every metric of the row.
    fn measure(&mut self, duration: Duration) -> Result<Vec<f64>>;
}

/// Microseconds of `time` per one of `count`.
fn micros_each(time: Duration, count: u64) -> f64 {
    time.as_secs_f64() * 1e6 / count.max(1) as f64
}
