//! How authentications and streams ended, by what the specifications call it.

use jackdaw_stream::StreamCondition;
use jackdaw_stream::c2s::Outcome;
use jackdaw_stream::sasl::{Mechanism, SaslCondition};

use super::shared::Counter;

/// Mechanisms, and a row for attempts with none that is known.
const MECHANISMS: usize = Mechanism::ALL.len() + 1;

/// Conditions, and a column for success.
const RESULTS: usize = SaslCondition::ALL.len() + 1;

/// The outcomes that one worker has seen. Tables, so that a client cannot add an entry.
#[derive(Debug, Default)]
pub struct OutcomeCounts {
    authentications: [[Counter; RESULTS]; MECHANISMS],
    stream_errors: [Counter; StreamCondition::ALL.len()],
}

impl OutcomeCounts {
    pub(super) fn add(&self, outcome: Outcome) {
        match outcome {
            Outcome::Authentication { mechanism, failure } => {
                let row = mechanism.map_or(0, |mechanism| mechanism as usize + 1);
                let column = failure.map_or(0, |condition| condition as usize + 1);
                self.authentications[row][column].add();
            }
            Outcome::StreamError(condition) => self.stream_errors[condition as usize].add(),
        }
    }

    /// Authentications so far: mechanism, result and how many.
    pub fn authentications(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let mechanisms = Mechanism::ALL.iter().map(|mechanism| mechanism.name());
        let results = SaslCondition::ALL.iter().map(|condition| condition.element());
        let rows = std::iter::once("unknown").chain(mechanisms).zip(&self.authentications);
        let columns = std::iter::once("success").chain(results);
        rows.flat_map(move |(mechanism, row)| {
            let counts = columns.clone().zip(row);
            counts.map(move |(result, count)| (mechanism, result, count.get()))
        })
    }

    /// Stream errors so far: condition and how many.
    pub fn stream_errors(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let conditions = StreamCondition::ALL.iter().map(|condition| condition.name());
        conditions.zip(&self.stream_errors).map(|(name, count)| (name, count.get()))
    }
}

// `ALL` is in the order of the variants, whose numbers are the indices above.
const _: () = assert!(Mechanism::ALL[MECHANISMS - 2] as usize == MECHANISMS - 2);
const _: () = assert!(SaslCondition::ALL[RESULTS - 2] as usize == RESULTS - 2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_counted_under_their_names() {
        let counts = OutcomeCounts::default();
        let authentication = |mechanism, failure| {
            counts.add(Outcome::Authentication { mechanism, failure });
        };
        authentication(Some(Mechanism::ScramSha256), None);
        authentication(Some(Mechanism::HtSha256None), Some(SaslCondition::TemporaryAuthFailure));
        authentication(None, Some(SaslCondition::InvalidMechanism));
        counts.add(Outcome::StreamError(StreamCondition::PolicyViolation));
        let seen: Vec<_> = counts.authentications().filter(|(.., count)| *count > 0).collect();
        assert_eq!(
            seen,
            [
                ("unknown", "invalid-mechanism", 1),
                ("SCRAM-SHA-256", "success", 1),
                ("HT-SHA-256-NONE", "temporary-auth-failure", 1),
            ]
        );
        let errors: Vec<_> = counts.stream_errors().filter(|(_, count)| *count > 0).collect();
        assert_eq!(errors, [("policy-violation", 1)]);
    }
}
