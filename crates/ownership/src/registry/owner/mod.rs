//! The owner's side: which session has which full JID.

mod entry;
mod event;
mod out;
mod owned;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use jackdaw_jid::{BareJid, FullJid};

use self::entry::Left;
pub use self::event::{ConflictPolicy, How, Over, Registered, RegistryConfig, RegistryEvent};
use self::out::Out;
use self::owned::{Owned, Phase};
use super::{
    Fence, Gap, Generation, Known, Moved, Recovered, Seen, Snapshot, Tenure, ToOwner, ToSocket,
};
use crate::{Epoch, Incarnation, ShardId};

/// The sessions of the shards that this node owns.
///
/// Frames may be lost, repeated and reordered. Drain [`Registry::poll_transmit`] and
/// [`Registry::poll_event`] after every call; a frame to a node without a connection is thrown
/// away, it comes again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Registry {
    config: RegistryConfig,
    /// The lives of nodes that go on. Frames of others come too late, or too early.
    live: BTreeSet<Incarnation>,
    shards: BTreeMap<ShardId, Owned>,
    /// What was known of shards that have another owner, or another epoch, until that one serves
    /// them.
    sealed: BTreeMap<ShardId, Owned>,
    /// Who is to be declared away as soon as their shards are served.
    lost: BTreeMap<Tenure, Vec<Known>>,
    moved: Vec<(Incarnation, Moved)>,
    out: Out,
}

impl Registry {
    /// Owns nothing.
    pub fn new(config: RegistryConfig) -> Registry {
        Registry {
            config,
            live: BTreeSet::new(),
            shards: BTreeMap::new(),
            sealed: BTreeMap::new(),
            lost: BTreeMap::new(),
            moved: Vec::new(),
            out: Out::default(),
        }
    }

    /// A life of a node has begun, as the map says.
    pub fn handle_joined(&mut self, incarnation: Incarnation) {
        self.live.insert(incarnation);
    }

    /// A life of a node is over, as the map says: the only evidence that its sockets are silent.
    /// Whoever waited for it to give up a full JID gets it now.
    pub fn handle_ended(&mut self, incarnation: Incarnation, fence: &Fence) {
        self.live.remove(&incarnation);
        for owned in self.shards.values_mut() {
            if owned.phase == Phase::Active && fence.holds(owned.tenure) {
                owned.forget(incarnation, &mut self.out);
            }
        }
    }

    /// A shard is ours, and not served yet: nobody gets anything, and nobody is declared away.
    pub fn begin(&mut self, tenure: Tenure, fence: &Fence) {
        if matches!(fence.see(tenure), Seen::Older(_)) {
            return;
        }
        self.seal(tenure.shard, fence);
        self.shards.insert(tenure.shard, Owned::new(tenure));
    }

    /// Takes over what the owner before has sealed. `sealed` is its epoch, as the map says: of any
    /// other there may be something newer, and the shard has to be recovered.
    pub fn install(
        &mut self,
        tenure: Tenure,
        sealed: Epoch,
        snapshot: Snapshot,
    ) -> Result<(), Gap> {
        let is_next = snapshot.tenure == Tenure { epoch: sealed, ..tenure };
        let owned = self.shards.get_mut(&tenure.shard).filter(|owned| owned.tenure == tenure);
        let may = is_next && owned.as_ref().is_some_and(|owned| owned.waits());
        let owned = owned.filter(|_| may);
        let owned = owned.ok_or(Gap)?;
        owned.is_installed = true;
        snapshot.sessions.into_iter().for_each(|known| owned.adopt_known(known));
        owned.adopt_nonces(snapshot.nonces);
        Ok(())
    }

    /// Takes over what all nodes know together. Twice is once.
    pub fn install_recovered(&mut self, recovered: Recovered) {
        for known in recovered.sessions {
            let owned = self.shards.get_mut(&known.tenure.shard);
            let owned = owned.filter(|owned| owned.tenure == known.tenure);
            if let Some(owned) = owned.filter(|owned| owned.phase == Phase::Recovering) {
                owned.adopt_known(known);
            }
        }
        for known in recovered.lost {
            self.lost.entry(known.tenure).or_default().push(known);
        }
    }

    /// It is served, as the map says. Whose node ended meanwhile is lost.
    pub fn activate(&mut self, tenure: Tenure, fence: &Fence) {
        let Some(owned) = self.shards.get_mut(&tenure.shard) else { return };
        if owned.tenure != tenure || owned.phase != Phase::Recovering || !fence.holds(tenure) {
            return;
        }
        owned.phase = Phase::Active;
        self.sealed.remove(&tenure.shard);
        for known in self.lost.remove(&tenure).unwrap_or_default() {
            self.out.lost(known);
        }
        for incarnation in owned.nodes().difference(&self.live) {
            owned.forget(*incarnation, &mut self.out);
        }
    }

    /// Stops acting for a shard, and gives what is known of it: to the next owner, if that is
    /// `sealed` by the map, or to whoever recovers. Gives the same again until it is released.
    pub fn seal(&mut self, shard: ShardId, fence: &Fence) -> Option<Snapshot> {
        active(&mut self.shards, shard, fence, &mut self.out);
        if let Some(mut owned) = self.shards.remove(&shard) {
            match owned.phase {
                // Nothing in it is not known elsewhere.
                Phase::Recovering => drop(self.lost.remove(&owned.tenure)),
                Phase::Active | Phase::Sealed => {
                    owned.seal();
                    self.sealed.insert(shard, owned);
                }
            }
        }
        self.sealed.get(&shard).map(Owned::snapshot)
    }

    /// Another node serves the shard, as the map says: what this one knew is not needed any more.
    pub fn release(&mut self, shard: ShardId) {
        self.shards.remove(&shard);
        self.sealed.remove(&shard);
        self.lost.retain(|tenure, _| tenure.shard != shard);
    }

    /// What this node knows as owner of the past, for one that recovers these shards at this
    /// epoch. The answer is its seal.
    pub fn known(&mut self, shards: &BTreeSet<ShardId>, epoch: Epoch, fence: &Fence) -> Vec<Known> {
        let mut known = Vec::new();
        for shard in shards.iter().copied() {
            fence.see(Tenure { shard, epoch });
            active(&mut self.shards, shard, fence, &mut self.out);
            let there = [self.sealed.get(&shard), self.shards.get(&shard)];
            let sealed = there.into_iter().flatten().filter(|it| it.phase == Phase::Sealed);
            known.extend(sealed.flat_map(|it| it.snapshot().sessions));
        }
        known
    }

    /// A frame of a socket node.
    pub fn handle(&mut self, now: Instant, from: Incarnation, frame: ToOwner, fence: &Fence) {
        if !self.live.contains(&from) {
            return;
        }
        let tenure = frame.tenure();
        if let Seen::Older(epoch) = fence.see(tenure) {
            let tenure = Tenure { epoch, ..tenure };
            self.moved.push((from, Moved { tenure, owner: None }));
            return;
        }
        let (out, config) = (&mut self.out, &self.config);
        let Some(owned) = active(&mut self.shards, tenure.shard, fence, out) else { return };
        match frame {
            ToOwner::Bind(bind) => {
                if owned.is_new(from, &bind, out) {
                    owned.bind(now, (from, bind), config, out);
                }
            }
            ToOwner::Cancel { jid, nonce, .. } => owned.cancel(from, &jid, nonce, out),
            ToOwner::Gone { generation, .. } => {
                if owned.is_at(generation, from) {
                    owned.left(generation, Left::Gone, None, out);
                }
            }
            ToOwner::Unbind { generation, end, counters, .. } => {
                owned.unbind(from, generation, end, counters, out);
            }
        }
    }

    /// An answer that knows a higher epoch.
    pub fn handle_moved(&mut self, moved: Moved, fence: &Fence) {
        fence.see(moved.tenure);
        active(&mut self.shards, moved.tenure.shard, fence, &mut self.out);
    }

    /// A session was not resumed in time, or is to end for another reason that its node need not
    /// know. One that has a socket stays.
    pub fn expire(&mut self, shard: ShardId, generation: Generation, fence: &Fence) {
        let out = &mut self.out;
        let Some(owned) = active(&mut self.shards, shard, fence, out) else { return };
        owned.expire(generation, out);
    }

    /// Asks again where no answer came.
    pub fn handle_timeout(&mut self, now: Instant, fence: &Fence) {
        while let Some(&(when, tenure, generation)) = self.out.timers.first()
            && when <= now
        {
            self.out.timers.pop_first();
            let out = &mut self.out;
            if let Some(owned) = active(&mut self.shards, tenure.shard, fence, out)
                && owned.tenure == tenure
            {
                owned.evict(now, generation, &self.config, out);
            }
        }
    }

    /// When to call [`handle_timeout`](Registry::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.out.timers.first().map(|(when, ..)| *when)
    }

    /// What to send to whom.
    pub fn poll_transmit(&mut self) -> Option<(Incarnation, ToSocket)> {
        self.out.frames.pop_front()
    }

    /// Which frames to refuse, for a higher epoch than theirs.
    pub fn poll_moved(&mut self) -> Option<(Incarnation, Moved)> {
        self.moved.pop()
    }

    /// What the layer above has to know.
    pub fn poll_event(&mut self) -> Option<RegistryEvent> {
        self.out.events.pop_front()
    }

    /// Whether this node serves the shard.
    pub fn serves(&self, shard: ShardId, fence: &Fence) -> bool {
        let owned = self.shards.get(&shard);
        owned.is_some_and(|owned| owned.phase == Phase::Active && fence.holds(owned.tenure))
    }

    /// Whether what the owner before has sealed is here.
    pub fn is_installed(&self, shard: ShardId) -> bool {
        self.shards.get(&shard).is_some_and(|owned| owned.is_installed)
    }

    /// The session that has a full JID.
    pub fn find(&self, shard: ShardId, jid: &FullJid) -> Option<Registered> {
        Some(self.shards.get(&shard)?.by_jid(jid)?.registered(jid))
    }

    /// The sessions of an account, by resource.
    pub fn sessions_of(&self, shard: ShardId, account: &BareJid) -> Vec<Registered> {
        let Some(owned) = self.shards.get(&shard) else { return Vec::new() };
        owned.of(account).map(|(jid, entry)| entry.registered(jid)).collect()
    }

    /// All sessions of a shard.
    pub fn sessions(&self, shard: ShardId) -> impl Iterator<Item = Registered> {
        let owned = self.shards.get(&shard).into_iter();
        owned.flat_map(Owned::all).map(|(jid, entry)| entry.registered(jid))
    }
}

/// The shard, if this node serves it. Where a higher epoch was seen it does so no more.
fn active<'a>(
    shards: &'a mut BTreeMap<ShardId, Owned>,
    shard: ShardId,
    fence: &Fence,
    out: &mut Out,
) -> Option<&'a mut Owned> {
    let owned = shards.get_mut(&shard)?;
    if owned.phase == Phase::Active && !fence.holds(owned.tenure) {
        owned.seal();
        out.events.push_back(RegistryEvent::Deposed(owned.tenure));
    }
    (owned.phase == Phase::Active).then_some(owned)
}

#[cfg(test)]
#[path = "owner_test.rs"]
mod tests;
