//! The table of what is due when.

use std::time::Instant;

/// What may be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// When to give up a client that has not got to the next phase of negotiation.
    Phase,
    /// When to look whether the peer was silent: to probe it, or to call it dead (RFC 6120 §4.6).
    Silence,
    /// When to answer a request for acknowledgement, or a resumption, with what is accepted by
    /// then (XEP-0198 §4).
    Answer,
    /// When to end a session that was not resumed (XEP-0198 §5).
    Resumption,
}

impl Timer {
    const ALL: [Timer; 4] = [Timer::Phase, Timer::Silence, Timer::Answer, Timer::Resumption];
}

/// At most one due time for each timer.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: [Option<Instant>; Timer::ALL.len()],
}

impl Timers {
    pub fn set(&mut self, timer: Timer, at: Instant) {
        self.due[timer as usize] = Some(at);
    }

    pub fn stop(&mut self, timer: Timer) {
        self.due[timer as usize] = None;
    }

    pub fn stop_all(&mut self) {
        *self = Timers::default();
    }

    pub fn is_set(&self, timer: Timer) -> bool {
        self.due[timer as usize].is_some()
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<Instant> {
        self.due.iter().flatten().min().copied()
    }

    /// Takes one that is due out of the table.
    pub fn expire(&mut self, now: Instant) -> Option<Timer> {
        let is_due = |timer: &Timer| self.due[*timer as usize].is_some_and(|at| at <= now);
        let timer = Timer::ALL.into_iter().find(is_due)?;
        self.stop(timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[expect(clippy::disallowed_methods, reason = "an `Instant` has no other origin")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn each_timer_expires_once_when_it_is_due() {
        let start = start();
        let mut timers = Timers::default();
        timers.set(Timer::Silence, start + Duration::from_secs(2));
        timers.set(Timer::Phase, start + Duration::from_secs(1));
        assert_eq!(timers.next(), Some(start + Duration::from_secs(1)));
        assert_eq!(timers.expire(start), None);
        assert_eq!(timers.expire(start + Duration::from_secs(3)), Some(Timer::Phase));
        assert_eq!(timers.expire(start + Duration::from_secs(3)), Some(Timer::Silence));
        assert_eq!(timers.expire(start + Duration::from_secs(3)), None);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_timer_that_is_set_again_moves() {
        let start = start();
        let mut timers = Timers::default();
        timers.set(Timer::Answer, start);
        timers.set(Timer::Answer, start + Duration::from_secs(1));
        assert_eq!(timers.expire(start), None);
        timers.stop(Timer::Answer);
        assert_eq!(timers.next(), None);
    }
}
