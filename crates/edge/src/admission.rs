//! Who may come in: the caps that all workers share, and each worker's share of the accept rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::address::{Origin, Origins};
use crate::config::Limits;

/// How often a worker that had to stop accepting looks again.
pub(crate) const RETRY: Duration = Duration::from_millis(100);

/// Counted by all workers.
pub(crate) struct House {
    connections: AtomicUsize,
    connections_max: AtomicUsize,
    origins: Origins,
    /// Set for good by `stop_accepting`.
    pub(crate) shut: AtomicBool,
}

impl House {
    pub(crate) fn new(limits: &Limits) -> House {
        House {
            connections: AtomicUsize::new(0),
            connections_max: AtomicUsize::new(limits.connections_max),
            origins: Origins::new(limits.connections_per_address_max),
            shut: AtomicBool::new(false),
        }
    }

    /// Counts a socket in, unless there are too many.
    pub(crate) fn enter(&self, origin: Origin) -> Result<(), Refused> {
        // Workers share the last places without asking each other first.
        if self.connections.fetch_add(1, Ordering::Relaxed) >= self.max() {
            self.connections.fetch_sub(1, Ordering::Relaxed);
            return Err(Refused::Full);
        }
        if !self.origins.enter(origin) {
            self.connections.fetch_sub(1, Ordering::Relaxed);
            return Err(Refused::Address);
        }
        Ok(())
    }

    pub(crate) fn leave(&self, origin: Origin) {
        self.origins.leave(origin);
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts a socket for another origin: the client behind a proxy instead of the proxy.
    pub(crate) fn change(&self, from: Origin, to: Origin) -> bool {
        let admitted = self.origins.enter(to);
        if admitted {
            self.origins.leave(from);
        }
        admitted
    }

    fn places(&self) -> usize {
        self.max().saturating_sub(self.connections.load(Ordering::Relaxed))
    }

    /// Lowers the bound: there are not so many descriptors.
    pub(crate) fn shrink(&self, max: usize) {
        self.connections_max.fetch_min(max, Ordering::Relaxed);
    }

    /// Sockets there may be at once, all workers together.
    pub(crate) fn max(&self) -> usize {
        self.connections_max.load(Ordering::Relaxed)
    }
}

/// Why a socket was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The house is full.
    Full,
    /// Too many are in from its address.
    Address,
}

/// One worker's gate: decides once per turn whether it accepts.
pub(crate) struct Gate {
    pub(crate) house: Arc<House>,
    full: bool,
    /// Accepts that may still happen, topped up with time; at most a second's worth.
    tokens: f64,
    rate: f64,
    filled: Instant,
    /// Accepting failed for want of descriptors or memory: not before this.
    closed_until: Option<Instant>,
}

impl Gate {
    pub(crate) fn new(house: Arc<House>, limits: &Limits, workers: u16, now: Instant) -> Gate {
        let rate = f64::from(limits.accepts_per_second_max.max(1)) / f64::from(workers.max(1));
        Gate { house, full: false, tokens: rate.max(1.0), rate, filled: now, closed_until: None }
    }

    /// A socket was accepted.
    pub(crate) fn accepted(&mut self) {
        self.tokens -= 1.0;
    }

    /// The kernel would not accept; look again later instead of spinning.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.closed_until = Some(now + RETRY);
    }

    /// How many sockets to accept in the next turn. While it is none the worker asks again within
    /// [`RETRY`], unless the house is shut for good.
    pub(crate) fn places(&mut self, now: Instant) -> usize {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * self.rate).min(self.rate.max(1.0));
        self.filled = now;
        if self.is_shut() || self.closed_until.is_some_and(|until| now < until) {
            return 0;
        }
        self.closed_until = None;
        let places = self.house.places();
        // Once full, wait until some have left, so as not to go to and fro for each one.
        let enough = if self.full { self.house.max().div_ceil(100) } else { 1 };
        self.full = places < enough;
        if self.full { 0 } else { places.min(self.tokens as usize) }
    }

    pub(crate) fn is_shut(&self) -> bool {
        self.house.shut.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn gate(limits: &Limits, now: Instant) -> Gate {
        Gate::new(Arc::new(House::new(limits)), limits, 1, now)
    }

    #[test]
    fn the_rate_is_a_bucket_of_one_second() {
        let now = clock::now();
        let limits = Limits { accepts_per_second_max: 10, ..Limits::default() };
        let mut gate = gate(&limits, now);
        for _ in 0..10 {
            assert!(gate.places(now) > 0);
            gate.accepted();
        }
        assert_eq!(gate.places(now), 0);
        assert_eq!(gate.places(now + Duration::from_millis(50)), 0);
        assert_eq!(gate.places(now + Duration::from_millis(101)), 1);
    }

    #[test]
    fn a_full_house_opens_again_only_with_room_to_spare() {
        let now = clock::now();
        let limits = Limits { connections_max: 200, ..Limits::default() };
        let mut gate = gate(&limits, now);
        let origin = Origin::default();
        assert!((0..200).all(|_| gate.house.enter(origin).is_ok()));
        assert_eq!(gate.house.enter(origin), Err(Refused::Full));
        assert_eq!(gate.places(now), 0);
        gate.house.leave(origin);
        assert_eq!(gate.places(now), 0);
        gate.house.leave(origin);
        assert_eq!(gate.places(now), 2);
    }

    #[test]
    fn a_failed_accept_closes_the_gate_for_a_while() {
        let now = clock::now();
        let mut gate = gate(&Limits::default(), now);
        gate.failed(now);
        assert_eq!(gate.places(now), 0);
        assert!(gate.places(now + RETRY) > 0);
    }
}
