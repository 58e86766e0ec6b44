//! The next owner asks everybody what is known of its shards.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use jackdaw_jid::FullJid;

use super::{Counters, Generation, Held, Nonce, Place, RESEND, SessionName, Tenure};
use crate::{Epoch, Incarnation, ShardId};

/// A session as an owner, or whoever keeps a copy for it, knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Known {
    /// When this was so: an owner of a lower epoch knows less.
    pub tenure: Tenure,
    /// Its full JID.
    pub jid: FullJid,
    /// The session.
    pub session: SessionName,
    /// Its generation.
    pub generation: Generation,
    /// Where its socket was, by which attempt; nowhere if it waited to be resumed.
    pub socket: Option<(Place, Nonce)>,
    /// Whether its client may resume it.
    pub is_resumable: bool,
    /// How far it had come.
    pub counters: Counters,
}

/// A sealed shard, on its way to the next owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Snapshot {
    /// The shard, in the epoch in which it is sealed.
    pub tenure: Tenure,
    /// Its sessions.
    pub sessions: Vec<Known>,
    /// The highest attempt of each node: a repetition is known as one.
    pub nonces: Vec<(Incarnation, Nonce)>,
}

/// A snapshot is not of the epoch before, or the shard is not waiting for one. It is thrown away,
/// and the shard recovered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the snapshot is not of the epoch before")]
pub struct Gap;

/// One question to each node, whatever the number of shards.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Recover {
    /// The epoch of the assignment.
    pub epoch: Epoch,
    /// The shards of it.
    pub shards: BTreeSet<ShardId>,
}

/// What one node knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Answer {
    /// The sessions whose sockets it has: [`Binds::held`](super::Binds::held).
    pub held: Vec<Held>,
    /// What it knows as owner of the past, and what it keeps for others:
    /// [`Registry::known`](super::Registry::known).
    pub known: Vec<Known>,
}

/// What all nodes know together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Recovered {
    /// The sessions that go on.
    pub sessions: Vec<Known>,
    /// Those that are over with their nodes: contacts are told when the shard is served.
    pub lost: Vec<Known>,
}

/// Waits for everybody: a node that lives, or its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Recovery {
    question: Recover,
    asked: BTreeMap<Incarnation, Instant>,
    answers: BTreeMap<Incarnation, Answer>,
    frames: VecDeque<Incarnation>,
}

impl Recovery {
    /// Asks those who can know something of an epoch before, this node among them. Only who is
    /// not named, because it joined later, need not be asked: it has seen the epoch already.
    pub fn new(
        now: Instant,
        question: Recover,
        nodes: impl IntoIterator<Item = Incarnation>,
    ) -> Recovery {
        let asked: BTreeMap<_, _> = nodes.into_iter().map(|node| (node, now + RESEND)).collect();
        let frames = asked.keys().copied().collect();
        Recovery { question, asked, answers: BTreeMap::new(), frames }
    }

    /// A node has answered. The answer is also its seal, and its first one counts: what it says
    /// later it says to the new owner in other frames.
    pub fn handle_answer(&mut self, from: Incarnation, epoch: Epoch, answer: Answer) {
        if epoch == self.question.epoch && self.asked.remove(&from).is_some() {
            self.answers.insert(from, answer);
        }
    }

    /// A node has ended: it is not waited for. What it has answered counts; its sockets are found
    /// to be silent when the shard is served.
    pub fn handle_ended(&mut self, incarnation: Incarnation) {
        self.asked.remove(&incarnation);
    }

    /// Asks again where no answer came.
    pub fn handle_timeout(&mut self, now: Instant) {
        for (node, due) in &mut self.asked {
            if *due <= now {
                *due = now + RESEND;
                self.frames.push_back(*node);
            }
        }
    }

    /// When to call [`handle_timeout`](Recovery::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.asked.values().min().copied()
    }

    /// Whom to ask.
    pub fn poll_transmit(&mut self) -> Option<(Incarnation, Recover)> {
        self.frames.pop_front().map(|node| (node, self.question.clone()))
    }

    /// What all know together, as soon as all have answered.
    pub fn recovered(&self) -> Option<Recovered> {
        self.asked.is_empty().then(|| self.resolve())
    }

    /// A socket that lives counts before anything that is remembered; else the highest generation
    /// does, of the highest epoch in which somebody acted for the shard.
    fn resolve(&self) -> Recovered {
        let mut best: BTreeMap<FullJid, Known> = BTreeMap::new();
        let mut latest: BTreeMap<ShardId, Epoch> = BTreeMap::new();
        let known = || self.answers.values().flat_map(|answer| &answer.known);
        for Known { tenure, .. } in known() {
            let epoch = latest.entry(tenure.shard).or_insert(tenure.epoch);
            *epoch = tenure.epoch.max(*epoch);
        }
        for known in known() {
            let is_latest = latest.get(&known.tenure.shard) == Some(&known.tenure.epoch);
            if is_latest && best.get(&known.jid).is_none_or(|it| it.generation < known.generation) {
                best.insert(known.jid.clone(), Known { socket: None, ..known.clone() });
            }
        }
        for held in self.answers.values().flat_map(|answer| &answer.held) {
            let before = best.get(&held.jid);
            if before.is_some_and(|it| it.socket.is_some() && it.generation > held.generation) {
                continue;
            }
            let same = before.filter(|it| it.session == held.session);
            let counters = same.map_or(Counters::default(), |it| it.counters);
            best.insert(held.jid.clone(), Known { counters, ..held.known(self.question.epoch) });
        }
        self.sort(best)
    }

    fn sort(&self, best: BTreeMap<FullJid, Known>) -> Recovered {
        let mut recovered = Recovered::default();
        for mut known in best.into_values() {
            known.tenure.epoch = self.question.epoch;
            if !self.question.shards.contains(&known.tenure.shard) {
                continue;
            }
            match known.socket {
                None if !known.is_resumable => recovered.lost.push(known),
                _ => recovered.sessions.push(known),
            }
        }
        recovered
    }
}

impl Held {
    /// The same as an owner of this epoch knows it.
    fn known(&self, epoch: Epoch) -> Known {
        let Held { shard, session, generation, place, nonce, is_resumable, .. } = *self;
        Known {
            tenure: Tenure { shard, epoch },
            jid: self.jid.clone(),
            session,
            generation,
            socket: Some((place, nonce)),
            is_resumable,
            counters: Counters::default(),
        }
    }
}
