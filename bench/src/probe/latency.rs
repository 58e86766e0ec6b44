//! Latency at a given rate, in an open loop.

use std::time::Duration;

use jackdaw_loadtest::Engine;
use jackdaw_loadtest::behaviour::Paced;

use super::Probe;
use super::load::Running;
use crate::Result;

/// Messages per second, all pairs together.
const RATE: u32 = 5_000;

/// Pairs that chat at a rate, and the process between them.
pub struct Latency<P> {
    engine: Engine,
    paced: Paced,
    _process: P,
}

impl<P> Latency<P> {
    /// The pairs of a chat.
    pub fn of(chat: Running<jackdaw_loadtest::behaviour::Chat, P>) -> Latency<P> {
        let (engine, chat, process) = chat.into_parts();
        Latency { engine, paced: Paced::new(chat, RATE), _process: process }
    }
}

impl<P> Probe for Latency<P> {
    /// p50, p99 and the longest, in microseconds.
    fn measure(&mut self, duration: Duration) -> Result<Vec<f64>> {
        let latencies = self.paced.run(&mut self.engine, duration)?;
        let micros = |share| latencies.quantile(share) as f64 / 1e3;
        Ok(vec![micros(0.5), micros(0.99), latencies.max() as f64 / 1e3])
    }
}
