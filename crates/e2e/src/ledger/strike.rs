//! How the server ends: by a kill at some moment, or by itself at a crash point.

use std::time::Duration;

use jackdaw_faults::{Bug, Point};

use super::book::Property;
use super::dice::Dice;

/// From the first acknowledgements to a kill, in milliseconds.
const LIFE: std::ops::Range<u64> = 20..500;

/// How often a crash point is passed before the process ends there, at most.
const PASSED_MAX: u64 = 30;

/// The same for a point that each client passes once, of which only some clients pass it.
const PASSED_BY_FEW_MAX: u64 = 3;

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
    /// One crash point, so many times.
    CrashesAt(Point, usize),
}

impl Plan {
    /// Every strike, in order.
    pub fn strikes(self, dice: &mut Dice) -> Vec<Strike> {
        match self {
            Plan::Kills(count) => (0..count).map(|_| Strike::Kill(dice.millis(LIFE))).collect(),
            Plan::CrashPoints(rounds) => {
                let points = (0..rounds).flat_map(|_| Point::ALL);
                points.map(|point| Strike::crash(point, dice)).collect()
            }
            Plan::CrashesAt(point, count) => {
                (0..count).map(|_| Strike::crash(point, dice)).collect()
            }
        }
    }
}

impl Strike {
    /// At this point, after it has been passed as often as the dice say.
    fn crash(point: Point, dice: &mut Dice) -> Strike {
        let passed = match point {
            point if point.is_at_start() => 0,
            point if point.is_once_each() => dice.among(0..PASSED_BY_FEW_MAX),
            _ => dice.among(0..PASSED_MAX),
        };
        Strike::Crash(point, passed)
    }

    /// What `FAILPOINTS` says for it.
    pub fn faults(self) -> String {
        match self {
            Strike::Kill(_) => String::new(),
            Strike::Crash(point, passed) => format!("{}={passed}*off->return", point.name()),
        }
    }
}

/// How a mistake is made and found.
#[derive(Debug)]
pub struct Exposure {
    /// What `FAILPOINTS` says for it, in every life of the server.
    pub faults: String,
    /// How the server ends, so many times.
    pub plan: fn(usize) -> Plan,
    /// What is broken by it: any of these.
    pub properties: &'static [Property],
}

/// How a mistake is made and found.
pub fn exposed_by(bug: Bug) -> Exposure {
    let (how_often, plan, properties): (_, fn(usize) -> Plan, &[_]) = match bug {
        // From the report to the write it is too short a moment for a kill to strike.
        Bug::AckBeforeSync => (
            "return",
            |lives| Plan::CrashesAt(Point::CommitBeforeWrite, lives),
            // A number that was reported and is gone brings its message back.
            &[Property::NothingLost, Property::NothingTwice],
        ),
        // Often enough to be seen, and seldom enough that the server can be used.
        Bug::RowDropped => ("2%return", Plan::Kills, &[Property::NothingLost]),
        Bug::HandledTooFar => ("return", Plan::Kills, &[Property::NothingLost]),
        Bug::RowKept => ("20%return", Plan::Kills, &[Property::NothingTwice]),
    };
    Exposure { faults: format!("{}={how_often}", bug.name()), plan, properties }
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
