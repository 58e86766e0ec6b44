//! The sending end of one numbered sequence (go-back-n).

use std::collections::VecDeque;

use super::Violation;

/// Entries from the first that is not done, with the numbers they were given.
///
/// `floor ≤ received ≤ cursor ≤ end`: below `floor` all are done, below `received` the receiver has
/// them, below `cursor` they were sent.
#[derive(Debug)]
pub(crate) struct Outgoing<T> {
    floor: u64,
    received: u64,
    cursor: u64,
    /// `None` is done: its number is still counted, because an earlier one is open.
    entries: VecDeque<Option<T>>,
}

impl<T> Outgoing<T> {
    /// A sequence whose first entry gets this number.
    pub(crate) fn starting_at(number: u64) -> Outgoing<T> {
        Outgoing { floor: number, received: number, cursor: number, entries: VecDeque::new() }
    }

    /// The first number that is not done.
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// The number that the next entry gets.
    pub(crate) fn end(&self) -> u64 {
        self.floor + self.entries.len() as u64
    }

    /// The next number to be sent.
    pub(crate) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Whether everything is done.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether something waits to be sent.
    pub(crate) fn has_unsent(&self) -> bool {
        self.cursor < self.end()
    }

    /// Whether something was sent that the receiver is not known to have.
    pub(crate) fn has_unreceived(&self) -> bool {
        self.received < self.cursor
    }

    /// Appends an entry.
    pub(crate) fn push(&mut self, entry: T) -> u64 {
        self.entries.push_back(Some(entry));
        self.end() - 1
    }

    /// The entry at the cursor, which moves on: `None` at the end, `Some(None)` if it is done.
    pub(crate) fn advance(&mut self) -> Option<Option<&T>> {
        let at = self.index(self.cursor)?;
        self.cursor += 1;
        Some(self.entries[at].as_ref())
    }

    /// From the first unreceived entry again: the stream between was cut, or nothing was heard.
    pub(crate) fn rewind(&mut self) {
        self.cursor = self.received;
    }

    /// Another receiver. It may have been handed the state of the one before, so begin where that
    /// one was; if it was not, it says which number it misses.
    pub(crate) fn restart(&mut self) {
        self.cursor = self.received;
        self.received = self.floor;
    }

    /// The receiver has everything below `next`. Gives whether that was news.
    pub(crate) fn receipt(&mut self, next: u64) -> Result<bool, Violation> {
        if next > self.end() {
            return Err(Violation::Unsent);
        }
        let news = next > self.received;
        self.received = self.received.max(next);
        self.cursor = self.cursor.max(self.received);
        Ok(news)
    }

    /// The receiver misses `expected`. An answer older than the last receipt is nothing.
    pub(crate) fn missed(&mut self, expected: u64) -> Result<bool, Violation> {
        if expected > self.end() {
            return Err(Violation::Unsent);
        }
        if expected < self.received {
            return Ok(false);
        }
        self.received = expected;
        self.cursor = expected;
        Ok(true)
    }

    /// Done with an entry; it is given back unless it was done before.
    pub(crate) fn finish(&mut self, number: u64) -> Option<T> {
        let entry = self.index(number).and_then(|at| self.entries[at].take());
        while let Some(None) = self.entries.front() {
            self.entries.pop_front();
            self.floor += 1;
        }
        self.received = self.received.max(self.floor);
        self.cursor = self.cursor.max(self.received);
        entry
    }

    /// The entries that are not done, with their numbers.
    pub(crate) fn iter_open(&self) -> impl Iterator<Item = (u64, &T)> {
        let numbered = (self.floor..).zip(&self.entries);
        numbered.filter_map(|(number, entry)| Some((number, entry.as_ref()?)))
    }

    /// All entries that are not done, in order.
    pub(crate) fn into_open(self) -> impl Iterator<Item = T> {
        self.entries.into_iter().flatten()
    }

    fn index(&self, number: u64) -> Option<usize> {
        let at = usize::try_from(number.checked_sub(self.floor)?).ok()?;
        (at < self.entries.len()).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Outgoing<char> {
        let mut out = Outgoing::starting_at(1);
        for entry in ['a', 'b', 'c'] {
            out.push(entry);
        }
        out
    }

    fn drain(out: &mut Outgoing<char>) -> String {
        std::iter::from_fn(|| out.advance().map(|entry| entry.copied().unwrap_or('-'))).collect()
    }

    #[test]
    fn what_was_cut_off_is_sent_again_from_the_first_unreceived() {
        let mut out = three();
        assert_eq!(drain(&mut out), "abc");
        assert_eq!(out.receipt(2), Ok(true));
        out.rewind();
        assert_eq!(drain(&mut out), "bc");
    }

    #[test]
    fn an_entry_done_out_of_order_leaves_a_gap() {
        let mut out = three();
        assert_eq!(out.finish(2), Some('b'));
        assert_eq!(out.finish(2), None);
        assert_eq!((drain(&mut out).as_str(), out.floor()), ("a-c", 1));
        assert_eq!(out.finish(1), Some('a'));
        assert_eq!(out.floor(), 3);
    }

    #[test]
    fn a_new_receiver_may_know_less_than_the_old_one() {
        let mut out = three();
        drain(&mut out);
        assert_eq!(out.receipt(3), Ok(true));
        out.restart();
        assert_eq!(drain(&mut out), "c");
        assert_eq!(out.missed(1), Ok(true));
        assert_eq!(drain(&mut out), "abc");
    }

    #[test]
    fn answers_that_come_late_change_nothing() {
        let mut out = three();
        drain(&mut out);
        assert_eq!(out.receipt(4), Ok(true));
        assert_eq!(out.receipt(2), Ok(false));
        assert_eq!(out.missed(2), Ok(false));
        assert!(!out.has_unsent());
    }

    #[test]
    fn answers_to_what_was_not_sent_are_refused() {
        let mut out = three();
        assert_eq!(out.receipt(5), Err(Violation::Unsent));
        assert_eq!(out.missed(5), Err(Violation::Unsent));
        assert_eq!(out.finish(u64::MAX), None);
    }
}
