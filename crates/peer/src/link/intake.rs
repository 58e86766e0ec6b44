//! The owner's end: takes the next number of every sequence, and tells receipts and accepts.

mod sequence;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use self::sequence::Sequence;
use super::{Fence, Seen, Violation};
use crate::frame::{Control, Epoch, Incarnation, Item, LinkId, Moved, Range, Sends, Shard, Tenure};

/// What its driver has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntakeEvent {
    /// The next item of a sequence. To be accepted with the same names when it is durable.
    Taken {
        /// For whom it was sent.
        tenure: Tenure,
        /// By whom.
        link: LinkId,
        /// Its number.
        number: u64,
        /// The item.
        item: Item,
    },
    /// A higher epoch was seen: this node owns the shard no more, and what it holds of it without
    /// an accept is somebody else's.
    Deposed(Tenure),
}

/// One sequence, on its way from owner to owner with its shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// Whose.
    pub link: LinkId,
    /// Everything below was taken.
    pub next: u64,
    /// Everything below was accepted, by what the sender has said.
    pub floor: u64,
    /// What is accepted above.
    pub accepted: Vec<Range>,
}

/// Shards of this node, and the sequences into them.
#[derive(Debug, Default)]
pub struct Intake {
    shards: HashMap<Shard, Owned>,
    /// What is to be told to whom; sequences, not frames, so it cannot pile up.
    due: BTreeMap<Incarnation, Due>,
    events: VecDeque<IntakeEvent>,
}

/// A shard of ours.
#[derive(Debug)]
struct Owned {
    epoch: Epoch,
    /// Takes nothing more, and says who will.
    sealed: Option<Moved>,
    links: HashMap<LinkId, Sequence>,
}

#[derive(Debug, Default)]
struct Due {
    sequences: BTreeSet<(Shard, LinkId)>,
    moved: BTreeMap<Shard, Moved>,
    /// Who sent for a shard at an epoch that this node has not claimed yet, and its floor.
    early: BTreeMap<(Shard, LinkId), (Epoch, u64)>,
}

impl Due {
    /// Who knocked at this epoch is to be told to begin.
    fn take_early(&mut self, shard: Shard, owned: &mut Owned) -> Vec<LinkId> {
        let first = (shard, LinkId::default());
        let of_shard = self.early.range(first..).take_while(|((at, _), _)| *at == shard);
        let links: Vec<_> = of_shard.map(|((_, link), early)| (*link, *early)).collect();
        let mut told = Vec::new();
        for (link, (epoch, floor)) in links {
            self.early.remove(&(shard, link));
            if epoch == owned.epoch {
                let known = owned.links.entry(link);
                known.or_insert_with(|| Sequence::starting_at(floor)).ask();
                told.push(link);
            }
        }
        told
    }
}

impl Intake {
    /// This node owns the shard: claimed when it may act for it, with what the owner before handed
    /// over, or with nothing after a crash. Senders continue from there. Where the state handed
    /// over is not sound, nothing is claimed: recover instead.
    pub fn claim(
        &mut self,
        fence: &Fence,
        tenure: Tenure,
        handed: Vec<LinkState>,
    ) -> Result<(), Violation> {
        let shard = tenure.shard;
        let known = self.shards.get(&shard).is_some_and(|owned| owned.epoch == tenure.epoch);
        if known || matches!(fence.see(tenure), Seen::Older(_)) {
            return Ok(());
        }
        let sequences = handed.into_iter().map(|state| Ok((state.link, Sequence::handed(&state)?)));
        let links = sequences.collect::<Result<HashMap<_, _>, Violation>>()?;
        let mut heard: Vec<LinkId> = links.keys().copied().collect();
        let mut owned = Owned { epoch: tenure.epoch, sealed: None, links };
        for due in self.due.values_mut() {
            due.moved.remove(&shard);
            heard.extend(due.take_early(shard, &mut owned));
        }
        self.shards.insert(shard, owned);
        heard.into_iter().for_each(|link| self.note(shard, link));
        Ok(())
    }

    /// Takes nothing more for the shard; senders hear who does. What was taken can still be
    /// accepted, until [`hand_over`](Intake::hand_over).
    pub fn seal(&mut self, shard: Shard, to: Moved) {
        let Some(owned) = self.shards.get_mut(&shard) else { return };
        owned.sealed = Some(to);
        for link in owned.links.keys() {
            self.due.entry(link.incarnation).or_default().moved.insert(shard, to);
        }
    }

    /// Gives the shard away: the state of its sequences, for the next owner. Everything taken has
    /// to be accepted before, or it is lost with this node.
    pub fn hand_over(&mut self, shard: Shard) -> Vec<LinkState> {
        let Some(owned) = self.shards.remove(&shard) else { return Vec::new() };
        let mut states: Vec<_> =
            owned.links.into_iter().map(|(link, sequence)| sequence.into_state(link)).collect();
        states.sort_unstable_by_key(|state| state.link);
        states
    }

    /// How many items of a shard are taken and not accepted; a seal waits for none.
    pub fn unaccepted(&self, shard: Shard) -> u64 {
        let links = self.shards.get(&shard).into_iter().flat_map(|owned| owned.links.values());
        links.map(Sequence::unaccepted).sum()
    }

    /// Something arrived on the stream of a worker.
    pub fn handle_sends(
        &mut self,
        from: LinkId,
        sends: Sends,
        fence: &Fence,
    ) -> Result<(), Violation> {
        let tenure = sends.tenure;
        let seen = fence.see(tenure);
        self.depose(fence, tenure.shard);
        if let Seen::Older(epoch) = seen {
            self.refuse(from, Tenure { epoch, ..tenure });
            return Ok(());
        }
        let Some(owned) = self.shards.get_mut(&tenure.shard) else {
            let early = (tenure.epoch, sends.floor);
            let due = self.due.entry(from.incarnation).or_default();
            due.early.insert((tenure.shard, from), early);
            return Ok(());
        };
        if let Some(moved) = owned.sealed {
            self.due.entry(from.incarnation).or_default().moved.insert(tenure.shard, moved);
            return Ok(());
        }
        let known = owned.links.entry(from);
        let sequence = known.or_insert_with(|| Sequence::starting_at(sends.floor));
        sequence.take(from, sends, &mut self.events)?;
        self.note(tenure.shard, from);
        Ok(())
    }

    /// An item is durable. Out of order is fine; an item of another epoch is not ours to accept.
    pub fn accept(&mut self, fence: &Fence, tenure: Tenure, link: LinkId, number: u64) -> bool {
        self.depose(fence, tenure.shard);
        let Some(owned) = self.shards.get_mut(&tenure.shard) else { return false };
        let Some(sequence) = owned.links.get_mut(&link) else { return false };
        let news = owned.epoch == tenure.epoch && sequence.accept(number);
        if news {
            self.note(tenure.shard, link);
        }
        news
    }

    /// The control stream to this node is new: what was told on the old one may be lost.
    pub fn handle_connected(&mut self, peer: Incarnation) {
        let mut links = Vec::new();
        for (shard, owned) in &mut self.shards {
            let of_peer = owned.links.iter_mut().filter(|(link, _)| link.incarnation == peer);
            for (link, sequence) in of_peer {
                sequence.tell_again();
                links.push((*shard, *link));
            }
        }
        self.due.entry(peer).or_default().sequences.extend(links);
    }

    /// This life of a node is over: its sequences will not go on.
    pub fn forget(&mut self, peer: Incarnation) {
        self.due.remove(&peer);
        for owned in self.shards.values_mut() {
            owned.links.retain(|link, _| link.incarnation != peer);
        }
    }

    /// What to do about what was taken.
    pub fn poll_event(&mut self) -> Option<IntakeEvent> {
        self.events.pop_front()
    }

    /// What to tell this node on the control stream, at most `frames_max` frames or a few more.
    pub fn poll_answers(&mut self, peer: Incarnation, frames_max: usize) -> Vec<Control> {
        let Some(due) = self.due.get_mut(&peer) else { return Vec::new() };
        let mut frames = Vec::new();
        while frames.len() < frames_max {
            if let Some((_, moved)) = due.moved.pop_first() {
                frames.push(Control::Moved(moved));
            } else if let Some((shard, link)) = due.sequences.pop_first() {
                let Some(owned) = self.shards.get_mut(&shard) else { continue };
                let tenure = Tenure { shard, epoch: owned.epoch };
                let Some(sequence) = owned.links.get_mut(&link) else { continue };
                if sequence.tell(tenure, link.worker, &mut frames) {
                    due.sequences.insert((shard, link));
                }
            } else {
                break;
            }
        }
        frames
    }

    /// Whether this node takes items for the shard, and at which epoch.
    pub fn owns(&self, shard: Shard) -> Option<Epoch> {
        self.shards.get(&shard).filter(|owned| owned.sealed.is_none()).map(|owned| owned.epoch)
    }

    fn note(&mut self, shard: Shard, link: LinkId) {
        self.due.entry(link.incarnation).or_default().sequences.insert((shard, link));
    }

    /// The sender is behind; tell it the epoch, and who took over if that is known.
    fn refuse(&mut self, from: LinkId, tenure: Tenure) {
        let sealed = self.shards.get(&tenure.shard).and_then(|owned| owned.sealed);
        let moved = sealed.filter(|moved| moved.tenure.epoch == tenure.epoch);
        let moved = moved.unwrap_or(Moved { tenure, owner: None });
        self.due.entry(from.incarnation).or_default().moved.insert(tenure.shard, moved);
    }

    /// Ends the ownership of a shard that was seen at a higher epoch. A sealed shard expects that:
    /// what it has taken is still its to accept, in the store under its own epoch.
    fn depose(&mut self, fence: &Fence, shard: Shard) {
        let Some(owned) = self.shards.get(&shard) else { return };
        let tenure = Tenure { shard, epoch: owned.epoch };
        let expected = owned.sealed.map_or(owned.epoch, |moved| moved.tenure.epoch);
        if fence.highest(shard) > expected {
            self.shards.remove(&shard);
            self.events.push_back(IntakeEvent::Deposed(tenure));
        }
    }
}

#[cfg(test)]
#[path = "intake_test.rs"]
mod tests;
