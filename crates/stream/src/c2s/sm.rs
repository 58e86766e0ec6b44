//! Stream management (XEP-0198): the counters and the queue. No XML, no clock.
//!
//! Counters are modulo 2^32 (§4) and are compared by their distance, never by their size.

use super::ids::SmId;
use super::outgoing::Outgoing;
use jackdaw_faults::{Bug, has};
use jackdaw_stanza::Settle;
use std::collections::VecDeque;

/// Stanzas of a client that may wait to be accepted; with so many the stream is not read on. A
/// durable accept takes some milliseconds, so this is thousands of stanzas in a second.
const ACCEPT_WINDOW: u32 = u128::BITS;

/// Slots that an empty queue keeps: what comes in a quiet hour. More would be paid by every idle
/// session.
const QUEUE_SLOTS_KEPT: usize = 4;

/// Accepted stanzas after which the record of a session is brought up to date although the client
/// did not ask: what it does not say, a client that resumes after a crash sends again.
const RECORD_EVERY: u32 = 32;

/// Whether `h` waits for a record of the session, which outlives the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Record {
    /// There is none.
    #[default]
    None,
    /// It says what `h` says.
    Idle,
    /// It is being brought up to date.
    Writing,
    /// The client leaves, and what it acknowledged is being made durable.
    Leaving,
}

/// The state of one session under stream management.
#[derive(Debug)]
pub(super) struct Sm {
    pub id: SmId,
    /// How long the session waits to be resumed; zero if it cannot be.
    pub resume_secs: u32,
    /// It comes from its record, and its presence is not known to anybody yet.
    pub is_restored: bool,
    pub inbound: Inbound,
    pub outbound: Outbound,
}

impl Sm {
    pub fn new(id: SmId, resume_secs: u32, record: Record) -> Sm {
        let inbound = Inbound { record, ..Inbound::default() };
        Sm { id, resume_secs, is_restored: false, inbound, outbound: Outbound::default() }
    }

    /// A session as its record has it: the client has handled `acknowledged` stanzas, and the queue
    /// is what follows.
    pub fn restored(
        id: SmId,
        resume_secs: u32,
        handled: u32,
        acknowledged: u32,
        queue: VecDeque<Outgoing>,
    ) -> Sm {
        let inbound = Inbound {
            received: handled,
            accepted: handled,
            handled,
            told: handled,
            record: Record::Idle,
            ..Inbound::default()
        };
        let bytes = queue.iter().map(Outgoing::len).sum();
        let outbound =
            Outbound { acknowledged, asked_at: acknowledged, queue, bytes, ..Outbound::default() };
        Sm { id, resume_secs, is_restored: true, inbound, outbound }
    }

    pub fn is_resumable(&self) -> bool {
        self.resume_secs > 0
    }
}

/// What the client sent, and how much of it is accepted: `h` says no more (promise P1).
///
/// With a record there is a third height between the two: `h` says only what the record says, so
/// that the client hears the same `h` when it resumes after a crash.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    received: u32,
    /// Up to where every stanza is accepted.
    accepted: u32,
    /// Bit n: stanza `accepted + 1 + n` is accepted, out of turn.
    early: u128,
    handled: u32,
    record: Record,
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

/// What follows from a change of the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the client waits for it"]
pub(super) enum Step {
    Nothing,
    /// The client is to be told `h` now.
    Tell,
    /// The record is to say this, then comes [`Inbound::recorded`].
    Record(u32),
}

impl Inbound {
    /// Counts a stanza; gives its number.
    pub fn receive(&mut self) -> u32 {
        self.received = self.received.wrapping_add(1);
        self.received
    }

    /// Notes that a stanza was accepted. Numbers that were not received, or were accepted before,
    /// change nothing.
    pub fn accept(&mut self, number: u32) -> Step {
        let position = number.wrapping_sub(self.accepted).wrapping_sub(1);
        if position >= self.waiting() {
            return Step::Nothing;
        }
        self.early |= 1 << position;
        let run = self.early.trailing_ones();
        self.early = self.early.checked_shr(run).unwrap_or(0);
        self.accepted = self.accepted.wrapping_add(run);
        if run == 0 {
            return Step::Nothing;
        }
        if self.record != Record::None {
            return self.want_record();
        }
        self.handled = self.accepted;
        self.tell_if_due()
    }

    /// The record says `h` now; or, where it is not higher than before, could not be written.
    pub fn recorded(&mut self, h: u32) -> Step {
        if self.record == Record::Writing {
            self.record = Record::Idle;
        }
        let news = h.wrapping_sub(self.handled);
        if news == 0 || news > self.accepted.wrapping_sub(self.handled) {
            return Step::Nothing;
        }
        self.handled = h;
        match self.tell_if_due() {
            Step::Nothing => self.want_record(),
            step => step,
        }
    }

    /// Asks for the record to be written if somebody waits for that, or it lies far behind.
    fn want_record(&mut self) -> Step {
        let behind = self.accepted.wrapping_sub(self.handled);
        let is_awaited = self.due().is_some_and(|due| is_up_to(due, self.accepted));
        if self.record != Record::Idle || behind == 0 || !(is_awaited || behind >= RECORD_EVERY) {
            return Step::Nothing;
        }
        self.record = Record::Writing;
        Step::Record(self.accepted)
    }

    fn due(&self) -> Option<u32> {
        match self.owed {
            Owed::Nothing => None,
            Owed::Answer { first: due, .. } | Owed::Rest { last: due } => Some(due),
        }
    }

    fn tell_if_due(&mut self) -> Step {
        let (Owed::Answer { first: due, last } | Owed::Rest { last: due @ last }) = self.owed
        else {
            return Step::Nothing;
        };
        if !is_up_to(due, self.handled) {
            return Step::Nothing;
        }
        self.owed = match is_up_to(last, self.handled) {
            true => Owed::Nothing,
            false => Owed::Answer { first: last, last },
        };
        Step::Tell
    }

    /// The client asks: it is to be told `h` now, or an answer is owed.
    pub fn ask(&mut self) -> Step {
        let last = self.received;
        if is_up_to(last, self.handled) {
            self.owed = Owed::Nothing;
            return Step::Tell;
        }
        self.owed = match self.owed {
            Owed::Answer { first, .. } => Owed::Answer { first, last },
            Owed::Nothing | Owed::Rest { .. } => Owed::Answer { first: last, last },
        };
        self.want_record()
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

    /// The highest number that `h` may say.
    pub fn handled(&self) -> u32 {
        self.handled
    }

    /// Up to where every stanza is accepted, also if `h` may not say so yet.
    pub fn accepted(&self) -> u32 {
        self.accepted
    }

    /// Whether there is a record of the session.
    pub fn is_on_record(&self) -> bool {
        self.record != Record::None
    }

    /// The session ends: nobody will resume it, and `h` need not wait for a record.
    pub fn conclude(&mut self) {
        self.handled = self.accepted;
    }

    /// The value of `h`, for the client.
    pub fn tell(&mut self) -> u32 {
        if has(Bug::HandledTooFar) {
            self.handled = self.received;
        }
        self.told = self.handled;
        self.handled
    }

    /// Whether more is accepted than the client knows.
    pub fn has_news(&self) -> bool {
        self.told != self.handled
    }

    /// How many stanzas are received and not known to be accepted in turn.
    fn waiting(&self) -> u32 {
        self.received.wrapping_sub(self.accepted)
    }

    /// Whether everything received is accepted.
    pub fn is_accepted(&self) -> bool {
        self.waiting() == 0
    }

    /// The client leaves. Says whether what it acknowledged is to be durable before it is told so:
    /// were it sent that again after a crash, it would be for another session.
    pub fn leave(&mut self) -> bool {
        if self.is_on_record() {
            self.record = Record::Leaving;
        }
        self.is_on_record()
    }

    /// What a client that leaves has acknowledged is durable.
    pub fn left(&mut self) {
        if self.record == Record::Leaving {
            self.record = Record::Idle;
        }
    }

    /// Whether a client that leaves may be told so.
    pub fn may_leave(&self) -> bool {
        self.is_accepted() && self.record != Record::Leaving
    }

    /// Whether `h` may cover everything received.
    pub fn is_caught_up(&self) -> bool {
        self.received == self.handled
    }

    /// Whether no more can be received until something is accepted.
    pub fn is_full(&self) -> bool {
        self.waiting() >= ACCEPT_WINDOW
    }

    /// The session goes on elsewhere, and the client was told `h`: it sends again what follows, by
    /// the same numbers (§5).
    pub fn rewind(&mut self) {
        let handled = self.handled;
        let record = match self.record {
            Record::None => Record::None,
            Record::Idle | Record::Writing | Record::Leaving => Record::Idle,
        };
        *self = Inbound {
            received: handled,
            accepted: handled,
            handled,
            told: handled,
            record,
            ..Inbound::default()
        };
    }
}

/// Whether a number is not above that height; half of all numbers lie behind, half ahead.
fn is_up_to(number: u32, height: u32) -> bool {
    height.wrapping_sub(number) <= u32::MAX / 2
}

/// What the client was sent and has not acknowledged.
///
/// A stanza has its number from the moment at which it enters the queue. It is written at once
/// unless it, or one before it, is held ([`Settle::is_held`]).
#[derive(Debug, Default)]
pub(super) struct Outbound {
    acknowledged: u32,
    queue: VecDeque<Outgoing>,
    /// How many of the queue, from its front, were written to the client.
    written: u32,
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
        self.acknowledged.wrapping_add(self.written)
    }

    /// How many stanzas the client has acknowledged.
    pub fn acknowledged(&self) -> u32 {
        self.acknowledged
    }

    pub fn stanzas(&self) -> usize {
        self.queue.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a stanza that comes now is written now.
    pub fn is_open(&self, settle: Option<Settle>) -> bool {
        self.written as usize == self.queue.len() && !settle.is_some_and(Settle::is_held)
    }

    /// Adds a stanza that was written.
    pub fn push_written(&mut self, outgoing: Outgoing) {
        self.push(outgoing);
        self.written += 1;
    }

    /// Adds a stanza that waits; gives its number.
    pub fn push(&mut self, outgoing: Outgoing) -> u32 {
        self.bytes += outgoing.len();
        self.queue.push_back(outgoing);
        // The queue is bounded far below 2^32.
        self.acknowledged.wrapping_add(self.queue.len() as u32)
    }

    /// The stanza of this number need not be held any more. One that is acknowledged already
    /// changes nothing.
    pub fn release(&mut self, number: u32) {
        let position = number.wrapping_sub(self.acknowledged).wrapping_sub(1);
        if let Some(outgoing) = self.queue.get_mut(position as usize) {
            outgoing.settle = outgoing.settle.map(Settle::released);
        }
    }

    /// The number of the delivery that carries this token.
    pub fn number_of(&self, settle: Settle) -> Option<u32> {
        let is_it = |outgoing: &Outgoing| outgoing.settle.map(Settle::released) == Some(settle);
        let position = self.queue.iter().position(is_it)?;
        Some(self.acknowledged.wrapping_add(position as u32 + 1))
    }

    /// Writes what is not written yet, up to one that is held.
    pub fn write_on(&mut self, out: &mut Vec<u8>) {
        while let Some(next) = self.queue.get(self.written as usize).filter(|next| !next.is_held())
        {
            next.write_to(out);
            self.written += 1;
        }
    }

    /// The client is on another stream, and has nothing of what it did not acknowledge.
    pub fn rewind(&mut self) {
        self.written = 0;
    }

    /// Whether `h` can be: not above what was sent, and not below what was acknowledged.
    pub fn check(&self, h: u32) -> Result<Acknowledged, TooHigh> {
        let news = h.wrapping_sub(self.acknowledged);
        if news <= self.written {
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
        self.written -= count;
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
        if self.written == 0 {
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

    /// Takes everything unacknowledged out, in order.
    pub fn take(&mut self) -> impl Iterator<Item = Outgoing> + use<> {
        self.bytes = 0;
        self.written = 0;
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
        let inbound = Inbound {
            received,
            accepted: received,
            handled: received,
            told: received,
            ..Inbound::default()
        };
        let outbound = Outbound { acknowledged: sent, asked_at: sent, ..Outbound::default() };
        Sm { id, resume_secs: 600, is_restored: false, inbound, outbound }
    }
}

#[cfg(test)]
#[path = "sm_test.rs"]
mod tests;
