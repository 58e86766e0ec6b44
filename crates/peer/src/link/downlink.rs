//! The owner's end towards sockets: deliveries, numbered per session.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Instant;

use super::outgoing::Outgoing;
use super::{ENTRY_BYTES, Fence, SESSION_BYTES_MAX, Seen, Violation, backoff};
use crate::frame::{
    Deliveries, DeliveryReceipt, Generation, Gone, Incarnation, LinkId, Parcel, Shard, Tenure,
};

/// What its driver has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DownlinkEvent {
    /// The session is not where it was believed to be: drop its entry, and treat what its client
    /// has not acknowledged as undelivered.
    Gone(Generation),
    /// A higher epoch was seen: the session has another owner.
    Deposed(Generation),
}

/// The deliveries of one session, on its way from owner to owner with its shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryState {
    /// The session.
    pub generation: Generation,
    /// Where its socket is.
    pub socket: LinkId,
    /// The number of the first parcel.
    pub first: u64,
    /// What its node is not known to have.
    pub parcels: Vec<Parcel>,
}

/// Sessions of the shards that this node owns, whose sockets other nodes have.
#[derive(Debug, Default)]
pub struct Downlink {
    sessions: HashMap<Generation, Session>,
    /// Streams that are open, and which sessions have something to send on them.
    streams: HashMap<LinkId, VecDeque<Generation>>,
    timers: BTreeSet<(Instant, Generation)>,
    events: VecDeque<DownlinkEvent>,
    bytes: usize,
}

#[derive(Debug)]
struct Session {
    tenure: Tenure,
    socket: LinkId,
    out: Outgoing<Parcel>,
    bytes: usize,
    queued: bool,
    /// Nothing is unsent, and yet no receipt came.
    asks: bool,
    timer: Option<Instant>,
    attempts: u32,
}

fn cost(parcel: &Parcel) -> usize {
    parcel.stanza.len() + ENTRY_BYTES
}

impl Downlink {
    /// A session of a shard of ours has its socket there. `first` is 1 at its bind, and behind the
    /// highest that its node has taken where another owner delivered before.
    pub fn open(
        &mut self,
        fence: &Fence,
        tenure: Tenure,
        generation: Generation,
        socket: LinkId,
        first: u64,
    ) {
        let state = DeliveryState { generation, socket, first, parcels: Vec::new() };
        self.install(fence, tenure, state);
    }

    /// The same with what the owner before had sent in vain.
    pub fn install(&mut self, fence: &Fence, tenure: Tenure, state: DeliveryState) {
        if matches!(fence.see(tenure), Seen::Older(_)) {
            return;
        }
        self.close(state.generation);
        let mut out = Outgoing::starting_at(state.first);
        let bytes = state.parcels.iter().map(cost).sum();
        for parcel in state.parcels {
            out.push(parcel);
        }
        self.bytes += bytes;
        let socket = state.socket;
        let session = Session {
            tenure,
            socket,
            out,
            bytes,
            queued: false,
            asks: false,
            timer: None,
            attempts: 0,
        };
        self.sessions.insert(state.generation, session);
        self.schedule(state.generation);
    }

    /// The session is over. Gives back what its node is not known to have.
    pub fn close(&mut self, generation: Generation) -> Vec<Parcel> {
        let Some(session) = self.sessions.remove(&generation) else { return Vec::new() };
        if let Some(when) = session.timer {
            self.timers.remove(&(when, generation));
        }
        self.bytes -= session.bytes;
        session.out.into_open().collect()
    }

    /// Gives a stanza its number. Given back at the session's bound, or without the session: it is
    /// for the spool then.
    pub fn deliver(&mut self, generation: Generation, parcel: Parcel) -> Result<u64, Box<Parcel>> {
        let Some(session) = self.sessions.get_mut(&generation) else {
            return Err(Box::new(parcel));
        };
        let cost = cost(&parcel);
        if session.bytes > 0 && session.bytes + cost > SESSION_BYTES_MAX {
            return Err(Box::new(parcel));
        }
        session.bytes += cost;
        self.bytes += cost;
        let number = session.out.push(parcel);
        self.schedule(generation);
        Ok(number)
    }

    /// Gives all sessions of a shard away, to the next owner.
    pub fn hand_over(&mut self, shard: Shard) -> Vec<DeliveryState> {
        let of_shard = self.sessions.iter().filter(|(_, session)| session.tenure.shard == shard);
        let mut generations: Vec<Generation> = of_shard.map(|(name, _)| *name).collect();
        generations.sort_unstable();
        let states = generations.into_iter().filter_map(|generation| {
            let session = self.sessions.get(&generation)?;
            let (socket, first) = (session.socket, session.out.floor());
            Some(DeliveryState { generation, socket, first, parcels: self.close(generation) })
        });
        states.collect()
    }

    /// The stream of a worker is open: what its sessions are not known to have goes out again.
    pub fn handle_connected(&mut self, stream: LinkId) {
        self.streams.insert(stream, VecDeque::new());
        for generation in self.sessions_of(stream) {
            if let Some(session) = self.sessions.get_mut(&generation) {
                session.out.rewind();
            }
            self.schedule(generation);
        }
    }

    /// It is gone.
    pub fn handle_disconnected(&mut self, stream: LinkId) {
        self.streams.remove(&stream);
        for generation in self.sessions_of(stream) {
            let Some(session) = self.sessions.get_mut(&generation) else { continue };
            session.queued = false;
            if let Some(when) = session.timer.take() {
                self.timers.remove(&(when, generation));
            }
        }
    }

    /// What a socket node has taken. An answer that knows a higher epoch ends the ownership here.
    pub fn handle_receipt(
        &mut self,
        now: Instant,
        from: Incarnation,
        receipt: DeliveryReceipt,
        fence: &Fence,
    ) -> Result<(), Violation> {
        fence.see(receipt.tenure);
        let generation = receipt.generation;
        if !self.is_current(from, generation, fence) {
            return Ok(());
        }
        let Some(session) = self.sessions.get_mut(&generation) else { return Ok(()) };
        let news = match receipt.missed {
            // Late: a receipt said more since.
            true if receipt.next < session.out.floor() => return Ok(()),
            true => session.out.missed(receipt.next)?,
            false => session.out.receipt(receipt.next)?,
        };
        for number in session.out.floor()..receipt.next {
            if let Some(parcel) = session.out.finish(number) {
                session.bytes -= cost(&parcel);
                self.bytes -= cost(&parcel);
            }
        }
        if news {
            session.attempts = 0;
            if let Some(when) = session.timer.take() {
                self.timers.remove(&(when, generation));
            }
            self.arm(now, generation);
        }
        self.schedule(generation);
        Ok(())
    }

    /// A socket node has no such session.
    pub fn handle_gone(&mut self, from: Incarnation, gone: Gone, fence: &Fence) {
        fence.see(gone.tenure);
        if self.is_current(from, gone.generation, fence) {
            self.events.push_back(DownlinkEvent::Gone(gone.generation));
        }
    }

    /// Sends again where no receipt came.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(when, generation)) = self.timers.first()
            && when <= now
        {
            self.timers.pop_first();
            let Some(session) = self.sessions.get_mut(&generation) else { continue };
            session.timer = None;
            session.attempts = session.attempts.saturating_add(1);
            session.out.rewind();
            session.asks = true;
            self.schedule(generation);
        }
    }

    /// When to call [`handle_timeout`](Downlink::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(when, _)| *when)
    }

    /// What the layer above has to know.
    pub fn poll_event(&mut self) -> Option<DownlinkEvent> {
        self.events.pop_front()
    }

    /// What to send on this stream now, about `bytes_max` of it, sessions in turn.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        stream: LinkId,
        bytes_max: usize,
        fence: &Fence,
    ) -> Vec<Deliveries> {
        let mut batch = Vec::new();
        let mut room = bytes_max;
        while room > 0
            && let Some(generation) = self.streams.get_mut(&stream).and_then(VecDeque::pop_front)
        {
            if let Some(session) = self.sessions.get_mut(&generation) {
                session.queued = false;
            }
            if !self.is_current(stream.incarnation, generation, fence) {
                continue;
            }
            let Some(session) = self.sessions.get_mut(&generation) else { continue };
            batch.extend(session.transmit(generation, &mut room));
            self.arm(now, generation);
            self.schedule(generation);
        }
        batch
    }

    /// What is kept, by the measure of the bounds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn sessions_of(&self, stream: LinkId) -> Vec<Generation> {
        let sessions = self.sessions.iter().filter(|(_, session)| session.socket == stream);
        let mut names: Vec<Generation> = sessions.map(|(name, _)| *name).collect();
        names.sort_unstable();
        names
    }

    /// Whether the session is ours, at the highest epoch, with its socket on that node. One that is
    /// ours no more is given up.
    fn is_current(&mut self, from: Incarnation, generation: Generation, fence: &Fence) -> bool {
        let Some(session) = self.sessions.get(&generation) else { return false };
        if !fence.holds(session.tenure) {
            self.close(generation);
            self.events.push_back(DownlinkEvent::Deposed(generation));
            return false;
        }
        session.socket.incarnation == from
    }

    fn arm(&mut self, now: Instant, generation: Generation) {
        let Some(session) = self.sessions.get_mut(&generation) else { return };
        if session.timer.is_none() && !session.out.is_empty() {
            let when = now + backoff(session.attempts);
            session.timer = Some(when);
            self.timers.insert((when, generation));
        }
    }

    fn schedule(&mut self, generation: Generation) {
        let Some(session) = self.sessions.get_mut(&generation) else { return };
        let something = session.out.has_unsent() || session.asks;
        if !session.queued
            && something
            && let Some(ready) = self.streams.get_mut(&session.socket)
        {
            session.queued = true;
            ready.push_back(generation);
        }
    }
}

impl Session {
    fn transmit(&mut self, generation: Generation, room: &mut usize) -> Option<Deliveries> {
        let asks = std::mem::take(&mut self.asks);
        let first = self.out.cursor();
        let mut parcels = Vec::new();
        while *room > 0
            && let Some(parcel) = self.out.advance()
        {
            // Receipts are cumulative, so nothing is done out of order and there is no gap.
            let Some(parcel) = parcel else { break };
            *room = room.saturating_sub(cost(parcel));
            parcels.push(parcel.clone());
        }
        let tenure = self.tenure;
        (asks || !parcels.is_empty()).then_some(Deliveries { tenure, generation, first, parcels })
    }
}

#[cfg(test)]
#[path = "downlink_test.rs"]
mod tests;
