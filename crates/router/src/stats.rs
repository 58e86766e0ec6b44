//! Counters of the router.

use std::sync::atomic::{AtomicU64, Ordering};

use jackdaw_stanza::Condition;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Count {
    /// Messages handed to a session.
    MessagesDelivered,
    /// Presence stanzas handed to a session.
    PresencesDelivered,
    /// IQs handed to a session.
    IqsDelivered,
    /// Messages written to the spool.
    MessagesSpooled,
    /// Stanzas that a phase stopped silently.
    Stopped,
    /// Stanzas dropped as the RFC says (headline to nobody, presence to a missing resource, ...).
    Dropped,
}

/// Counters since the start. Few and coarse: the hot path touches one per delivery.
#[derive(Debug, Default)]
pub struct Stats {
    counts: [AtomicU64; 6],
    errors: [AtomicU64; Condition::ALL.len()],
}

impl Stats {
    pub(crate) fn add(&self, what: Count) {
        self.counts[what as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_error(&self, condition: Condition) {
        self.errors[condition as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often so far.
    pub fn get(&self, what: Count) -> u64 {
        self.counts[what as usize].load(Ordering::Relaxed)
    }

    /// Stanza errors sent so far, by condition.
    pub fn errors(&self) -> impl Iterator<Item = (Condition, u64)> + '_ {
        let counts = self.errors.iter().map(|count| count.load(Ordering::Relaxed));
        Condition::ALL.iter().copied().zip(counts)
    }
}
