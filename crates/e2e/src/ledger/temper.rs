//! How a client behaves: the mixture that a server has to bear.

use std::time::Duration;

use super::dice::Dice;
use super::message::Who;

/// Kinds of clients; a run has as many of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temper {
    /// Stays, and acknowledges at once.
    Steady,
    /// Loses its connection and resumes soon (XEP-0198 §5).
    Breaks,
    /// Logs out and in: what is sent to it meanwhile is kept offline (XEP-0160).
    ComesAndGoes,
    /// Acknowledges late, loses its connection and resumes late: what is sent to it is written.
    Sluggish,
}

impl Temper {
    /// That of a client.
    pub fn of(who: Who) -> Temper {
        match who.0 % 4 {
            0 => Temper::Steady,
            1 => Temper::Breaks,
            2 => Temper::ComesAndGoes,
            _ => Temper::Sluggish,
        }
    }

    /// How long it stays before it moves.
    pub fn stay(self, dice: &mut Dice) -> Duration {
        dice.millis(match self {
            Temper::Steady => 1_000..2_000,
            Temper::Breaks => 80..400,
            Temper::ComesAndGoes => 150..600,
            Temper::Sluggish => 200..800,
        })
    }

    /// How long it is away.
    pub fn absence(self, dice: &mut Dice) -> Duration {
        dice.millis(match self {
            Temper::Steady | Temper::Breaks => 0..50,
            Temper::ComesAndGoes => 20..400,
            Temper::Sluggish => 50..500,
        })
    }

    /// How long it leaves a request to acknowledge waiting.
    pub fn patience(self, dice: &mut Dice) -> Duration {
        match self {
            Temper::Sluggish => dice.millis(20..300),
            _ if dice.percent(10) => dice.millis(5..60),
            _ => Duration::ZERO,
        }
    }
}
