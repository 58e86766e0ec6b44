//! What an owner has to send and to say.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use jackdaw_jid::FullJid;

use super::entry::{Entry, Left};
use super::{Over, RegistryEvent};
use crate::Incarnation;
use crate::registry::{Bind, End, Generation, Known, Nonce, Refusal, Tenure, ToSocket};

/// What the machine has to send and to say, and when to look again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Out {
    pub(super) frames: VecDeque<(Incarnation, ToSocket)>,
    pub(super) events: VecDeque<RegistryEvent>,
    pub(super) timers: BTreeSet<(Instant, Tenure, Generation)>,
}

impl Out {
    pub(super) fn bound(&mut self, tenure: Tenure, to: Incarnation, nonce: Nonce, entry: &Entry) {
        let Entry { generation, session, counters, .. } = *entry;
        let frame = ToSocket::Bound { tenure, nonce, generation, session, counters };
        self.frames.push_back((to, frame));
    }

    pub(super) fn refuse(&mut self, to: Incarnation, bind: &Bind, why: Refusal) {
        let frame = ToSocket::Refused { tenure: bind.tenure, nonce: bind.nonce, why };
        self.frames.push_back((to, frame));
    }

    pub(super) fn detached(&mut self, jid: &FullJid, entry: &Entry) {
        self.events.push_back(RegistryEvent::Detached {
            jid: jid.clone(),
            session: entry.session,
            generation: entry.generation,
        });
    }

    /// A session that nobody has and nobody may resume.
    pub(super) fn lost(&mut self, known: Known) {
        let Known { jid, session, generation, counters, .. } = known;
        let why = Over::Lost;
        self.events.push_back(RegistryEvent::Over { jid, session, generation, counters, why });
    }

    pub(super) fn over(&mut self, jid: FullJid, entry: &Entry, left: Left) {
        let why = match left {
            Left::Ended(End::Closed | End::Detached) => Over::Closed,
            Left::Ended(End::Evicted) => Over::Conflict,
            Left::Gone => Over::Gone,
            Left::Lost => Over::Lost,
        };
        self.over_for(jid, entry, why);
    }

    pub(super) fn over_for(&mut self, jid: FullJid, entry: &Entry, why: Over) {
        let Entry { session, generation, counters, .. } = *entry;
        self.events.push_back(RegistryEvent::Over { jid, session, generation, counters, why });
    }
}
