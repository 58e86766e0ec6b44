//! Stream management (XEP-0198): the counters and the queue. No XML, no clock.
//!
//! Counters are modulo 2^32 (§4) and are compared by their distance, never by their size.

use super::ids::SmId;
use super::outgoing::Outgoing;
use jackdaw_stanza::Settle;
use std::collections::VecDeque;

/// Stanzas of a client that may wait to be accepted; with so many the stream is not read on. A
/// durable accept takes some milliseconds, so this is thousands of stanzas in a second.
const ACCEPT_WINDOW: u32 = u128::BITS;

/// Slots that an empty queue keeps: what comes in a quiet hour. More would be paid by every idle
/// session.
const QUEUE_SLOTS_KEPT: usize = 4;

/// The state of one session under stream management.
#[derive(Debug)]
pub(super) struct Sm {
    pub id: SmId,
    /// How long the session waits to be resumed; zero if it cannot be.
    pub resume_secs: u32,
    pub inbound: Inbound,
    pub outbound: Outbound,
}

impl Sm {
    pub fn new(id: SmId, resume_secs: u32) -> Sm {
        Sm { id, resume_secs, inbound: Inbound::default(), outbound: Outbound::default() }
    }

    pub fn is_resumable(&self) -> bool {
        self.resume_secs > 0
    }
}

/// What the client sent, and how much of it is accepted: `h` says no more (promise P1).
#[derive(Debug, Default)]
pub(super) struct Inbound {
    received: u32,
    handled: u32,
    /// Bit n: stanza `handled + 1 + n` is accepted, out of turn.
    early: u128,
    owed: Owed,
    /// The `h` the client was told last.
    told: u32,
}

/// What the client is to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Owed {
    #[default]
    Nothing,
    /// An answer once these are accepted: by the first of the requests that wait, and the last.
    Answer { first: u32, last: u32 },
    /// It was answered with less than it had sent; the rest, unasked, once this one is accepted.
    Rest { last: u32 },
}

impl Inbound {
    /// Counts a stanza; gives its number.
    pub fn receive(&mut self) -> u32 {
        self.received = self.received.wrapping_add(1);
        self.received
    }

    /// Notes that a stanza was accepted; says whether the client is to be told `h` now. Numbers
    /// that were not received, or were accepted before, change nothing.
    pub fn accept(&mut self, number: u32) -> bool {
        let position = number.wrapping_sub(self.handled).wrapping_sub(1);
        if position >= self.waiting() {
            return false;
        }
        self.early |= 1 << position;
        let run = self.early.trailing_ones();
        self.early = self.early.checked_shr(run).unwrap_or(0);
        self.handled = self.handled.wrapping_add(run);
        run > 0 && self.settle_debt()
    }

    /// Whether the stanzas up to this number are accepted.
    fn has_handled(&self, number: u32) -> bool {
        // What is received but not handled is at most a window ahead.
        number.wrapping_sub(self.handled).wrapping_sub(1) >= ACCEPT_WINDOW
    }

    fn settle_debt(&mut self) -> bool {
        let (Owed::Answer { first: due, last } | Owed::Rest { last: due @ last }) = self.owed
        else {
            return false;
        };
        if !self.has_handled(due) {
            return false;
        }
        self.owed =
            if self.has_handled(last) { Owed::Nothing } else { Owed::Answer { first: last, last } };
        true
    }

    /// The client asks; says whether it is to be told `h` now. Else an answer is owed.
    pub fn ask(&mut self) -> bool {
        let last = self.received;
        if self.has_handled(last) {
            self.owed = Owed::Nothing;
            return true;
        }
        self.owed = match self.owed {
            Owed::Answer { first, .. } => Owed::Answer { first, last },
            Owed::Nothing | Owed::Rest { .. } => Owed::Answer { first: last, last },
        };
        false
    }

    /// The client cannot wait longer: it is told `h` as it is, and the rest later.
    pub fn answer_now(&mut self) {
        if let Owed::Answer { last, .. } = self.owed {
            self.owed = Owed::Rest { last };
        }
    }

    /// Whether a request waits for its answer.
    pub fn owes_answer(&self) -> bool {
        matches!(self.owed, Owed::Answer { .. })
    }

    /// The highest number up to which every stanza is accepted.
    pub fn handled(&self) -> u32 {
        self.handled
    }

    /// The value of `h`, for the client.
    pub fn tell(&mut self) -> u32 {
        self.told = self.handled;
        self.handled
    }

    /// Whether more is accepted than the client knows.
    pub fn has_news(&self) -> bool {
        self.told != self.handled
    }

    /// How many stanzas are received and not known to be accepted in turn.
    fn waiting(&self) -> u32 {
        self.received.wrapping_sub(self.handled)
    }

    /// Whether everything received is accepted.
    pub fn is_caught_up(&self) -> bool {
        self.waiting() == 0
    }

    /// Whether no more can be received until something is accepted.
    pub fn is_full(&self) -> bool {
        self.waiting() >= ACCEPT_WINDOW
    }

    /// The session goes on elsewhere, and the client was told `h`: it sends again what follows, by
    /// the same numbers (§5).
    pub fn rewind(&mut self) {
        let handled = self.handled;
        *self = Inbound { received: handled, handled, told: handled, ..Inbound::default() };
    }
}

/// What the client was sent and has not acknowledged.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    acknowledged: u32,
    queue: VecDeque<Outgoing>,
    bytes: usize,
    /// How many stanzas had been sent when an acknowledgement was last requested.
    asked_at: u32,
    is_asking: bool,
}

/// The client acknowledged more than it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooHigh {
    pub h: u32,
    pub send_count: u32,
}

impl Outbound {
    /// How many stanzas were sent.
    pub fn sent(&self) -> u32 {
        // The queue is bounded far below 2^32.
        self.acknowledged.wrapping_add(self.queue.len() as u32)
    }

    pub fn stanzas(&self) -> usize {
        self.queue.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn push(&mut self, outgoing: Outgoing) {
        self.bytes += outgoing.len();
        self.queue.push_back(outgoing);
    }

    /// Whether `h` can be: not above what was sent, and not below what was acknowledged.
    pub fn check(&self, h: u32) -> Result<Acknowledged, TooHigh> {
        let news = h.wrapping_sub(self.acknowledged);
        if news as usize <= self.queue.len() {
            return Ok(Acknowledged::Next(news));
        }
        // Half of the numbers lie behind, half ahead.
        if news > u32::MAX / 2 {
            return Ok(Acknowledged::Before);
        }
        Err(TooHigh { h, send_count: self.sent() })
    }

    /// The client has handled `h` stanzas. Gives those that somebody waits for. An `h` that went
    /// back says nothing new.
    pub fn acknowledge(&mut self, h: u32, mut settled: impl FnMut(Settle)) -> Result<(), TooHigh> {
        let Acknowledged::Next(count) = self.check(h)? else { return Ok(()) };
        for outgoing in self.queue.drain(..count as usize) {
            self.bytes -= outgoing.len();
            if let Some(settle) = outgoing.settle {
                settled(settle);
            }
        }
        self.acknowledged = h;
        if self.queue.is_empty() {
            self.queue.shrink_to(QUEUE_SLOTS_KEPT);
        }
        if h.wrapping_sub(self.asked_at) <= u32::MAX / 2 {
            self.is_asking = false;
        }
        Ok(())
    }

    /// Whether to request an acknowledgement now: if one is missing and none is awaited, or when
    /// `every` stanzas went out since the last request. So a quiet session sees one request for
    /// each burst, and a busy one one for each round trip.
    pub fn should_ask(&mut self, every: u32) -> bool {
        if self.queue.is_empty() {
            return false;
        }
        let unasked = self.sent().wrapping_sub(self.asked_at);
        if self.is_asking && unasked < every {
            return false;
        }
        self.ask();
        true
    }

    /// Notes that an acknowledgement was requested.
    pub fn ask(&mut self) {
        self.is_asking = true;
        self.asked_at = self.sent();
    }

    /// Everything unacknowledged, in order.
    pub fn unacknowledged(&self) -> impl Iterator<Item = &Outgoing> {
        self.queue.iter()
    }

    /// Takes everything unacknowledged out, in order.
    pub fn take(&mut self) -> impl Iterator<Item = Outgoing> + use<> {
        self.bytes = 0;
        std::mem::take(&mut self.queue).into_iter()
    }
}

/// What an `h` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acknowledged {
    /// So many more stanzas, perhaps none.
    Next(u32),
    /// Fewer than before.
    Before,
}

#[cfg(test)]
impl Sm {
    /// Both counters so far on, to test how they wrap.
    pub fn at(id: SmId, received: u32, sent: u32) -> Sm {
        let inbound = Inbound { received, handled: received, told: received, ..Inbound::default() };
        let outbound = Outbound { acknowledged: sent, asked_at: sent, ..Outbound::default() };
        Sm { id, resume_secs: 600, inbound, outbound }
    }
}

#[cfg(test)]
#[path = "sm_test.rs"]
mod tests;
