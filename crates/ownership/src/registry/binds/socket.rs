//! One socket, what it waits for, and what is said of it until it is answered.

use std::time::Instant;

use jackdaw_jid::FullJid;

use super::{
    Bind, Binds, Claim, Counters, ENDS_MAX, End, Fence, Generation, Held, Local, Nonce, Place,
    SessionName, Tenure, ToOwner,
};
use crate::{Incarnation, ShardId};

/// A socket whose client binds, or has bound.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Socket {
    pub(super) jid: FullJid,
    pub(super) shard: ShardId,
    pub(super) worker: u16,
    pub(super) is_resumable: bool,
    pub(super) state: State,
}

/// How far a socket has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum State {
    /// The owner has not answered.
    Binding { nonce: Nonce, claim: Claim },
    /// It has its full JID.
    Bound { session: SessionName, generation: Generation, nonce: Nonce },
    /// Somebody else gets it, and the layer above is closing it.
    Leaving { session: SessionName, generation: Generation, nonce: Nonce },
}

/// An attempt that is not answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Attempt {
    pub(super) shard: ShardId,
    pub(super) of: Of,
    due: Option<Instant>,
}

/// Whose an attempt is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Of {
    /// This socket's.
    Socket(Local),
    /// Nobody's any more, and the owner has not confirmed that.
    Nobody(FullJid),
}

/// The end of a session, until its owner has confirmed it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ending {
    pub(super) shard: ShardId,
    pub(super) end: End,
    pub(super) counters: Option<Counters>,
    pub(super) due: Option<Instant>,
}

/// What is to be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Timer {
    Attempt(Nonce),
    End(Generation),
}

impl Attempt {
    /// The socket that waits.
    pub(super) fn local(&self) -> Option<Local> {
        match self.of {
            Of::Socket(local) => Some(local),
            Of::Nobody(_) => None,
        }
    }
}

impl Socket {
    /// By what it should get its full JID, if it is to have it.
    pub(super) fn claim(&self) -> Option<Claim> {
        match self.state {
            State::Binding { claim, .. } => Some(claim),
            State::Bound { session, generation, .. } => Some(Claim::Again { session, generation }),
            State::Leaving { .. } => None,
        }
    }

    /// False if it is leaving already.
    pub(super) fn leave(&mut self) -> bool {
        let State::Bound { session, generation, nonce } = self.state else { return false };
        self.state = State::Leaving { session, generation, nonce };
        true
    }

    /// Its session, also if it is about to leave: it may still be read and written.
    pub(super) fn held(&self, incarnation: Incarnation) -> Option<Held> {
        let (State::Bound { session, generation, nonce }
        | State::Leaving { session, generation, nonce }) = self.state
        else {
            return None;
        };
        let place = Place { incarnation, worker: self.worker };
        let (shard, is_resumable) = (self.shard, self.is_resumable);
        Some(Held { shard, jid: self.jid.clone(), session, generation, place, nonce, is_resumable })
    }
}

impl Binds {
    /// Asks the owner, by a new name: what was asked before counts no more.
    pub(super) fn attempt(&mut self, now: Instant, local: Local, claim: Claim, fence: &Fence) {
        self.nonce.0 += 1;
        let nonce = self.nonce;
        let Some(socket) = self.sockets.get_mut(&local) else { return };
        socket.state = State::Binding { nonce, claim };
        let attempt = Attempt { shard: socket.shard, of: Of::Socket(local), due: None };
        self.attempts.insert(nonce, attempt);
        self.send(now, Timer::Attempt(nonce), fence);
    }

    /// The owner may have given a session to the attempt, or may do so yet.
    pub(super) fn cancel(&mut self, now: Instant, nonce: Nonce, jid: FullJid, fence: &Fence) {
        let Some(attempt) = self.attempts.get_mut(&nonce) else { return };
        attempt.of = Of::Nobody(jid);
        self.send(now, Timer::Attempt(nonce), fence);
    }

    /// Tells the owner until it has confirmed.
    pub(super) fn end(
        &mut self,
        now: Instant,
        generation: Generation,
        ending: Ending,
        fence: &Fence,
    ) {
        if self.ends.len() >= ENDS_MAX {
            // The next delivery to it is answered with `Gone`.
            self.ends.pop_first();
        }
        self.ends.insert(generation, ending);
        self.send(now, Timer::End(generation), fence);
    }

    /// The socket that had this generation in an earlier life of the node, and waits for the next.
    pub(super) fn returning(&self, wanted: Generation) -> Option<Local> {
        let waits = |socket: &Socket| match socket.state {
            State::Binding { claim: Claim::Again { generation, .. }, .. } => generation == wanted,
            _ => false,
        };
        let locals = self.attempts.values().filter_map(Attempt::local);
        locals.into_iter().find(|local| self.sockets.get(local).is_some_and(waits))
    }

    /// Whether a timer is the one that was set last.
    pub(super) fn is_due(&self, timer: Timer, when: Instant) -> bool {
        let due = match timer {
            Timer::Attempt(nonce) => self.attempts.get(&nonce).and_then(|attempt| attempt.due),
            Timer::End(generation) => self.ends.get(&generation).and_then(|ending| ending.due),
        };
        due == Some(when)
    }

    /// Says it to whoever serves the shard, if anybody does, and looks again later.
    pub(super) fn send(&mut self, now: Instant, timer: Timer, fence: &Fence) {
        let due = now + self.resend;
        let shard = match timer {
            Timer::Attempt(nonce) => {
                let Some(attempt) = self.attempts.get_mut(&nonce) else { return };
                attempt.due = Some(due);
                attempt.shard
            }
            Timer::End(generation) => {
                let Some(ending) = self.ends.get_mut(&generation) else { return };
                ending.due = Some(due);
                ending.shard
            }
        };
        self.timers.insert((due, timer));
        let Some((owner, epoch)) = self.owners.get(&shard).copied() else { return };
        let tenure = Tenure { shard, epoch };
        if let Some(frame) = self.frame(timer, tenure)
            && fence.holds(tenure)
        {
            self.frames.push_back((owner, frame));
        }
    }

    fn frame(&self, timer: Timer, tenure: Tenure) -> Option<ToOwner> {
        match timer {
            Timer::End(generation) => {
                let Ending { end, counters, .. } = *self.ends.get(&generation)?;
                Some(ToOwner::Unbind { tenure, generation, end, counters })
            }
            Timer::Attempt(nonce) => match &self.attempts.get(&nonce)?.of {
                Of::Nobody(jid) => Some(ToOwner::Cancel { tenure, jid: jid.clone(), nonce }),
                Of::Socket(local) => {
                    let socket = self.sockets.get(local)?;
                    let State::Binding { claim, .. } = socket.state else { return None };
                    let (jid, worker) = (socket.jid.clone(), socket.worker);
                    let is_resumable = socket.is_resumable;
                    Some(ToOwner::Bind(Bind { tenure, jid, worker, nonce, claim, is_resumable }))
                }
            },
        }
    }
}
