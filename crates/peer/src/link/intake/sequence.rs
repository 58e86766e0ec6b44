//! One sequence of sends, at its receiver.

use std::collections::VecDeque;

use super::super::Violation;
use super::super::incoming::{Incoming, Take};
use super::super::ranges::{Ranges, check_rising};
use super::{IntakeEvent, LinkState};
use crate::frame::{Accepts, Control, Entry, LinkId, Range, Receipt, Sends, Tenure, Worker};

/// What the owner holds of one sequence without having accepted it. The sender's own bound is lower
/// by bytes; this one holds whatever the sender does. What is above is not taken, and comes again.
const UNACCEPTED_MAX: u64 = 512 * 1024;

/// Runs in one frame of accepts; what is left goes with the next.
const RANGES_MAX: usize = 1024;

/// The numbers of one sequence that matter still: from the sender's floor on.
#[derive(Debug)]
pub(super) struct Sequence {
    incoming: Incoming,
    floor: u64,
    accepted: Ranges,
    /// Accepted, and not told yet.
    untold: Ranges,
    /// All of `accepted` is to be told once more.
    tells_again: bool,
    /// The receipt to tell, and whether its number is missed.
    receipt: Option<bool>,
}

impl Sequence {
    /// Nothing was taken; the sender is done with what is below.
    pub(super) fn starting_at(next: u64) -> Sequence {
        Sequence {
            incoming: Incoming::starting_at(next),
            floor: next,
            accepted: Ranges::default(),
            untold: Ranges::default(),
            tells_again: false,
            receipt: None,
        }
    }

    /// As the owner before left it. Its sender begins where it believes this to be; it is told, so
    /// that it need not wait for a timeout.
    pub(super) fn handed(state: &LinkState) -> Result<Sequence, Violation> {
        check_rising(&state.accepted)?;
        let first = state.accepted.first().map_or(state.floor, |range| range.first);
        let end = state.accepted.last().map_or(state.next, |range| range.end());
        if state.floor > first || end > state.next || state.floor > state.next {
            return Err(Violation::Ranges);
        }
        let mut sequence = Sequence::starting_at(state.next);
        sequence.floor = state.floor;
        state.accepted.iter().for_each(|range| sequence.accepted.append(*range));
        sequence.tell_again();
        sequence.ask();
        Ok(sequence)
    }

    /// What is taken and not accepted.
    pub(super) fn unaccepted(&self) -> u64 {
        (self.incoming.next() - self.floor).saturating_sub(self.accepted.len())
    }

    /// Tells everything once more; something was lost, or there is a new connection.
    pub(super) fn tell_again(&mut self) {
        self.tells_again = true;
        self.receipt = self.receipt.or(Some(false));
    }

    /// Asks the sender to begin at the next number.
    pub(super) fn ask(&mut self) {
        self.receipt = Some(true);
    }

    /// Takes what is next of a run.
    pub(super) fn take(
        &mut self,
        link: LinkId,
        sends: Sends,
        events: &mut VecDeque<IntakeEvent>,
    ) -> Result<(), Violation> {
        self.raise_floor(sends.floor);
        if sends.entries.is_empty() {
            self.tell_again();
            if sends.first > self.incoming.next() {
                self.ask();
            }
        }
        let mut number = sends.first;
        for entry in sends.entries {
            let count = match &entry {
                Entry::Item(_) => 1,
                Entry::Gap(count) => *count,
            };
            if self.unaccepted() >= UNACCEPTED_MAX {
                break;
            }
            match self.incoming.take(number, count)? {
                Take::Missing { ask } => {
                    if ask {
                        self.ask();
                    }
                    break;
                }
                Take::From(skip) => {
                    self.receipt = Some(false);
                    match entry {
                        Entry::Item(item) if skip == 0 => {
                            let tenure = sends.tenure;
                            events.push_back(IntakeEvent::Taken { tenure, link, number, item });
                        }
                        Entry::Gap(_) if skip < count => {
                            // Nobody waits for these: as good as accepted.
                            let (first, count) = (number + skip, count - skip);
                            self.accepted.append(Range { first, count });
                        }
                        // It comes again, so its sender has not heard of the accept.
                        Entry::Item(_) | Entry::Gap(_) => self.tell_again(),
                    }
                }
            }
            number += count;
        }
        Ok(())
    }

    /// Accepts what was taken; false if that is nothing new.
    pub(super) fn accept(&mut self, number: u64) -> bool {
        let taken = number >= self.floor && number < self.incoming.next();
        let news = taken && self.accepted.insert(number);
        if news {
            self.untold.insert(number);
        }
        news
    }

    /// What is due, as frames; gives whether there is more.
    pub(super) fn tell(&mut self, tenure: Tenure, worker: Worker, out: &mut Vec<Control>) -> bool {
        if std::mem::take(&mut self.tells_again) {
            self.untold = self.accepted.clone();
        }
        if let Some(missed) = self.receipt.take() {
            let next = self.incoming.next();
            out.push(Control::Receipt(Receipt { tenure, worker, next, missed }));
        }
        let ranges = self.untold.take_runs(RANGES_MAX);
        if !ranges.is_empty() {
            out.push(Control::Accepts(Accepts { tenure, worker, ranges }));
        }
        !self.untold.is_empty()
    }

    /// As the next owner gets it.
    pub(super) fn into_state(self, link: LinkId) -> LinkState {
        LinkState {
            link,
            next: self.incoming.next(),
            floor: self.floor,
            accepted: self.accepted.iter().collect(),
        }
    }

    fn raise_floor(&mut self, floor: u64) {
        self.floor = self.floor.max(floor);
        self.incoming.raise(floor);
        self.accepted.forget_below(self.floor);
        self.untold.forget_below(self.floor);
    }
}
