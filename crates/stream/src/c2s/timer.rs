//! The table of what is due when.

use std::time::{Duration, Instant};

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

/// How far apart the timers of one stream may be: 49 days. The longest is a day, so that one which
/// would be later never is; it would fire at this distance.
const REACH_MILLIS: u32 = u32::MAX - 1;

/// At most one due time for each timer. There is one table for every idle client, and four
/// [`Instant`]s would be twice as large.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// Nothing is due before it.
    origin: Option<Instant>,
    /// Milliseconds after `origin`, rounded up so that nothing fires early, and one more; 0: not
    /// set.
    due: [u32; Timer::ALL.len()],
}

const _: () = assert!(size_of::<Timers>() <= 32);

impl Timers {
    pub fn set(&mut self, timer: Timer, at: Instant) {
        self.stop(timer);
        // The earliest of those that are set: so the distances stay small, however old the stream.
        let origin = self.next().map_or(at, |next| next.min(at));
        let others = Timer::ALL.map(|other| self.due_at(other));
        self.origin = Some(origin);
        for (other, due) in Timer::ALL.into_iter().zip(others) {
            self.due[other as usize] = due.map_or(0, |due| distance(origin, due));
        }
        self.due[timer as usize] = distance(origin, at);
    }

    fn due_at(&self, timer: Timer) -> Option<Instant> {
        let millis = self.due[timer as usize].checked_sub(1)?;
        Some(self.origin? + Duration::from_millis(millis.into()))
    }

    pub fn stop(&mut self, timer: Timer) {
        self.due[timer as usize] = 0;
    }

    pub fn stop_all(&mut self) {
        *self = Timers::default();
    }

    pub fn is_set(&self, timer: Timer) -> bool {
        self.due[timer as usize] != 0
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<Instant> {
        let first = self.due.into_iter().filter(|due| *due != 0).min()?;
        Some(self.origin? + Duration::from_millis((first - 1).into()))
    }

    /// Takes one that is due out of the table.
    pub fn expire(&mut self, now: Instant) -> Option<Timer> {
        let is_due = |timer: &Timer| self.due_at(*timer).is_some_and(|at| at <= now);
        let timer = Timer::ALL.into_iter().find(is_due)?;
        self.stop(timer);
        Some(timer)
    }
}

/// As the table has it. A timer that is moved again and again grows later by less than a
/// millisecond each time its origin changes, which none does more than a few times.
fn distance(origin: Instant, at: Instant) -> u32 {
    let micros = at.saturating_duration_since(origin).as_micros();
    u32::try_from(micros.div_ceil(1000)).unwrap_or(REACH_MILLIS).min(REACH_MILLIS) + 1
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
    fn timers_keep_their_times_whichever_is_set_first() {
        let start = start();
        let day = Duration::from_secs(24 * 3600);
        let mut timers = Timers::default();
        timers.set(Timer::Resumption, start + day);
        timers.set(Timer::Silence, start + Duration::from_millis(1500));
        timers.set(Timer::Phase, start + Duration::from_secs(1));
        for (due, timer) in [
            (Duration::from_secs(1), Timer::Phase),
            (Duration::from_millis(1500), Timer::Silence),
            (day, Timer::Resumption),
        ] {
            assert_eq!(timers.next(), Some(start + due));
            assert_eq!(timers.expire(start + due - Duration::from_nanos(1)), None);
            assert_eq!(timers.expire(start + due), Some(timer));
        }
    }

    #[test]
    fn a_timer_of_an_old_stream_is_as_exact_as_of_a_new_one() {
        let start = start();
        let mut timers = Timers::default();
        for days in 0..200 {
            let at = start + Duration::from_secs(days * 24 * 3600);
            timers.set(Timer::Silence, at);
            assert_eq!(timers.next(), Some(at));
        }
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
