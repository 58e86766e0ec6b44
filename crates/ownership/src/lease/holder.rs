//! Who has a lease.

use std::collections::VecDeque;

use crate::cluster::LeaseParameters;
use crate::time::{Boottime, Reading};

use super::RenewalNumber;

/// Requests that are remembered until they are acknowledged. More than a lease has renewals: what
/// was asked before them is worth nothing any more.
const ASKED_MAX: usize = 16;

/// The lease of one life of a node, as that life itself sees it.
///
/// Call [`Holder::handle_wakeup`] first after every wake-up of the loop that drives it, and ask
/// [`Holder::is_valid`] after every dequeuing and before each batch with an effect outside the
/// process. A lease that lapsed goes on when a renewal is acknowledged; one that was
/// [given back](Holder::give_back) does not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Holder {
    parameters: LeaseParameters,
    /// When the loop was awake last.
    awake: Reading,
    /// Requests without an answer, oldest first.
    asked: VecDeque<(RenewalNumber, Boottime)>,
    next: RenewalNumber,
    /// When the next request is due.
    due: Boottime,
    /// When the last request was sent that was acknowledged.
    since: Option<Boottime>,
    given_back: bool,
}

impl Holder {
    /// A life that has no lease yet, and asks for one at once.
    pub fn new(parameters: LeaseParameters, now: Reading) -> Holder {
        Holder {
            parameters,
            awake: now,
            asked: VecDeque::new(),
            next: RenewalNumber(0),
            due: now.boottime,
            since: None,
            given_back: false,
        }
    }

    /// The loop is awake. If it was away longer than the margin (SIGSTOP, a migration, a machine
    /// asleep), the lease stops, and only a request from now on gets it back: what the clock says
    /// of the time before cannot be trusted. A jump of the wall clock counts as well, because a
    /// guest that was paused may find its other clock where it left it. Returns whether it was
    /// away.
    pub fn handle_wakeup(&mut self, now: Reading) -> bool {
        let before = std::mem::replace(&mut self.awake, now);
        let away = now.boottime.since(before.boottime);
        let wall = now.wall.saturating_sub(before.wall);
        let margin = self.parameters.margin();
        let was_away = away > margin || wall > away + margin || now.boottime < before.boottime;
        if was_away {
            self.since = None;
            self.asked.clear();
            self.due = now.boottime;
        }
        was_away
    }

    /// The request to send now, if one is due. It counts as sent.
    pub fn poll_renewal(&mut self, now: Boottime) -> Option<RenewalNumber> {
        if now < self.due || self.given_back {
            return None;
        }
        let number = self.next;
        self.next = RenewalNumber(number.0 + 1);
        self.due = now + self.parameters.renewal;
        if self.asked.len() == ASKED_MAX {
            self.asked.pop_front();
        }
        self.asked.push_back((number, now));
        Some(number)
    }

    /// The leader has said yes. The lease counts from when the request was sent, so it does not
    /// matter how long the answer took.
    pub fn handle_acknowledged(&mut self, number: RenewalNumber) {
        let Some(place) = self.asked.iter().position(|(asked, _)| *asked == number) else { return };
        // Those before it are worth less than this one.
        if let Some((_, sent)) = self.asked.drain(..=place).next_back() {
            self.since = self.since.max(Some(sent));
        }
    }

    /// Never again: the node leaves, and has stopped to act for anybody.
    pub fn give_back(&mut self) {
        self.given_back = true;
    }

    /// Whether it may act.
    pub fn is_valid(&self, now: Boottime) -> bool {
        self.valid_until().is_some_and(|end| now < end)
    }

    /// When the lease stops, if no renewal is acknowledged before.
    pub fn valid_until(&self) -> Option<Boottime> {
        let since = self.since.filter(|_| !self.given_back)?;
        Some(since + self.parameters.held_for())
    }

    /// When to wake up at the latest: often enough to notice having been away.
    pub fn poll_timeout(&self) -> Boottime {
        let end = self.valid_until().filter(|end| *end > self.awake.boottime);
        let watch = self.awake.boottime + self.parameters.margin() / 2;
        let due = Some(self.due).filter(|_| !self.given_back);
        [end, due].into_iter().flatten().fold(watch, Boottime::min)
    }
}

#[cfg(test)]
#[path = "holder_test.rs"]
mod tests;
