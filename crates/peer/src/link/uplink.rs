//! The socket node's end towards owners: a FIFO per shard of what is not durably accepted.

mod lane;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Instant;

use self::lane::{Lane, Pending};
use super::ranges::check_rising;
use super::session::{Local, Sending};
use super::{ENTRY_BYTES, Fence, SESSION_BYTES_MAX, SHARD_BYTES_MAX, Seen, Violation};
use crate::frame::{
    Accepts, Epoch, Incarnation, Item, Moved, Receipt, Sends, Shard, Tenure, Worker,
};

/// The bounds of one worker's uplink.
#[derive(Clone, Copy, Debug)]
pub struct UplinkConfig {
    /// Which worker it is.
    pub worker: Worker,
    /// Of one session.
    pub session_bytes_max: usize,
    /// Of one shard.
    pub shard_bytes_max: usize,
    /// Of all: this worker's part of 20 % of the memory that the process may use.
    pub bytes_max: usize,
}

impl UplinkConfig {
    /// The usual bounds, with this part of the memory.
    pub fn new(worker: Worker, bytes_max: usize) -> UplinkConfig {
        let (session_bytes_max, shard_bytes_max) = (SESSION_BYTES_MAX, SHARD_BYTES_MAX);
        UplinkConfig { worker, session_bytes_max, shard_bytes_max, bytes_max }
    }
}

/// What its driver has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UplinkEvent {
    /// The owners have durably accepted so many stanzas of the session without a gap.
    Accepted {
        /// Whose.
        session: Local,
        /// How many; this is what `h` may say.
        handled: u64,
    },
    /// There is room again: offer the refused stanza and read the session's socket.
    Writable(Local),
}

/// A bound is reached. The item is given back, nothing is dropped: keep it, stop reading the
/// session's socket, and offer it again at [`UplinkEvent::Writable`].
#[derive(Debug, PartialEq, Eq)]
pub struct Full(pub Item);

/// Sequences to owners, numbered per shard.
#[derive(Debug)]
pub struct Uplink {
    config: UplinkConfig,
    lanes: HashMap<Shard, Lane>,
    sessions: HashMap<Local, Sending>,
    /// Nodes with a link, and which of their shards have something to send.
    peers: HashMap<Incarnation, VecDeque<Shard>>,
    /// When to send again; one entry per lane that waits for an answer.
    timers: BTreeSet<(Instant, Shard)>,
    /// Sessions refused because of the bound of all.
    waiting: HashSet<Local>,
    events: VecDeque<UplinkEvent>,
    bytes: usize,
}

impl Uplink {
    /// Without owners and sessions.
    pub fn new(config: UplinkConfig) -> Uplink {
        Uplink {
            config,
            lanes: HashMap::new(),
            sessions: HashMap::new(),
            peers: HashMap::new(),
            timers: BTreeSet::new(),
            waiting: HashSet::new(),
            events: VecDeque::new(),
            bytes: 0,
        }
    }

    /// The shard has this owner, by the map or by a `Moved`. An epoch that is not news is ignored.
    pub fn assign(&mut self, fence: &Fence, tenure: Tenure, owner: Incarnation) {
        if matches!(fence.see(tenure), Seen::Older(_)) {
            return;
        }
        let lane = self.lanes.entry(tenure.shard).or_insert_with(Lane::unassigned);
        if lane.assign(tenure.epoch, owner) {
            self.schedule(tenure.shard);
        }
    }

    /// There is a link to this node: everything for its shards goes out, from the first unreceived.
    pub fn handle_connected(&mut self, peer: Incarnation) {
        self.peers.insert(peer, VecDeque::new());
        for shard in self.shards_of(peer) {
            self.rewind(shard);
        }
    }

    /// The link is gone; what was under way on it is sent again on the next.
    pub fn handle_disconnected(&mut self, peer: Incarnation) {
        self.peers.remove(&peer);
        for shard in self.shards_of(peer) {
            if let Some(lane) = self.lanes.get_mut(&shard) {
                lane.queued = false;
                lane.disarm(shard, &mut self.timers);
            }
        }
    }

    /// Gives an item its number and its place. With a session, the item counts for its `h`.
    ///
    /// Gives the item's number in the session, or 0 without one.
    pub fn send(
        &mut self,
        shard: Shard,
        session: Option<Local>,
        item: Item,
    ) -> Result<u64, Box<Full>> {
        let bytes = item.payload_bytes() + ENTRY_BYTES;
        if !self.has_room(shard, session, bytes) {
            return Err(Box::new(Full(item)));
        }
        self.bytes += bytes;
        let lane = self.lanes.entry(shard).or_insert_with(Lane::unassigned);
        let number = lane.out.end();
        let ordinal = session.map_or(0, |session| {
            self.sessions.entry(session).or_default().push(shard, number, bytes)
        });
        lane.push(Pending { item, session, ordinal, bytes });
        self.schedule(shard);
        Ok(ordinal)
    }

    /// An answer to what was sent. A frame of a lower epoch, or of a node that is not the owner by
    /// what is known here, changes nothing.
    pub fn handle_receipt(
        &mut self,
        now: Instant,
        from: Incarnation,
        receipt: Receipt,
        fence: &Fence,
    ) -> Result<(), Violation> {
        let shard = receipt.tenure.shard;
        let Some(lane) = current(&mut self.lanes, fence, from, receipt.tenure) else {
            return Ok(());
        };
        let news = match receipt.missed {
            true => lane.out.missed(receipt.next)?,
            false => lane.out.receipt(receipt.next)?,
        };
        if news {
            lane.progress(now, shard, &mut self.timers);
        }
        self.schedule(shard);
        Ok(())
    }

    /// Some of what was sent is durably accepted.
    pub fn handle_accepts(
        &mut self,
        now: Instant,
        from: Incarnation,
        accepts: &Accepts,
        fence: &Fence,
    ) -> Result<(), Violation> {
        check_rising(&accepts.ranges)?;
        let shard = accepts.tenure.shard;
        let Some(lane) = current(&mut self.lanes, fence, from, accepts.tenure) else {
            return Ok(());
        };
        let end = lane.out.end();
        if accepts.ranges.iter().any(|range| range.end() > end) {
            return Err(Violation::Unsent);
        }
        let mut done = Vec::new();
        for range in &accepts.ranges {
            // Below the floor all are done, however many the peer counts up.
            let first = range.first.max(lane.out.floor());
            done.extend((first..range.end()).filter_map(|number| lane.out.finish(number)));
        }
        if !done.is_empty() {
            lane.progress(now, shard, &mut self.timers);
        }
        done.into_iter().for_each(|pending| self.accepted(shard, &pending));
        self.settle_room(shard);
        Ok(())
    }

    /// The shard has another owner, or the epoch sent to was too low.
    pub fn handle_moved(&mut self, moved: Moved, fence: &Fence) {
        match moved.owner {
            Some(owner) => self.assign(fence, moved.tenure, owner),
            // The map will say who it is; until then what is sent is refused, and kept.
            None => drop(fence.see(moved.tenure)),
        }
    }

    /// Evicted: what the session had sent and nobody has accepted is withdrawn, in favour of
    /// whoever has its full JID now. Gives how many were accepted without a gap.
    pub fn withdraw(&mut self, session: Local) -> u64 {
        let Some(sending) = self.sessions.remove(&session) else { return 0 };
        self.waiting.remove(&session);
        for place in sending.unaccepted() {
            let Some(lane) = self.lanes.get_mut(&place.shard) else { continue };
            if let Some(pending) = lane.out.finish(place.number) {
                lane.bytes -= pending.bytes;
                self.bytes -= pending.bytes;
            }
            self.settle_room(place.shard);
            self.schedule(place.shard);
        }
        sending.handled()
    }

    /// The session has ended in peace: what it sent goes on, nobody asks for its `h`.
    pub fn release(&mut self, session: Local) {
        self.waiting.remove(&session);
        if let Some(sending) = self.sessions.get_mut(&session) {
            sending.released = true;
            if sending.is_settled() {
                self.sessions.remove(&session);
            }
        }
    }

    /// Sends again, or asks again, where nothing was heard for too long.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(when, shard)) = self.timers.first()
            && when <= now
        {
            self.timers.pop_first();
            if let Some(lane) = self.lanes.get_mut(&shard) {
                lane.handle_timeout();
                self.schedule(shard);
            }
        }
    }

    /// When to call [`handle_timeout`](Uplink::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(when, _)| *when)
    }

    /// What to tell the sessions.
    pub fn poll_event(&mut self) -> Option<UplinkEvent> {
        self.events.pop_front()
    }

    /// What to send to this node now, about `bytes_max` of it, shards in turn. Empty if there is
    /// nothing, or no link.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        peer: Incarnation,
        bytes_max: usize,
    ) -> Vec<Sends> {
        let mut batch = Vec::new();
        let mut room = bytes_max;
        while room > 0
            && let Some(shard) = self.peers.get_mut(&peer).and_then(VecDeque::pop_front)
        {
            let Some(lane) = self.lanes.get_mut(&shard) else { continue };
            if lane.owner != peer {
                continue;
            }
            lane.queued = false;
            batch.extend(lane.transmit(shard, &mut room));
            lane.arm(now, shard, &mut self.timers);
            self.schedule(shard);
        }
        batch
    }

    /// Whether [`poll_transmit`](Uplink::poll_transmit) may have something for this node.
    pub fn has_unsent(&self, peer: Incarnation) -> bool {
        self.peers.get(&peer).is_some_and(|ready| !ready.is_empty())
    }

    /// Whether nothing is kept: all that was sent is accepted.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// What is kept, by the measure of the bounds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// At which epoch a shard's entries are sent.
    pub fn epoch(&self, shard: Shard) -> Option<Epoch> {
        self.lanes.get(&shard).map(|lane| lane.epoch)
    }

    /// The unaccepted entries of a shard, for an owner that recovers it: number and item.
    pub fn unaccepted(&self, shard: Shard) -> impl Iterator<Item = (u64, &Item)> {
        self.lanes.get(&shard).into_iter().flat_map(|lane| lane.unaccepted())
    }

    fn shards_of(&self, peer: Incarnation) -> Vec<Shard> {
        let lanes = self.lanes.iter();
        lanes.filter(|(_, lane)| lane.owner == peer).map(|(shard, _)| *shard).collect()
    }

    fn rewind(&mut self, shard: Shard) {
        if let Some(lane) = self.lanes.get_mut(&shard) {
            lane.out.rewind();
            lane.asks = !lane.out.is_empty();
        }
        self.schedule(shard);
    }

    /// Puts a lane with something to send on its owner's list.
    fn schedule(&mut self, shard: Shard) {
        let Some(lane) = self.lanes.get_mut(&shard) else { return };
        if !lane.queued
            && lane.has_something()
            && let Some(ready) = self.peers.get_mut(&lane.owner)
        {
            lane.queued = true;
            ready.push_back(shard);
        }
    }

    /// One entry is accepted: its bytes are free, and its session's prefix may move.
    fn accepted(&mut self, shard: Shard, pending: &Pending) {
        self.bytes -= pending.bytes;
        if let Some(lane) = self.lanes.get_mut(&shard) {
            lane.bytes -= pending.bytes;
        }
        let Some(session) = pending.session else { return };
        let Some(sending) = self.sessions.get_mut(&session) else { return };
        let handled = sending.accept(pending.ordinal, pending.bytes);
        if sending.released {
            if sending.is_settled() {
                self.sessions.remove(&session);
            }
            return;
        }
        if sending.waits && sending.bytes <= self.config.session_bytes_max / 2 {
            sending.waits = false;
            self.events.push_back(UplinkEvent::Writable(session));
        }
        if let Some(handled) = handled {
            self.events.push_back(UplinkEvent::Accepted { session, handled });
        }
    }

    /// Whether an item fits below every bound; if not, its session waits where it did not fit. The
    /// first item always fits, or one that is larger than the bound would wait for ever.
    fn has_room(&mut self, shard: Shard, session: Option<Local>, bytes: usize) -> bool {
        let fits = |held: usize, max: usize| held == 0 || held.saturating_add(bytes) <= max;
        if let Some(session) = session {
            let sending = self.sessions.entry(session).or_default();
            if !fits(sending.bytes, self.config.session_bytes_max) {
                sending.waits = true;
                return false;
            }
        }
        let lane = self.lanes.entry(shard).or_insert_with(Lane::unassigned);
        let waiting = match () {
            () if !fits(lane.bytes, self.config.shard_bytes_max) => &mut lane.waiting,
            () if !fits(self.bytes, self.config.bytes_max) => &mut self.waiting,
            () => return true,
        };
        waiting.extend(session);
        false
    }

    /// Wakes who waits, when half of what they wait for is free: earlier, all of them would fill it
    /// at once with one stanza each, again and again.
    fn settle_room(&mut self, shard: Shard) {
        let mut woken = Vec::new();
        if let Some(lane) = self.lanes.get_mut(&shard)
            && lane.bytes <= self.config.shard_bytes_max / 2
        {
            woken.extend(lane.waiting.drain());
        }
        if self.bytes <= self.config.bytes_max / 2 {
            woken.extend(self.waiting.drain());
        }
        // Seeded runs must not depend on the order of a hash set.
        woken.sort_unstable();
        self.events.extend(woken.into_iter().map(UplinkEvent::Writable));
    }
}

/// The lane that a frame is about, if it comes from the owner at the highest epoch.
fn current<'a>(
    lanes: &'a mut HashMap<Shard, Lane>,
    fence: &Fence,
    from: Incarnation,
    tenure: Tenure,
) -> Option<&'a mut Lane> {
    if matches!(fence.see(tenure), Seen::Older(_)) {
        return None;
    }
    lanes.get_mut(&tenure.shard).filter(|lane| lane.owner == from && lane.epoch == tenure.epoch)
}

#[cfg(test)]
#[path = "uplink_test.rs"]
mod tests;
