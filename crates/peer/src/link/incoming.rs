//! The receiving end of one numbered sequence: only the next number is taken.

use super::Violation;

/// Which number comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Incoming {
    next: u64,
    /// `next` was asked for already; ask once per gap, or everything under way behind the gap would
    /// make the sender start again.
    asked: bool,
}

/// What to do with a run of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// Leave so many numbers out, they are here already, and take the others.
    From(u64),
    /// Take nothing: earlier ones are missing. Ask for them if told so.
    Missing {
        /// For the first time since the last progress.
        ask: bool,
    },
}

impl Incoming {
    /// Nothing below `next` is missing.
    pub(crate) fn starting_at(next: u64) -> Incoming {
        Incoming { next, asked: false }
    }

    /// The number that would be taken.
    pub(crate) fn next(self) -> u64 {
        self.next
    }

    /// Nothing below `floor` will come again.
    pub(crate) fn raise(&mut self, floor: u64) {
        if floor > self.next {
            *self = Incoming::starting_at(floor);
        }
    }

    /// Judges a run of numbers, and moves on behind it.
    pub(crate) fn take(&mut self, first: u64, count: u64) -> Result<Take, Violation> {
        let end = first.checked_add(count).ok_or(Violation::Overflow)?;
        if first > self.next {
            let ask = !std::mem::replace(&mut self.asked, true);
            return Ok(Take::Missing { ask });
        }
        let skip = (self.next - first).min(count);
        self.raise(end);
        // Who starts at or before `next` has heard the question, or never needed it.
        self.asked = false;
        Ok(Take::From(skip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_next_number_is_taken() {
        let mut incoming = Incoming::starting_at(5);
        assert_eq!(incoming.take(5, 2), Ok(Take::From(0)));
        assert_eq!(incoming.take(5, 3), Ok(Take::From(2)));
        assert_eq!(incoming.take(5, 3), Ok(Take::From(3)));
        assert_eq!(incoming.next(), 8);
    }

    #[test]
    fn a_gap_is_asked_for_once() {
        let mut incoming = Incoming::starting_at(1);
        assert_eq!(incoming.take(2, 1), Ok(Take::Missing { ask: true }));
        assert_eq!(incoming.take(3, 1), Ok(Take::Missing { ask: false }));
        assert_eq!(incoming.take(1, 1), Ok(Take::From(0)));
        assert_eq!(incoming.take(3, 1), Ok(Take::Missing { ask: true }));
    }

    #[test]
    fn numbers_that_overflow_are_refused() {
        let mut incoming = Incoming::starting_at(1);
        assert_eq!(incoming.take(u64::MAX, 2), Err(Violation::Overflow));
    }
}
