//! Reads the ledger: what was lost, came twice, out of order or from nowhere.

use super::book::{Book, History, Property, What};
use super::message::Key;

/// Histories shown for one property: the first ones tell as much as all.
const SHOWN_MAX: usize = 3;

/// How a message ended, as its sender knows it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Outcomes {
    /// Acknowledged.
    pub ok: usize,
    /// Came back.
    pub failed: usize,
    /// Neither, or only at a later attempt.
    pub unknown: usize,
}

/// One property with what speaks against it.
#[derive(Debug)]
pub struct Finding {
    /// Which.
    pub property: Property,
    /// How often it was broken.
    pub count: usize,
    /// The first offences, to be read.
    pub shown: Vec<String>,
}

/// What the ledger says.
#[derive(Debug)]
pub struct Verdict {
    /// Of every message.
    pub outcomes: Outcomes,
    /// Every property, in order.
    pub findings: Vec<Finding>,
}

impl Verdict {
    /// Reads the ledger of a run that is over.
    pub fn of(book: &Book) -> Verdict {
        let mut outcomes = Outcomes::default();
        // With the message that was overtaken by it, where there is one.
        let mut offenders: Vec<(Property, Key, Option<Key>)> = Vec::new();
        let mut pair = None;
        let mut latest = None;
        book.each(|key, history| {
            if pair.replace((key.from, key.to)) != Some((key.from, key.to)) {
                latest = None;
            }
            let summary = Summary::of(history);
            outcomes.add(&summary);
            offenders.extend(summary.offences().map(|property| (property, key, None)));
            let Some(serial) = summary.first_receipt else { return };
            match latest {
                Some((later, older)) if serial < later => {
                    offenders.push((Property::Ordered, key, Some(older)));
                }
                _ => latest = Some((serial, key)),
            }
        });
        let offences = book.offences();
        let findings = Property::ALL.map(|property| {
            let keys = offenders.iter().filter(|(kind, ..)| *kind == property);
            let texts = offences.iter().filter(|offence| offence.property == property);
            let count = keys.clone().count() + texts.clone().count();
            let shown = keys.map(|(_, key, older)| match older {
                Some(older) => format!("{}\n  before {}", book.told(*key), book.told(*older)),
                None => book.told(*key),
            });
            let shown = shown.chain(texts.map(|offence| offence.text.clone()));
            Finding { property, count, shown: shown.take(SHOWN_MAX).collect() }
        });
        Verdict { outcomes, findings: findings.into() }
    }

    /// What speaks against one property.
    pub fn finding(&self, property: Property) -> &Finding {
        let finding = self.findings.iter().find(|finding| finding.property == property);
        finding.expect("there is a finding for every property")
    }
}

/// What counts of a history.
struct Summary {
    is_acknowledged: bool,
    is_bounced: bool,
    is_unknown: bool,
    receipts: usize,
    first_receipt: Option<u64>,
    is_sent: bool,
}

impl Summary {
    fn of(history: &History) -> Summary {
        let is = |wanted: fn(&What) -> bool| history.iter().any(|event| wanted(&event.what));
        let receipts = history.iter().filter(|event| matches!(event.what, What::Received { .. }));
        Summary {
            is_acknowledged: is(|what| matches!(what, What::Acknowledged { .. })),
            is_bounced: is(|what| matches!(what, What::Bounced(_))),
            is_unknown: is(|what| matches!(what, What::Unknown)),
            receipts: receipts.clone().count(),
            first_receipt: receipts.map(|event| event.serial).min(),
            is_sent: is(|what| matches!(what, What::Sent { .. })),
        }
    }

    fn offences(&self) -> impl Iterator<Item = Property> {
        let offences = [
            (self.is_acknowledged && !self.is_bounced && self.receipts == 0, Property::NothingLost),
            (self.receipts > 1, Property::NothingTwice),
            (self.receipts > 0 && !self.is_sent, Property::NoPhantom),
            (self.is_bounced, Property::NothingBounced),
        ];
        offences.into_iter().filter_map(|(holds, property)| holds.then_some(property))
    }
}

impl Outcomes {
    fn add(&mut self, summary: &Summary) {
        match summary {
            Summary { is_bounced: true, .. } => self.failed += 1,
            Summary { is_acknowledged: true, is_unknown: false, .. } => self.ok += 1,
            _ => self.unknown += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::Who;
    use super::*;

    const SENT: What = What::Sent { session: 1, number: 1 };
    const ACKNOWLEDGED: What = What::Acknowledged { h: 1 };
    const RECEIVED: What = What::Received { session: 1, number: 1 };

    /// Notes events, given by the message they concern, and names the properties that are broken.
    fn broken(events: &[(usize, What)]) -> Vec<&'static str> {
        let book = Book::new(7);
        let keys = [0, 1].map(|_| book.compose(Who(1), Who(2)));
        for (nth, what) in events {
            assert!(book.note(keys[*nth], what.clone()));
        }
        let broken = Verdict::of(&book).findings.into_iter().filter(|finding| finding.count > 0);
        broken.map(|finding| finding.property.name()).collect()
    }

    #[test]
    fn a_message_that_arrives_once_breaks_nothing() {
        assert!(broken(&[(0, SENT), (0, ACKNOWLEDGED), (0, RECEIVED)]).is_empty());
        assert!(broken(&[(0, SENT), (0, RECEIVED), (0, ACKNOWLEDGED)]).is_empty());
        assert!(broken(&[(0, SENT), (1, SENT), (0, RECEIVED), (1, RECEIVED)]).is_empty());
    }

    #[test]
    fn a_message_that_nobody_acknowledged_may_be_lost() {
        assert!(broken(&[(0, SENT)]).is_empty());
        assert!(broken(&[(0, SENT), (0, What::Unknown)]).is_empty());
    }

    #[test]
    fn each_offence_is_found() {
        assert_eq!(broken(&[(0, SENT), (0, ACKNOWLEDGED)]), ["lost"]);
        assert_eq!(broken(&[(0, SENT), (0, RECEIVED), (0, RECEIVED)]), ["duplicate"]);
        let swapped = [(0, SENT), (1, SENT), (1, RECEIVED), (0, RECEIVED)];
        assert_eq!(broken(&swapped), ["reordered"]);
        assert_eq!(broken(&[(0, RECEIVED)]), ["phantom"]);
        assert_eq!(broken(&[(0, SENT), (0, What::Bounced("gone".into()))]), ["bounced"]);
    }

    #[test]
    fn a_history_shows_what_happened_and_when_the_server_died() {
        let book = Book::new(7);
        let key = book.compose(Who(1), Who(2));
        book.note(key, SENT);
        book.killed();
        book.note(key, RECEIVED);
        let told = book.told(key);
        let lines: Vec<&str> = told.lines().collect();
        assert!(lines[1].ends_with("sent as number 1 of the sender's session 1"), "{told}");
        assert!(lines[2].ends_with("-- the server is killed --"), "{told}");
        assert!(lines[3].ends_with("received as number 1 of the receiver's session 1"), "{told}");
    }
}
