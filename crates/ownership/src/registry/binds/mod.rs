//! The socket node's side: which of its sockets have their full JIDs.

mod socket;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use jackdaw_jid::FullJid;

use self::socket::{Attempt, Ending, Socket, State, Timer};
use super::{
    Bind, Cause, Claim, Counters, ENDS_MAX, End, Fence, Generation, Local, Moved, Nonce,
    PENDING_MAX, Place, RESEND, Refusal, Seen, SessionName, Tenure, ToOwner, ToSocket,
};
use crate::{Epoch, Incarnation, ShardId};

/// A socket that wants a full JID.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// The full JID.
    pub jid: FullJid,
    /// The shard of its account.
    pub shard: ShardId,
    /// The worker that has the socket.
    pub worker: u16,
    /// The session to be resumed, or none for a new one.
    pub resumes: Option<SessionName>,
    /// Whether the client may resume the session when it has lost its socket.
    pub is_resumable: bool,
}

/// So many attempts are unanswered. The client is to be refused with `resource-constraint`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many binds are unanswered")]
pub struct Full;

/// What the layer above has to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BindsEvent {
    /// The socket has its full JID: it may be read and written.
    Bound {
        /// Which socket.
        local: Local,
        /// Its session.
        session: SessionName,
        /// Its generation.
        generation: Generation,
        /// How far a session that was resumed had come.
        counters: Counters,
    },
    /// The lease is valid again, and the node has not been ended meanwhile: sockets that are bound
    /// go on.
    Continued,
    /// Somebody else gets the full JID. Stop reading and writing, drop what is not accepted, close
    /// the stream, and then say [`Binds::unbind`].
    Evicted {
        /// Which socket.
        local: Local,
        /// For what.
        cause: Cause,
    },
    /// The socket does not get its full JID, or does not get it back.
    Refused {
        /// Which socket.
        local: Local,
        /// Why.
        why: Refusal,
    },
    /// There is no valid lease: read no socket, write none, and tell no client an `h`.
    Suspended,
}

/// A session that this node has, as it says to an owner that recovers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Held {
    /// The shard of its account.
    pub shard: ShardId,
    /// Its full JID.
    pub jid: FullJid,
    /// The session.
    pub session: SessionName,
    /// Its generation.
    pub generation: Generation,
    /// Where the socket is.
    pub place: Place,
    /// The attempt by which it got the session.
    pub nonce: Nonce,
    /// Whether its client may resume it.
    pub is_resumable: bool,
}

/// The sockets of this node, as far as they concern owners.
///
/// Frames may be lost, repeated and reordered. Drain the `poll_*` methods after every call; a frame
/// to a node without a connection is thrown away, it comes again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Binds {
    incarnation: Incarnation,
    has_lease: bool,
    nonce: Nonce,
    resend: Duration,
    /// Who serves each shard.
    owners: BTreeMap<ShardId, (Incarnation, Epoch)>,
    sockets: BTreeMap<Local, Socket>,
    /// What is not answered.
    attempts: BTreeMap<Nonce, Attempt>,
    bound: BTreeMap<Generation, Local>,
    /// Ends that the owner has not confirmed.
    ends: BTreeMap<Generation, Ending>,
    timers: BTreeSet<(Instant, Timer)>,
    frames: VecDeque<(Incarnation, ToOwner)>,
    moved: Vec<(Incarnation, Moved)>,
    events: VecDeque<BindsEvent>,
}

impl Binds {
    /// No sockets, in this life of the node, without a lease.
    pub fn new(incarnation: Incarnation) -> Binds {
        Binds {
            incarnation,
            has_lease: false,
            nonce: Nonce::default(),
            resend: RESEND,
            owners: BTreeMap::new(),
            sockets: BTreeMap::new(),
            attempts: BTreeMap::new(),
            bound: BTreeMap::new(),
            ends: BTreeMap::new(),
            timers: BTreeSet::new(),
            frames: VecDeque::new(),
            moved: Vec::new(),
            events: VecDeque::new(),
        }
    }

    /// A client binds, or resumes. The answer is an event.
    pub fn bind(
        &mut self,
        now: Instant,
        local: Local,
        wanted: Wanted,
        fence: &Fence,
    ) -> Result<(), Full> {
        if self.attempts.len() >= PENDING_MAX {
            return Err(Full);
        }
        let claim = wanted.resumes.map_or(Claim::New, |session| Claim::Resume { session });
        let Wanted { jid, shard, worker, is_resumable, .. } = wanted;
        let state = State::Binding { nonce: Nonce::default(), claim };
        self.sockets.insert(local, Socket { jid, shard, worker, is_resumable, state });
        self.attempt(now, local, claim, fence);
        Ok(())
    }

    /// The socket is closed, or what an eviction asks for is done: nothing is read from it or
    /// written to it any more.
    pub fn unbind(
        &mut self,
        now: Instant,
        local: Local,
        end: End,
        counters: Counters,
        fence: &Fence,
    ) {
        let Some(Socket { jid, shard, state, .. }) = self.sockets.remove(&local) else { return };
        let due = None;
        let (generation, ending) = match state {
            State::Binding { nonce, claim } => {
                self.cancel(now, nonce, jid, fence);
                // Of an earlier life of the node, if there was one.
                let Claim::Again { generation, .. } = claim else { return };
                (generation, Ending { shard, end, counters: None, due })
            }
            State::Bound { generation, .. } => {
                (generation, Ending { shard, end, counters: Some(counters), due })
            }
            State::Leaving { generation, .. } => {
                (generation, Ending { shard, end: End::Evicted, counters: Some(counters), due })
            }
        };
        self.bound.remove(&generation);
        self.end(now, generation, ending, fence);
    }

    /// Whether the socket may be read and written now. Asked again behind every event.
    pub fn may_act(&self, local: Local) -> bool {
        let socket = self.sockets.get(&local);
        self.has_lease && socket.is_some_and(|socket| matches!(socket.state, State::Bound { .. }))
    }

    /// The lease is valid, or is not.
    pub fn handle_lease(&mut self, is_valid: bool) {
        if self.has_lease != is_valid {
            self.has_lease = is_valid;
            let event = if is_valid { BindsEvent::Continued } else { BindsEvent::Suspended };
            self.events.push_back(event);
        }
    }

    /// This node was ended, and has joined again. Its sockets get their full JIDs again before any
    /// of them is read or written.
    pub fn handle_rejoined(&mut self, now: Instant, incarnation: Incarnation, fence: &Fence) {
        self.incarnation = incarnation;
        self.attempts.clear();
        self.bound.clear();
        let locals: Vec<Local> = self.sockets.keys().copied().collect();
        for local in locals {
            let Some(socket) = self.sockets.get(&local) else { continue };
            if let Some(claim) = socket.claim() {
                self.attempt(now, local, claim, fence);
            }
        }
    }

    /// Shards are served by this node from this epoch on, as the map says. What is unanswered goes
    /// there, before any client is told anything.
    pub fn handle_active(
        &mut self,
        now: Instant,
        shards: &[ShardId],
        epoch: Epoch,
        owner: Incarnation,
        fence: &Fence,
    ) {
        let mut changed = BTreeSet::new();
        for shard in shards.iter().copied() {
            let before = self.owners.get(&shard).map(|(_, epoch)| *epoch);
            if before < Some(epoch) && !matches!(fence.see(Tenure { shard, epoch }), Seen::Older(_))
            {
                self.owners.insert(shard, (owner, epoch));
                changed.insert(shard);
            }
        }
        let attempts = self.attempts.iter().filter(|(_, it)| changed.contains(&it.shard));
        let ends = self.ends.iter().filter(|(_, it)| changed.contains(&it.shard));
        let due: Vec<Timer> = attempts
            .map(|(nonce, _)| Timer::Attempt(*nonce))
            .chain(ends.map(|(generation, _)| Timer::End(*generation)))
            .collect();
        due.into_iter().for_each(|timer| self.send(now, timer, fence));
    }

    /// A frame of an owner.
    pub fn handle(&mut self, now: Instant, from: Incarnation, frame: ToSocket, fence: &Fence) {
        let tenure = frame.tenure();
        if let Seen::Older(epoch) = fence.see(tenure) {
            let tenure = Tenure { epoch, ..tenure };
            let owner = self.owners.get(&tenure.shard).filter(|(_, known)| *known == epoch);
            self.moved.push((from, Moved { tenure, owner: owner.map(|(owner, _)| *owner) }));
            return;
        }
        let shard = tenure.shard;
        match frame {
            ToSocket::Bound { nonce, generation, session, counters, .. } => {
                self.handle_bound(now, shard, nonce, (session, generation, counters), fence);
            }
            ToSocket::Evict { generation, nonce, cause, .. } => {
                self.handle_evict(now, shard, generation, nonce, cause, fence);
            }
            ToSocket::Refused { nonce, why, .. } => self.handle_refused(now, nonce, why, fence),
            ToSocket::Unbound { generation, .. } => drop(self.ends.remove(&generation)),
        }
    }

    /// An answer that knows a higher epoch. The shard's owner is asked when the map names it.
    pub fn handle_moved(&mut self, moved: Moved, fence: &Fence) {
        fence.see(moved.tenure);
    }

    /// Asks again where no answer came.
    pub fn handle_timeout(&mut self, now: Instant, fence: &Fence) {
        while let Some(&(when, timer)) = self.timers.first()
            && when <= now
        {
            self.timers.pop_first();
            if self.is_due(timer, when) {
                self.send(now, timer, fence);
            }
        }
    }

    /// When to call [`handle_timeout`](Binds::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(when, _)| *when)
    }

    /// What to send to whom.
    pub fn poll_transmit(&mut self) -> Option<(Incarnation, ToOwner)> {
        self.frames.pop_front()
    }

    /// Which frames to refuse, for a higher epoch than theirs.
    pub fn poll_moved(&mut self) -> Option<(Incarnation, Moved)> {
        self.moved.pop()
    }

    /// What the layer above has to do.
    pub fn poll_event(&mut self) -> Option<BindsEvent> {
        self.events.pop_front()
    }

    /// Whether owners have answered everything.
    pub fn is_quiet(&self) -> bool {
        self.attempts.is_empty() && self.ends.is_empty()
    }

    /// The sessions of these shards, for an owner that recovers them at this epoch. From now on no
    /// earlier owner is believed, so nothing is added to them behind this answer's back.
    pub fn held(&self, shards: &BTreeSet<ShardId>, epoch: Epoch, fence: &Fence) -> Vec<Held> {
        for shard in shards {
            fence.see(Tenure { shard: *shard, epoch });
        }
        let sockets = self.sockets.values().filter(|socket| shards.contains(&socket.shard));
        sockets.filter_map(|socket| socket.held(self.incarnation)).collect()
    }

    fn handle_bound(
        &mut self,
        now: Instant,
        shard: ShardId,
        nonce: Nonce,
        (session, generation, counters): (SessionName, Generation, Counters),
        fence: &Fence,
    ) {
        let is_given_up = self.attempts.get(&nonce).is_some_and(|it| it.local().is_none());
        let local = self.attempts.get(&nonce).and_then(Attempt::local);
        if let Some((local, socket)) =
            local.and_then(|local| Some((local, self.sockets.get_mut(&local)?)))
        {
            self.attempts.remove(&nonce);
            socket.state = State::Bound { session, generation, nonce };
            self.bound.insert(generation, local);
            self.events.push_back(BindsEvent::Bound { local, session, generation, counters });
        } else if !is_given_up
            && !self.bound.contains_key(&generation)
            && !self.ends.contains_key(&generation)
        {
            // Nobody here wants it any more. If it can be resumed, it waits for that.
            let ending = Ending { shard, end: End::Detached, counters: None, due: None };
            self.end(now, generation, ending, fence);
        }
    }

    fn handle_evict(
        &mut self,
        now: Instant,
        shard: ShardId,
        generation: Generation,
        nonce: Nonce,
        cause: Cause,
        fence: &Fence,
    ) {
        if let Some(local) = self.bound.get(&generation).copied() {
            if let Some(socket) = self.sockets.get_mut(&local)
                && socket.leave()
            {
                self.events.push_back(BindsEvent::Evicted { local, cause });
            }
            return;
        }
        if self.ends.contains_key(&generation) {
            return self.send(now, Timer::End(generation), fence);
        }
        // The owner's answer to the attempt is still on its way, and must find nobody.
        let attempt = self.attempts.remove(&nonce).and_then(|attempt| attempt.local());
        if let Some(local) = attempt.or_else(|| self.returning(generation)) {
            self.refused(local, Refusal::Conflict);
        }
        let ending = Ending { shard, end: End::Evicted, counters: None, due: None };
        self.end(now, generation, ending, fence);
    }

    fn handle_refused(&mut self, now: Instant, nonce: Nonce, why: Refusal, fence: &Fence) {
        let Some(local) = self.attempts.remove(&nonce).and_then(|attempt| attempt.local()) else {
            return;
        };
        let claim = self.sockets.get(&local).and_then(Socket::claim);
        match claim {
            Some(claim) if why == Refusal::Stale => self.attempt(now, local, claim, fence),
            _ => self.refused(local, why),
        }
    }

    fn refused(&mut self, local: Local, why: Refusal) {
        if let Some(socket) = self.sockets.remove(&local) {
            if let State::Binding { nonce, .. } = socket.state {
                self.attempts.remove(&nonce);
            }
            self.events.push_back(BindsEvent::Refused { local, why });
        }
    }
}
