//! The socket node's end of deliveries: only the next number of a session is taken.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::incoming::{Incoming, Take};
use super::{Fence, Seen, Violation};
use crate::frame::{
    Control, Deliveries, DeliveryReceipt, Generation, Gone, Incarnation, Moved, Parcel, Shard,
    Tenure,
};

/// A delivery that is next for its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// From whom.
    pub tenure: Tenure,
    /// For which session.
    pub generation: Generation,
    /// Its number in the session.
    pub number: u64,
    /// The stanza.
    pub parcel: Parcel,
}

/// Sessions whose sockets this worker has.
#[derive(Debug, Default)]
pub struct Arrivals {
    sessions: HashMap<Generation, Session>,
    /// What is to be told to whom; sessions, not frames, so it cannot pile up behind a link that
    /// is stuck, beyond what the sessions there are.
    due: BTreeMap<Incarnation, Due>,
    events: VecDeque<Arrival>,
}

#[derive(Debug)]
struct Session {
    shard: Shard,
    incoming: Incoming,
}

/// Sessions that a peer may name in vain before an answer has left. More are not answered; the
/// owner asks again.
const GONE_MAX: usize = 4096;

#[derive(Debug, Default)]
struct Due {
    /// The receipt of a session, and whether its number is missed.
    receipts: BTreeMap<Generation, bool>,
    gone: BTreeMap<Generation, Tenure>,
    moved: BTreeMap<Shard, Tenure>,
}

impl Arrivals {
    /// The session is bound here; `next` is 1, or what a resumed record says.
    pub fn open(&mut self, shard: Shard, generation: Generation, next: u64) {
        let incoming = Incoming::starting_at(next);
        self.sessions.insert(generation, Session { shard, incoming });
    }

    /// The session is over; what comes for it is answered with `Gone`. Gives the next number that
    /// it would have taken.
    pub fn close(&mut self, generation: Generation) -> Option<u64> {
        self.sessions.remove(&generation).map(|session| session.incoming.next())
    }

    /// Something arrived on a stream to this node.
    pub fn handle_deliveries(
        &mut self,
        from: Incarnation,
        deliveries: Deliveries,
        fence: &Fence,
    ) -> Result<(), Violation> {
        let Deliveries { tenure, generation, first, parcels } = deliveries;
        let due = self.due.entry(from).or_default();
        if let Seen::Older(epoch) = fence.see(tenure) {
            due.moved.insert(tenure.shard, Tenure { epoch, ..tenure });
            return Ok(());
        }
        let session = self.sessions.get_mut(&generation);
        let Some(session) = session.filter(|session| session.shard == tenure.shard) else {
            if due.gone.len() < GONE_MAX {
                due.gone.insert(generation, tenure);
            }
            return Ok(());
        };
        match session.incoming.take(first, parcels.len() as u64)? {
            Take::Missing { ask: false } => {}
            Take::Missing { ask: true } => drop(due.receipts.insert(generation, true)),
            Take::From(skip) => {
                due.receipts.insert(generation, false);
                let numbered = (first..).zip(parcels).filter(|(number, _)| *number >= first + skip);
                self.events.extend(numbered.map(|(number, parcel)| Arrival {
                    tenure,
                    generation,
                    number,
                    parcel,
                }));
            }
        }
        Ok(())
    }

    /// This life of a node is over.
    pub fn forget(&mut self, peer: Incarnation) {
        self.due.remove(&peer);
    }

    /// What to hand to the sessions.
    pub fn poll_event(&mut self) -> Option<Arrival> {
        self.events.pop_front()
    }

    /// What to tell this node on the control stream, at most `frames_max` frames.
    pub fn poll_answers(
        &mut self,
        peer: Incarnation,
        frames_max: usize,
        fence: &Fence,
    ) -> Vec<Control> {
        let Some(due) = self.due.get_mut(&peer) else { return Vec::new() };
        let mut frames = Vec::new();
        while frames.len() < frames_max {
            if let Some((_, tenure)) = due.moved.pop_first() {
                frames.push(Control::Moved(Moved { tenure, owner: None }));
            } else if let Some((generation, tenure)) = due.gone.pop_first() {
                frames.push(Control::Gone(Gone { tenure, generation }));
            } else if let Some((generation, missed)) = due.receipts.pop_first() {
                let Some(session) = self.sessions.get(&generation) else { continue };
                let (shard, next) = (session.shard, session.incoming.next());
                let tenure = Tenure { shard, epoch: fence.highest(shard) };
                let receipt = DeliveryReceipt { tenure, generation, next, missed };
                frames.push(Control::DeliveryReceipt(receipt));
            } else {
                break;
            }
        }
        frames
    }

    /// The next number that a session takes.
    pub fn next(&self, generation: Generation) -> Option<u64> {
        self.sessions.get(&generation).map(|session| session.incoming.next())
    }
}
