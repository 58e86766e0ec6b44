//! How the server ends: by a kill at some moment, or by itself at a crash point.

use std::time::Duration;

use jackdaw_faults::{Bug, Point};

use super::book::Property;
use super::dice::Dice;

/// From the first acknowledgements to a kill, in milliseconds.
const LIFE: std::ops::Range<u64> = 20..500;

/// How often a crash point is passed before the process ends there, at most.
const PASSED_MAX: u64 = 30;

/// One end of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strike {
    /// `kill -9`, so long after clients are served.
    Kill(Duration),
    /// The process aborts where it comes to this place after it has passed it so often.
    Crash(Point, u64),
}

/// What a run is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// So many kills.
    Kills(usize),
    /// Every crash point, so many times.
    CrashPoints(usize),
}

impl Plan {
    /// Every strike, in order.
    pub fn strikes(self, dice: &mut Dice) -> Vec<Strike> {
        match self {
            Plan::Kills(count) => (0..count).map(|_| Strike::Kill(dice.millis(LIFE))).collect(),
            Plan::CrashPoints(rounds) => {
                let points = (0..rounds).flat_map(|_| Point::ALL);
                let passed = |point: Point, dice: &mut Dice| match point.is_at_start() {
                    true => 0,
                    false => dice.among(0..PASSED_MAX),
                };
                points.map(|point| Strike::Crash(point, passed(point, dice))).collect()
            }
        }
    }
}

impl Strike {
    /// What `FAILPOINTS` says for it.
    pub fn faults(self) -> String {
        match self {
            Strike::Kill(_) => String::new(),
            Strike::Crash(point, passed) => format!("{}={passed}*off->return", point.name()),
        }
    }
}

/// What `FAILPOINTS` says for a mistake, in every life of the server, and what finds it.
pub fn exposed_by(bug: Bug) -> (String, Property) {
    let (how_often, property) = match bug {
        Bug::AckBeforeSync => ("return", Property::NothingLost),
        // Often enough to be seen, and seldom enough that the server can be used.
        Bug::RowDropped => ("2%return", Property::NothingLost),
        Bug::HandledTooFar => ("return", Property::NothingLost),
        Bug::RowKept => ("20%return", Property::NothingTwice),
    };
    (format!("{}={how_often}", bug.name()), property)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crash_point_is_in_every_round() {
        let strikes = Plan::CrashPoints(2).strikes(&mut Dice::new(7, 0));
        for point in Point::ALL {
            let is_it = |strike: &&Strike| matches!(strike, Strike::Crash(at, _) if *at == point);
            assert_eq!(strikes.iter().filter(is_it).count(), 2, "{point:?}");
        }
    }

    #[test]
    fn a_crash_point_is_passed_before_it_strikes() {
        assert_eq!(Strike::Crash(Point::SendAfter, 3).faults(), "send-after=3*off->return");
    }
}
