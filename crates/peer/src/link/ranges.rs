//! A set of numbers that come nearly in order.

use std::collections::BTreeMap;

use super::Violation;
use crate::frame::Range;

/// Numbers as runs: as small as there are holes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges {
    /// From the first number of a run to the first behind it.
    runs: BTreeMap<u64, u64>,
    /// How many numbers.
    count: u64,
}

impl Ranges {
    /// Adds a number; false if it was in.
    pub(crate) fn insert(&mut self, number: u64) -> bool {
        let before = self.runs.range(..=number).next_back().map(|(first, end)| (*first, *end));
        if before.is_some_and(|(_, end)| number < end) {
            return false;
        }
        let end = self.runs.remove(&(number + 1)).unwrap_or(number + 1);
        let first = before.filter(|(_, end)| *end == number).map_or(number, |(first, _)| first);
        self.runs.insert(first, end);
        self.count += 1;
        true
    }

    /// Adds a run behind all that is in.
    pub(crate) fn append(&mut self, range: Range) {
        let last = self.runs.last_key_value().map(|(first, end)| (*first, *end));
        debug_assert!(last.is_none_or(|(_, end)| end <= range.first), "not behind");
        let first = last.filter(|(_, end)| *end == range.first).map_or(range.first, |run| run.0);
        self.runs.insert(first, range.end());
        self.count += range.count;
    }

    /// Takes out the first `max` runs, rising.
    pub(crate) fn take_runs(&mut self, max: usize) -> Vec<Range> {
        let runs: Vec<Range> = self.iter().take(max).collect();
        for run in &runs {
            self.runs.remove(&run.first);
            self.count -= run.count;
        }
        runs
    }

    /// Forgets everything below `floor`.
    pub(crate) fn forget_below(&mut self, floor: u64) {
        while let Some((&first, &end)) = self.runs.first_key_value()
            && first < floor
        {
            self.runs.remove(&first);
            self.count -= end.min(floor) - first;
            if end > floor {
                self.runs.insert(floor, end);
            }
        }
    }

    /// How many numbers are in.
    pub(crate) fn len(&self) -> u64 {
        self.count
    }

    /// Whether none is.
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The runs, rising.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Range> {
        self.runs.iter().map(|(&first, &end)| Range { first, count: end - first })
    }
}

/// Refuses runs that do not rise: repeated ones would make the work quadratic.
pub(crate) fn check_rising(ranges: &[Range]) -> Result<(), Violation> {
    let mut floor = 0;
    for range in ranges {
        if range.count == 0 || range.first < floor {
            return Err(Violation::Ranges);
        }
        floor = range.first.checked_add(range.count).ok_or(Violation::Overflow)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(ranges: &Ranges) -> Vec<(u64, u64)> {
        ranges.iter().map(|range| (range.first, range.count)).collect()
    }

    #[test]
    fn neighbours_become_one_run() {
        let mut ranges = Ranges::default();
        for number in [5, 3, 9, 4] {
            assert!(ranges.insert(number));
        }
        assert!(!ranges.insert(4));
        assert_eq!((runs(&ranges), ranges.len()), (vec![(3, 3), (9, 1)], 4));
    }

    #[test]
    fn a_run_is_forgotten_in_part() {
        let mut ranges = Ranges::default();
        (1..=6).for_each(|number| assert!(ranges.insert(number)));
        ranges.forget_below(4);
        assert_eq!((runs(&ranges), ranges.len()), (vec![(4, 3)], 3));
        ranges.forget_below(90);
        assert!(ranges.is_empty());
    }

    #[test]
    fn runs_are_appended_and_taken_out_in_order() {
        let mut ranges = Ranges::default();
        for (first, count) in [(1, 2), (3, 4), (9, 1)] {
            ranges.append(Range { first, count });
        }
        assert_eq!((runs(&ranges), ranges.len()), (vec![(1, 6), (9, 1)], 7));
        assert_eq!(ranges.take_runs(1), [Range { first: 1, count: 6 }]);
        assert_eq!((runs(&ranges), ranges.len()), (vec![(9, 1)], 1));
    }

    #[test]
    fn runs_that_do_not_rise_are_refused() {
        let range = |first, count| Range { first, count };
        assert_eq!(check_rising(&[range(1, 2), range(3, 1)]), Ok(()));
        assert_eq!(check_rising(&[range(1, 2), range(2, 1)]), Err(Violation::Ranges));
        assert_eq!(check_rising(&[range(1, 0)]), Err(Violation::Ranges));
        assert_eq!(check_rising(&[range(u64::MAX, 1)]), Err(Violation::Overflow));
    }
}
