//! One session, on its owner.

use jackdaw_jid::FullJid;

use super::Registered;
use crate::Incarnation;
use crate::registry::{
    Bind, Cause, Counters, End, Generation, Known, Nonce, Place, SessionName, Tenure,
};

/// A session on its owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) session: SessionName,
    pub(super) generation: Generation,
    /// None while it waits to be resumed.
    pub(super) socket: Option<Socket>,
    pub(super) is_resumable: bool,
    pub(super) counters: Counters,
    /// It is evicted, and its node has not said that it is gone.
    pub(super) leaving: Option<Leaving>,
}

/// Where a session has its socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Socket {
    pub(super) place: Place,
    /// The attempt by which it got the session.
    pub(super) nonce: Nonce,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Leaving {
    pub(super) cause: Cause,
    /// For whom. None if that node ended meanwhile.
    pub(super) newcomer: Option<Newcomer>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Newcomer {
    pub(super) from: Incarnation,
    pub(super) bind: Bind,
}

/// Why an entry is without a socket now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Its node said so.
    Ended(End),
    /// Its node does not know it.
    Gone,
    /// Its node has ended.
    Lost,
}

impl Socket {
    pub(super) fn is(&self, incarnation: Incarnation, nonce: Nonce) -> bool {
        self.place.incarnation == incarnation && self.nonce == nonce
    }
}

impl Entry {
    pub(super) fn registered(&self, jid: &FullJid) -> Registered {
        let place = self.socket.map(|socket| socket.place);
        let Entry { session, generation, .. } = *self;
        Registered { jid: jid.clone(), session, generation, place }
    }

    pub(super) fn known(&self, tenure: Tenure, jid: &FullJid) -> Known {
        let socket = self.socket.map(|socket| (socket.place, socket.nonce));
        let Entry { session, generation, is_resumable, counters, .. } = *self;
        let jid = jid.clone();
        Known { tenure, jid, session, generation, socket, is_resumable, counters }
    }

    /// Whether the attempt waits for the end of this session.
    pub(super) fn waits(&self, from: Incarnation, nonce: Nonce) -> bool {
        let newcomer = self.leaving.as_ref().and_then(|leaving| leaving.newcomer.as_ref());
        newcomer.is_some_and(|newcomer| newcomer.from == from && newcomer.bind.nonce == nonce)
    }

    /// Whether the session waits to be resumed.
    pub(super) fn goes_on(&self, left: Left) -> bool {
        match left {
            Left::Ended(End::Detached) | Left::Gone | Left::Lost => self.is_resumable,
            Left::Ended(End::Closed | End::Evicted) => false,
        }
    }
}
