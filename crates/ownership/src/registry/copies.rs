//! The second copy of what an owner knows, on its backup.
//!
//! A session whose socket is on another node than its owner is known to both. Where these are one,
//! or where it waits to be resumed, the owner's backup has the copy: [`Mirror`] sends it,
//! [`Copies`] keeps it. Whatever depends on the copy waits for [`Mirror::is_held`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use super::{Fence, Generation, Known, MIRROR_WINDOW, Moved, RESEND, Seen, Tenure};
use crate::{Epoch, Incarnation, ShardId};

/// One change, from an owner to its backup.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Copy {
    /// Names the stream: a backup that is told of a new one begins anew.
    pub sync: u64,
    /// Counts in the stream, from 1. Only the next one is taken.
    pub number: u64,
    /// The change.
    pub change: Change,
}

/// What is to be done to the copies.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Change {
    /// The session is over, or its copy is elsewhere.
    Drop {
        /// Of the account.
        tenure: Tenure,
        /// Which session.
        generation: Generation,
    },
    /// The session is this.
    Keep(Known),
    /// Nothing: what stood here was of a shard that has another owner now.
    Nothing,
}

/// A backup has taken everything below a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kept {
    /// Of which stream.
    pub sync: u64,
    /// The number that is next.
    pub next: u64,
}

/// A state of a session, to ask whether its copy is as new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(u64);

/// The owner's end of the copies on its backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mirror {
    backup: Option<Incarnation>,
    sync: u64,
    version: u64,
    sessions: BTreeMap<Generation, Mirrored>,
    /// What the backup is not known to have, and is not sent.
    dirty: BTreeSet<(ShardId, Generation)>,
    /// What is sent, by number; the first one is `acked + 1`.
    sent: VecDeque<(Generation, Version, Change)>,
    acked: u64,
    due: Option<Instant>,
    frames: VecDeque<Copy>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Mirrored {
    /// None if it is to be dropped.
    known: Option<Known>,
    tenure: Tenure,
    version: Version,
    held: Version,
}

impl Mirror {
    /// The owner has another backup, or none, as the map says: it gets everything.
    pub fn set_backup(&mut self, now: Instant, backup: Option<Incarnation>) {
        self.backup = backup;
        self.sync += 1;
        self.acked = 0;
        self.sent.clear();
        self.frames.clear();
        self.sessions.retain(|_, it| it.known.is_some());
        self.dirty = self.sessions.iter().map(|(name, it)| (it.tenure.shard, *name)).collect();
        for it in self.sessions.values_mut() {
            it.held = Version(0);
        }
        self.fill(now);
    }

    /// A session is this now. What is said of it waits for [`Mirror::is_held`].
    pub fn put(&mut self, now: Instant, known: Known) -> Version {
        self.version += 1;
        let version = Version(self.version);
        let (generation, tenure) = (known.generation, known.tenure);
        let held = self.sessions.get(&generation).map_or(Version(0), |it| it.held);
        let mirrored = Mirrored { known: Some(known), tenure, version, held };
        self.sessions.insert(generation, mirrored);
        self.dirty.insert((tenure.shard, generation));
        self.fill(now);
        version
    }

    /// It is over, or its copy is with its socket.
    pub fn drop(&mut self, now: Instant, generation: Generation) {
        let Some(it) = self.sessions.get_mut(&generation) else { return };
        self.version += 1;
        it.known = None;
        it.version = Version(self.version);
        self.dirty.insert((it.tenure.shard, generation));
        self.fill(now);
    }

    /// The shard has another owner: its copies are that one's business.
    pub fn forget(&mut self, now: Instant, shard: ShardId) {
        self.sessions.retain(|_, it| it.tenure.shard != shard);
        self.dirty.retain(|(of, _)| *of != shard);
        for (_, _, change) in &mut self.sent {
            if change.tenure().is_some_and(|tenure| tenure.shard == shard) {
                *change = Change::Nothing;
            }
        }
        self.fill(now);
    }

    /// Whether the copy of a session is as new as this. Without a backup there is no copy to wait
    /// for: a node that is alone, or one whose backup has ended, which is in the map.
    pub fn is_held(&self, generation: Generation, version: Version) -> bool {
        self.backup.is_none() || self.sessions.get(&generation).is_some_and(|it| it.held >= version)
    }

    /// Whether the backup has everything; the map is to say so.
    pub fn is_synced(&self) -> bool {
        self.backup.is_some() && self.dirty.is_empty() && self.sent.is_empty()
    }

    /// The backup has taken something.
    pub fn handle_kept(&mut self, now: Instant, from: Incarnation, kept: Kept) {
        if self.backup != Some(from) || kept.sync != self.sync {
            return;
        }
        while self.acked + 1 < kept.next
            && let Some((generation, version, _)) = self.sent.pop_front()
        {
            self.acked += 1;
            self.due = None;
            let Some(it) = self.sessions.get_mut(&generation) else { continue };
            it.held = version.max(it.held);
            if it.known.is_none() && it.held == it.version {
                self.sessions.remove(&generation);
            }
        }
        self.fill(now);
    }

    /// Sends again from the first one that is not known to be taken.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.due.is_some_and(|due| due <= now) {
            let (sync, first) = (self.sync, self.acked + 1);
            let sent = (first..).zip(&self.sent);
            self.frames = sent
                .map(|(number, (_, _, change))| Copy { sync, number, change: change.clone() })
                .collect();
            self.due = Some(now + RESEND);
        }
    }

    /// When to call [`handle_timeout`](Mirror::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// What to send to the backup.
    pub fn poll_transmit(&mut self) -> Option<(Incarnation, Copy)> {
        Some((self.backup?, self.frames.pop_front()?))
    }

    /// As much as may be under way.
    fn fill(&mut self, now: Instant) {
        while self.backup.is_some()
            && self.sent.len() < MIRROR_WINDOW
            && let Some((_, generation)) = self.dirty.pop_first()
        {
            let Some(it) = self.sessions.get(&generation) else { continue };
            let tenure = it.tenure;
            let change = it.known.clone().map_or(Change::Drop { tenure, generation }, Change::Keep);
            self.sent.push_back((generation, it.version, change.clone()));
            let number = self.acked + self.sent.len() as u64;
            self.frames.push_back(Copy { sync: self.sync, number, change });
        }
        if self.sent.is_empty() {
            self.due = None;
        } else if self.due.is_none() {
            self.due = Some(now + RESEND);
        }
    }
}

impl Change {
    fn tenure(&self) -> Option<Tenure> {
        match self {
            Change::Drop { tenure, .. } => Some(*tenure),
            Change::Keep(known) => Some(known.tenure),
            Change::Nothing => None,
        }
    }
}

/// The copies that a node keeps for others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Copies {
    streams: BTreeMap<Incarnation, Stream>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Stream {
    sync: u64,
    next: u64,
    sessions: BTreeMap<(ShardId, Generation), Known>,
}

impl Copies {
    /// A change. The next one of its stream is taken, unless a higher epoch was seen: then its
    /// owner is told, and puts nothing in its place.
    pub fn handle(&mut self, from: Incarnation, copy: Copy, fence: &Fence) -> Result<Kept, Moved> {
        let Copy { sync, number, change } = copy;
        let anew = Stream { sync, next: 1, sessions: BTreeMap::new() };
        let stream = self.streams.entry(from).or_insert_with(|| anew.clone());
        if stream.sync < sync {
            *stream = anew;
        }
        let is_next = stream.sync == sync && stream.next == number;
        if is_next {
            if let Some(tenure) = change.tenure()
                && let Seen::Older(epoch) = fence.see(tenure)
            {
                return Err(Moved { tenure: Tenure { epoch, ..tenure }, owner: None });
            }
            stream.next += 1;
            stream.apply(change);
        }
        Ok(Kept { sync: stream.sync, next: stream.next })
    }

    /// What is kept of these shards, for an owner that recovers them at this epoch.
    pub fn known(&self, shards: &BTreeSet<ShardId>, epoch: Epoch, fence: &Fence) -> Vec<Known> {
        for shard in shards {
            fence.see(Tenure { shard: *shard, epoch });
        }
        let sessions = self.streams.values().flat_map(|stream| stream.sessions.values());
        sessions.filter(|known| shards.contains(&known.tenure.shard)).cloned().collect()
    }

    /// Another epoch is served, as the map says: what was kept of the ones before is not needed.
    pub fn release(&mut self, tenure: Tenure) {
        for stream in self.streams.values_mut() {
            stream.sessions.retain(|_, known| {
                known.tenure.shard != tenure.shard || known.tenure.epoch >= tenure.epoch
            });
        }
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.streams.values().map(|stream| stream.sessions.len()).sum()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Stream {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Drop { tenure, generation } => {
                self.sessions.remove(&(tenure.shard, generation));
            }
            Change::Keep(known) => {
                self.sessions.insert((known.tenure.shard, known.generation), known);
            }
            Change::Nothing => {}
        }
    }
}

#[cfg(test)]
#[path = "copies_test.rs"]
mod tests;
