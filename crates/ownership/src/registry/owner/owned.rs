//! The sessions of one shard, on its owner.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included};
use std::time::Instant;

use jackdaw_jid::{BareJid, FullJid};

use super::entry::{Entry, Leaving, Left, Newcomer, Socket};
use super::out::Out;
use super::{ConflictPolicy, How, Over, RegistryConfig, RegistryEvent};
use crate::Incarnation;
use crate::registry::{
    Bind, Cause, Claim, Counters, End, Generation, Known, Nonce, Place, Refusal,
    SESSIONS_PER_SHARD_MAX, SessionName, Snapshot, Tenure, ToSocket,
};

/// Whether an owner may act for its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// It does.
    Active,
    /// Not yet.
    Recovering,
    /// Not any more. What it knows is kept until another owner has it.
    Sealed,
}

/// A shard of this node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Owned {
    pub(super) tenure: Tenure,
    pub(super) phase: Phase,
    /// What was known before this epoch is here.
    pub(super) is_installed: bool,
    /// How many generations were given out in this epoch.
    counter: u64,
    sessions: BTreeMap<FullJid, Entry>,
    names: BTreeMap<Generation, FullJid>,
    /// The highest attempt of each node. One that is not higher is a repetition.
    nonces: BTreeMap<Incarnation, Nonce>,
}

impl Owned {
    pub(super) fn new(tenure: Tenure) -> Owned {
        Owned {
            tenure,
            phase: Phase::Recovering,
            is_installed: false,
            counter: 0,
            sessions: BTreeMap::new(),
            names: BTreeMap::new(),
            nonces: BTreeMap::new(),
        }
    }

    /// Whether a snapshot may be installed: nothing else was.
    pub(super) fn waits(&self) -> bool {
        self.phase == Phase::Recovering && !self.is_installed
    }

    fn adopt(&mut self, jid: FullJid, entry: Entry) {
        self.names.insert(entry.generation, jid.clone());
        if let Some(before) = self.sessions.insert(jid, entry) {
            self.names.remove(&before.generation);
        }
    }

    pub(super) fn by_generation(&self, generation: Generation) -> Option<(&FullJid, &Entry)> {
        self.sessions.get_key_value(self.names.get(&generation)?)
    }

    /// The session that has the JID.
    pub(super) fn by_jid(&self, jid: &FullJid) -> Option<&Entry> {
        self.sessions.get(jid)
    }

    /// All sessions.
    pub(super) fn all(&self) -> impl Iterator<Item = (&FullJid, &Entry)> {
        self.sessions.iter()
    }

    /// Everything there is to say to the next owner.
    pub(super) fn snapshot(&self) -> Snapshot {
        let sessions = self.sessions.iter().map(|(jid, entry)| entry.known(self.tenure, jid));
        let nonces = self.nonces.iter().map(|(node, nonce)| (*node, *nonce));
        Snapshot { tenure: self.tenure, sessions: sessions.collect(), nonces: nonces.collect() }
    }

    /// A session that the owner before knew.
    pub(super) fn adopt_known(&mut self, known: Known) {
        let socket = known.socket.map(|(place, nonce)| Socket { place, nonce });
        let Known { session, generation, is_resumable, counters, .. } = known;
        let leaving = None;
        let entry = Entry { session, generation, socket, is_resumable, counters, leaving };
        self.adopt(known.jid, entry);
    }

    /// The attempts that the owner before had seen.
    pub(super) fn adopt_nonces(&mut self, nonces: Vec<(Incarnation, Nonce)>) {
        self.nonces.extend(nonces);
    }

    /// The sessions of one account: their names are those that begin with its own and a slash.
    pub(super) fn of(&self, account: &BareJid) -> impl Iterator<Item = (&FullJid, &Entry)> {
        // Behind the slash in ASCII, so behind every name that begins so.
        let (first, behind) = (format!("{account}/"), format!("{account}0"));
        self.sessions.range::<str, _>((Included(first.as_str()), Excluded(behind.as_str())))
    }

    /// An attempt that was not seen before.
    pub(super) fn bind(
        &mut self,
        now: Instant,
        newcomer: (Incarnation, Bind),
        config: &RegistryConfig,
        out: &mut Out,
    ) {
        let (from, bind) = newcomer;
        match self.judge(&bind, config) {
            Verdict::Free => self.grant(from, &bind, None, out),
            Verdict::Same => {
                let before = self.remove(&bind.jid);
                self.grant(from, &bind, before.as_ref(), out);
            }
            Verdict::Replaces(cause) => {
                self.replace(now, Newcomer { from, bind }, cause, config, out)
            }
            Verdict::Refused(why) => out.refuse(from, &bind, why),
        }
    }

    fn judge(&self, bind: &Bind, config: &RegistryConfig) -> Verdict {
        let Some(entry) = self.sessions.get(&bind.jid) else {
            return match bind.claim {
                Claim::Resume { .. } => Verdict::Refused(Refusal::NotFound),
                // The socket is there already: refusing it would end a session that lives.
                Claim::Again { .. } => Verdict::Free,
                Claim::New if self.is_full(&bind.jid.bare(), config) => {
                    Verdict::Refused(Refusal::TooMany)
                }
                Claim::New => Verdict::Free,
            };
        };
        match bind.claim {
            Claim::New if config.policy == ConflictPolicy::RefuseNew => {
                Verdict::Refused(Refusal::Conflict)
            }
            Claim::New => Verdict::Replaces(Cause::Conflict),
            Claim::Resume { session } if session == entry.session => {
                Verdict::Replaces(Cause::Resumed)
            }
            Claim::Resume { .. } => Verdict::Refused(Refusal::NotFound),
            Claim::Again { generation, .. } => match generation.cmp(&entry.generation) {
                std::cmp::Ordering::Less => Verdict::Refused(Refusal::Conflict),
                std::cmp::Ordering::Equal => Verdict::Same,
                std::cmp::Ordering::Greater => Verdict::Replaces(Cause::Conflict),
            },
        }
    }

    fn is_full(&self, account: &BareJid, config: &RegistryConfig) -> bool {
        self.sessions.len() >= SESSIONS_PER_SHARD_MAX
            || self.of(account).take(config.sessions_per_account_max).count()
                >= config.sessions_per_account_max
    }

    /// Whether an attempt is new; one that is not is answered as before.
    pub(super) fn is_new(&mut self, from: Incarnation, bind: &Bind, out: &mut Out) -> bool {
        let highest = self.nonces.entry(from).or_default();
        if bind.nonce > *highest {
            *highest = bind.nonce;
            return true;
        }
        let entry = self.sessions.get(&bind.jid);
        match entry {
            Some(entry) if entry.waits(from, bind.nonce) => {}
            // Its eviction is under way, and says more than this answer.
            Some(Entry { leaving: Some(_), socket: Some(socket), .. })
                if socket.is(from, bind.nonce) => {}
            Some(entry) if entry.socket.is_some_and(|socket| socket.is(from, bind.nonce)) => {
                out.bound(self.tenure, from, bind.nonce, entry);
            }
            _ => out.refuse(from, bind, Refusal::Stale),
        }
        false
    }

    /// An attempt is given up: whether it came before or comes late, nothing is left of it.
    pub(super) fn cancel(&mut self, from: Incarnation, jid: &FullJid, nonce: Nonce, out: &mut Out) {
        let highest = self.nonces.entry(from).or_default();
        *highest = nonce.max(*highest);
        if let Some(entry) = self.sessions.get_mut(jid) {
            if entry.waits(from, nonce) {
                let leaving = entry.leaving.as_mut();
                leaving.and_then(|leaving| leaving.newcomer.take());
            } else if entry.socket.is_some_and(|socket| socket.is(from, nonce)) {
                let generation = entry.generation;
                self.left(generation, Left::Ended(End::Detached), None, out);
            }
        }
        let frame = ToSocket::Refused { tenure: self.tenure, nonce, why: Refusal::Stale };
        out.frames.push_back((from, frame));
    }

    /// The newcomer gets the JID as soon as whoever has it is known to be gone.
    fn replace(
        &mut self,
        now: Instant,
        newcomer: Newcomer,
        cause: Cause,
        config: &RegistryConfig,
        out: &mut Out,
    ) {
        let Some(entry) = self.sessions.get_mut(&newcomer.bind.jid) else { return };
        let (generation, newcomer) = (entry.generation, Some(newcomer));
        let Some(before) = entry.leaving.replace(Leaving { cause, newcomer }) else {
            return match entry.socket {
                Some(_) => self.evict(now, generation, config, out),
                None => self.left(generation, Left::Lost, None, out),
            };
        };
        // Bound and evicted in one: the order of the owner decides.
        if let Some(Newcomer { from, bind }) = before.newcomer {
            out.refuse(from, &bind, Refusal::Conflict);
        }
    }

    /// Says, again, that a session is to end.
    pub(super) fn evict(
        &self,
        now: Instant,
        generation: Generation,
        config: &RegistryConfig,
        out: &mut Out,
    ) {
        let Some((_, entry)) = self.by_generation(generation) else { return };
        let (Some(socket), Some(leaving)) = (entry.socket, &entry.leaving) else { return };
        let (tenure, nonce, cause) = (self.tenure, socket.nonce, leaving.cause);
        let frame = ToSocket::Evict { tenure, generation, nonce, cause };
        out.frames.push_back((socket.place.incarnation, frame));
        out.timers.insert((now + config.resend, tenure, generation));
    }

    /// Whether a session has its socket on that node.
    pub(super) fn is_at(&self, generation: Generation, incarnation: Incarnation) -> bool {
        let socket = self.by_generation(generation).and_then(|(_, entry)| entry.socket);
        socket.is_some_and(|socket| socket.place.incarnation == incarnation)
    }

    /// A node has no such session any more.
    pub(super) fn unbind(
        &mut self,
        from: Incarnation,
        generation: Generation,
        end: End,
        counters: Option<Counters>,
        out: &mut Out,
    ) {
        // Whoever has the JID now came later, and is not concerned.
        if self.is_at(generation, from) {
            self.left(generation, Left::Ended(end), counters, out);
        } else if end == End::Closed {
            self.expire(generation, out);
        }
        if self.by_generation(generation).is_none_or(|(_, entry)| entry.socket.is_none()) {
            out.frames.push_back((from, ToSocket::Unbound { tenure: self.tenure, generation }));
        }
    }

    /// A session that waits to be resumed does so no more.
    pub(super) fn expire(&mut self, generation: Generation, out: &mut Out) {
        let waits = self.by_generation(generation).is_some_and(|(_, entry)| entry.socket.is_none());
        if waits {
            self.left(generation, Left::Ended(End::Closed), None, out);
        }
    }

    /// A session is without its socket. Whoever waits for its JID gets it.
    pub(super) fn left(
        &mut self,
        generation: Generation,
        left: Left,
        counters: Option<Counters>,
        out: &mut Out,
    ) {
        let Some(jid) = self.names.get(&generation).cloned() else { return };
        let Some(mut entry) = self.remove(&jid) else { return };
        entry.counters = counters.unwrap_or(entry.counters);
        let newcomer = entry.leaving.take().and_then(|leaving| leaving.newcomer);
        let goes_on = entry.goes_on(left);
        match newcomer {
            Some(Newcomer { from, bind }) if bind.claim.session() == Some(entry.session) => {
                if goes_on || left == Left::Ended(End::Evicted) {
                    self.grant(from, &bind, Some(&entry), out);
                } else {
                    out.over(jid, &entry, left);
                    out.refuse(from, &bind, Refusal::NotFound);
                }
            }
            Some(Newcomer { from, bind }) => {
                out.over_for(jid, &entry, Over::Conflict);
                self.grant(from, &bind, None, out);
            }
            None if goes_on => {
                entry.socket = None;
                out.detached(&jid, &entry);
                self.adopt(jid, entry);
            }
            None => out.over(jid, &entry, left),
        }
    }

    /// A node has ended: it holds no session any more, and none waits for it.
    pub(super) fn forget(&mut self, incarnation: Incarnation, out: &mut Out) {
        self.nonces.remove(&incarnation);
        for entry in self.sessions.values_mut() {
            if let Some(leaving) = &mut entry.leaving {
                leaving.newcomer.take_if(|newcomer| newcomer.from == incarnation);
            }
        }
        let there = |entry: &Entry| {
            entry.socket.is_some_and(|socket| socket.place.incarnation == incarnation)
        };
        let lost = self.sessions.values().filter(|entry| there(entry));
        let lost: Vec<Generation> = lost.map(|entry| entry.generation).collect();
        for generation in lost {
            self.left(generation, Left::Lost, None, out);
        }
    }

    /// The nodes whose sockets have sessions here.
    pub(super) fn nodes(&self) -> BTreeSet<Incarnation> {
        let sockets = self.sessions.values().filter_map(|entry| entry.socket);
        sockets.map(|socket| socket.place.incarnation).collect()
    }

    /// Nobody who waits is promised anything: he asks the next owner.
    pub(super) fn seal(&mut self) {
        self.phase = Phase::Sealed;
        self.sessions.values_mut().for_each(|entry| entry.leaving = None);
    }

    fn grant(&mut self, from: Incarnation, bind: &Bind, before: Option<&Entry>, out: &mut Out) {
        self.counter += 1;
        let generation = Generation::of(self.tenure, self.counter);
        let goes_on = before.map(|entry| entry.session).or(bind.claim.session());
        let place = Place { incarnation: from, worker: bind.worker };
        let entry = Entry {
            session: goes_on.unwrap_or(SessionName(generation)),
            generation,
            socket: Some(Socket { place, nonce: bind.nonce }),
            is_resumable: bind.is_resumable,
            counters: before.map_or(Counters::default(), |entry| entry.counters),
            leaving: None,
        };
        let how = match bind.claim {
            Claim::New => How::New,
            Claim::Resume { .. } => How::Resumed,
            Claim::Again { .. } => How::Returned { was_known: before.is_some() },
        };
        out.bound(self.tenure, from, bind.nonce, &entry);
        out.events.push_back(RegistryEvent::Bound {
            jid: bind.jid.clone(),
            session: entry.session,
            generation,
            place,
            how,
        });
        self.adopt(bind.jid.clone(), entry);
    }

    fn remove(&mut self, jid: &FullJid) -> Option<Entry> {
        let entry = self.sessions.remove(jid)?;
        self.names.remove(&entry.generation);
        Some(entry)
    }
}

/// What an owner makes of an attempt.
enum Verdict {
    Free,
    /// The socket that has the JID, of a node in its next life.
    Same,
    Replaces(Cause),
    Refused(Refusal),
}
