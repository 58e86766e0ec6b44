//! What of a session's stanzas is accepted without a gap: its `h` (XEP-0198 §4).

use std::collections::VecDeque;

use crate::frame::Shard;

/// A session of this worker, by a name that the caller never uses twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Local(pub u64);

/// The stanzas of one session that are not accepted without a gap, whichever shards they went to.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    /// So many are accepted without a gap.
    handled: u64,
    /// The others, in the order in which the client sent them.
    open: VecDeque<Place>,
    /// What they cost.
    pub(crate) bytes: usize,
    /// A stanza was refused at a bound, and the session was told to wait.
    pub(crate) waits: bool,
    /// Nobody wants to know its `h` any more.
    pub(crate) released: bool,
}

/// Where a stanza of a session is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) shard: Shard,
    pub(crate) number: u64,
    accepted: bool,
}

impl Sending {
    /// The stanza's number in its session, from 1.
    pub(crate) fn push(&mut self, shard: Shard, number: u64, bytes: usize) -> u64 {
        self.open.push_back(Place { shard, number, accepted: false });
        self.bytes += bytes;
        self.handled + self.open.len() as u64
    }

    /// One is accepted. Gives the session's prefix if that moved.
    pub(crate) fn accept(&mut self, ordinal: u64, bytes: usize) -> Option<u64> {
        self.bytes -= bytes;
        let at = usize::try_from(ordinal.checked_sub(self.handled + 1)?).ok()?;
        self.open.get_mut(at)?.accepted = true;
        let before = self.handled;
        while self.open.front().is_some_and(|place| place.accepted) {
            self.open.pop_front();
            self.handled += 1;
        }
        (self.handled > before).then_some(self.handled)
    }

    /// How many are accepted without a gap.
    pub(crate) fn handled(&self) -> u64 {
        self.handled
    }

    /// Whether all are accepted.
    pub(crate) fn is_settled(&self) -> bool {
        self.open.is_empty()
    }

    /// Those that are not accepted.
    pub(crate) fn unaccepted(&self) -> impl Iterator<Item = Place> {
        self.open.iter().copied().filter(|place| !place.accepted)
    }
}
