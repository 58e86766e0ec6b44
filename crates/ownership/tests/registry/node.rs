//! One node: its machines, and what its driver does with what they say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use jackdaw_jid::FullJid;
use jackdaw_ownership::registry::{
    Answer, Binds, BindsEvent, Counters, End, Fence, Local, Moved, Recover, Recovery, Registry,
    RegistryConfig, RegistryEvent, SessionName, Snapshot, Tenure, ToOwner, ToSocket, Wanted,
};
use jackdaw_ownership::{Epoch, Incarnation, ShardId};

use crate::bugs::Bug;

/// What is in the log of the cluster. The index of an entry is an incarnation or an epoch.
#[derive(Clone, Debug)]
pub enum Entry {
    Joined(usize),
    Ended(Incarnation),
    Handoff { shard: ShardId, sealed: Epoch, from: Incarnation, to: Incarnation },
    Recovering { shards: BTreeSet<ShardId>, to: Incarnation },
    Active { shard: ShardId, epoch: Epoch, owner: Incarnation },
}

#[derive(Clone, Debug)]
pub enum Message {
    Up(ToOwner),
    Down(ToSocket),
    MovedUp(Moved),
    MovedDown(Moved),
    Recover(Recover),
    Answer(Epoch, Answer),
    Snapshot(Tenure, Snapshot),
}

/// A socket, as its worker has it.
#[derive(Clone, Debug)]
pub struct Socket {
    pub jid: FullJid,
    pub shard: ShardId,
    /// It is read and written, as long as there is a lease.
    pub acts: bool,
    /// It is to be closed, when the worker comes to it.
    pub evicted: bool,
    pub session: Option<SessionName>,
}

/// A process. What it forgets in a crash is everything.
pub struct Node {
    pub name: usize,
    pub incarnation: Option<Incarnation>,
    /// All its lives, so that frames to earlier ones still find it.
    pub lives: BTreeSet<Incarnation>,
    pub was_ended: bool,
    pub has_lease: bool,
    pub applied: usize,
    pub live: BTreeSet<Incarnation>,
    pub fence: Fence,
    pub registry: Registry,
    pub binds: Binds,
    pub recoveries: BTreeMap<Epoch, Recovery>,
    /// Recoveries whose result is installed.
    pub ready: BTreeSet<Tenure>,
    /// What is handed over, until another node serves it.
    pub sealed: BTreeMap<ShardId, (Incarnation, Tenure, Snapshot)>,
    /// Shards that come, and the epoch in which they are sealed.
    expected: BTreeMap<Tenure, Epoch>,
    pub sockets: BTreeMap<Local, Socket>,
    pub out: Vec<(Incarnation, Message)>,
    pub resumable: Vec<(FullJid, ShardId, SessionName)>,
    /// The highest epoch of each shard in anything that came here, counted by the test.
    pub seen: BTreeMap<ShardId, Epoch>,
    pub bug: Option<Bug>,
    /// Attempts that were given other names by a bug.
    pub nonces: u64,
    /// The epoch of the frame that is being read.
    hearing: Epoch,
    pub told: Told,
    pub wrong: Option<String>,
    /// What happens is printed.
    pub tells: bool,
}

/// What happened, to see that anything did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    pub bound: usize,
    pub resumed: usize,
    pub returned: usize,
    pub evicted: usize,
    pub refused: usize,
    pub lost: usize,
    pub detached: usize,
    pub deposed: usize,
}

impl Node {
    pub fn new(name: usize, bug: Option<Bug>) -> Node {
        Node {
            name,
            incarnation: None,
            lives: BTreeSet::new(),
            was_ended: false,
            has_lease: false,
            applied: 0,
            live: BTreeSet::new(),
            fence: Fence::default(),
            registry: Registry::new(RegistryConfig::default()),
            binds: Binds::new(Incarnation::default()),
            recoveries: BTreeMap::new(),
            ready: BTreeSet::new(),
            sealed: BTreeMap::new(),
            expected: BTreeMap::new(),
            sockets: BTreeMap::new(),
            out: Vec::new(),
            resumable: Vec::new(),
            seen: BTreeMap::new(),
            bug,
            nonces: 0,
            hearing: Epoch(0),
            told: Told::default(),
            wrong: None,
            tells: crate::chosen().is_some(),
        }
    }

    fn tell(&self, what: impl std::fmt::Debug) {
        if self.tells {
            println!("  {} {:?}: {what:?}", self.name, self.incarnation);
        }
    }

    pub fn apply(&mut self, now: Instant, index: u64, entry: &Entry) {
        self.tell((index, entry));
        self.applied += 1;
        match entry {
            Entry::Joined(node) => self.apply_joined(now, *node, Incarnation(index)),
            Entry::Ended(incarnation) => {
                self.live.remove(incarnation);
                self.registry.handle_ended(*incarnation, &self.fence);
                for recovery in self.recoveries.values_mut() {
                    recovery.handle_ended(*incarnation);
                }
                self.was_ended |= self.incarnation == Some(*incarnation);
            }
            Entry::Handoff { shard, sealed, from, to } => {
                let tenure = Tenure { shard: *shard, epoch: Epoch(index) };
                if self.incarnation == Some(*from) {
                    self.see(tenure);
                    if let Some(snapshot) = self.registry.seal(*shard, &self.fence) {
                        self.sealed.insert(*shard, (*to, tenure, snapshot));
                    }
                }
                if self.incarnation == Some(*to) {
                    self.see(tenure);
                    self.expected.insert(tenure, *sealed);
                    self.registry.begin(tenure, &self.fence);
                }
            }
            Entry::Recovering { shards, to } => {
                self.apply_recovering(now, Epoch(index), shards, *to)
            }
            Entry::Active { shard, epoch, owner } => {
                let tenure = Tenure { shard: *shard, epoch: *epoch };
                self.see(tenure);
                self.binds.handle_active(now, &[*shard], *epoch, *owner, &self.fence);
                self.sealed.remove(shard);
                if self.incarnation == Some(*owner) {
                    self.registry.activate(tenure, &self.fence);
                } else {
                    self.registry.release(*shard);
                }
            }
        }
        self.drain();
    }

    fn apply_joined(&mut self, now: Instant, node: usize, incarnation: Incarnation) {
        self.live.insert(incarnation);
        self.registry.handle_joined(incarnation);
        // Joins of a process that has crashed since are in the log as well.
        if node != self.name || !self.lives.contains(&incarnation) {
            return;
        }
        self.incarnation = Some(incarnation);
        self.was_ended = false;
        self.has_lease = true;
        self.sockets.values_mut().for_each(|socket| socket.acts = false);
        self.binds.handle_rejoined(now, incarnation, &self.fence);
        self.binds.handle_lease(true);
    }

    fn apply_recovering(
        &mut self,
        now: Instant,
        epoch: Epoch,
        shards: &BTreeSet<ShardId>,
        to: Incarnation,
    ) {
        let bug = self.bug;
        for shard in shards.iter().copied() {
            let tenure = Tenure { shard, epoch };
            if bug != Some(Bug::FailedHandOffKeepsItsOwner) {
                self.see(tenure);
            }
            if self.incarnation == Some(to) {
                self.registry.begin(tenure, &self.fence);
            }
        }
        if self.incarnation == Some(to) {
            let question = Recover { epoch, shards: shards.clone() };
            let mut nodes = self.live.clone();
            if bug == Some(Bug::RecoveryWaitsForNobody) {
                nodes.retain(|node| *node == to);
            }
            self.recoveries.insert(epoch, Recovery::new(now, question, nodes));
        }
    }

    pub fn see(&mut self, tenure: Tenure) {
        self.fence.see(tenure);
        self.note(tenure);
    }

    fn note(&mut self, tenure: Tenure) {
        let seen = self.seen.entry(tenure.shard).or_insert(tenure.epoch);
        *seen = tenure.epoch.max(*seen);
    }

    pub fn receive(&mut self, now: Instant, from: Incarnation, message: Message) {
        self.tell((from, &message));
        match message {
            Message::Up(frame) => {
                self.note(frame.tenure());
                let (frame, fence) = self.tamper_up(frame);
                let fence = fence.as_ref().unwrap_or(&self.fence);
                self.registry.handle(now, from, frame, fence);
            }
            Message::Down(frame) => {
                self.note(frame.tenure());
                self.hearing = frame.tenure().epoch;
                let (frame, fence) = self.tamper_down(frame);
                let fence = fence.as_ref().unwrap_or(&self.fence);
                self.binds.handle(now, from, frame, fence);
            }
            Message::MovedUp(moved) => {
                self.note(moved.tenure);
                self.registry.handle_moved(moved, &self.fence);
            }
            Message::MovedDown(moved) => {
                self.note(moved.tenure);
                self.binds.handle_moved(moved, &self.fence);
            }
            Message::Recover(question) => self.answer(from, question),
            Message::Answer(epoch, answer) => {
                if let Some(recovery) = self.recoveries.get_mut(&epoch) {
                    recovery.handle_answer(from, epoch, answer);
                }
            }
            Message::Snapshot(tenure, snapshot) => {
                if let Some(sealed) = self.expected.get(&tenure).copied()
                    && self.registry.install(tenure, sealed, snapshot).is_ok()
                {
                    self.ready.insert(tenure);
                }
            }
        }
        self.drain();
    }

    fn answer(&mut self, from: Incarnation, Recover { epoch, shards }: Recover) {
        shards.iter().for_each(|shard| self.note(Tenure { shard: *shard, epoch }));
        let (held, known) = match self.bug {
            Some(Bug::FailedHandOffKeepsItsOwner) => {
                (self.binds.held(&shards, epoch, &Fence::default()), Vec::new())
            }
            _ => (
                self.binds.held(&shards, epoch, &self.fence),
                self.registry.known(&shards, epoch, &self.fence),
            ),
        };
        self.out.push((from, Message::Answer(epoch, Answer { held, known })));
    }

    pub fn timeout(&mut self, now: Instant) {
        self.registry.handle_timeout(now, &self.fence);
        self.binds.handle_timeout(now, &self.fence);
        for (to, tenure, snapshot) in self.sealed.values() {
            self.out.push((*to, Message::Snapshot(*tenure, snapshot.clone())));
        }
        self.recoveries.values_mut().for_each(|recovery| recovery.handle_timeout(now));
        self.drain();
    }

    /// Recoveries that everybody has answered are installed.
    pub fn advance(&mut self) {
        let done = self.recoveries.iter().filter_map(|(epoch, it)| Some((*epoch, it.recovered()?)));
        let done: Vec<_> = done.collect();
        for (epoch, recovered) in done {
            self.registry.install_recovered(recovered);
            self.recoveries.remove(&epoch);
            let shards = self.seen.keys().copied();
            self.ready.extend(shards.map(|shard| Tenure { shard, epoch }));
        }
    }

    pub fn connect(&mut self, now: Instant, local: Local, wanted: Wanted) {
        let Wanted { jid, shard, .. } = wanted.clone();
        let session = wanted.resumes;
        self.sockets.insert(local, Socket { jid, shard, acts: false, evicted: false, session });
        self.binds.bind(now, local, wanted, &self.fence).expect("few attempts");
        self.drain();
    }

    pub fn close(&mut self, now: Instant, local: Local, end: End) {
        if self.sockets.remove(&local).is_some() {
            self.binds.unbind(now, local, end, Counters::default(), &self.fence);
            self.drain();
        }
    }

    pub fn set_lease(&mut self, is_valid: bool) {
        self.has_lease = is_valid;
        self.binds.handle_lease(is_valid);
        self.drain();
    }

    /// The sockets that are read and written now.
    pub fn acting(&self) -> impl Iterator<Item = (&Local, &Socket)> {
        let sockets = self.sockets.iter().filter(|(_, socket)| socket.acts);
        sockets.filter(|_| self.has_lease)
    }

    pub fn drain(&mut self) {
        while let Some((to, frame)) = self.registry.poll_transmit() {
            self.out.push((to, Message::Down(frame)));
        }
        while let Some((to, moved)) = self.registry.poll_moved() {
            self.out.push((to, Message::MovedDown(moved)));
        }
        while let Some((to, frame)) = self.binds.poll_transmit() {
            self.out.push((to, Message::Up(frame)));
        }
        while let Some((to, moved)) = self.binds.poll_moved() {
            self.out.push((to, Message::MovedUp(moved)));
        }
        let Node { recoveries, out, .. } = self;
        for recovery in recoveries.values_mut() {
            while let Some((to, question)) = recovery.poll_transmit() {
                out.push((to, Message::Recover(question)));
            }
        }
        while let Some(event) = self.binds.poll_event() {
            self.hear(event);
        }
        while let Some(event) = self.registry.poll_event() {
            self.hear_owner(event);
        }
    }

    fn hear(&mut self, event: BindsEvent) {
        self.tell(&event);
        match event {
            BindsEvent::Bound { local, session, .. } => {
                let shard = self.sockets.get(&local).expect("a socket that waits").shard;
                self.check_epoch(shard, self.hearing);
                let socket = self.sockets.get_mut(&local).expect("a socket that waits");
                socket.acts = true;
                socket.session = Some(session);
                self.resumable.push((socket.jid.clone(), socket.shard, session));
            }
            BindsEvent::Evicted { local, .. } => {
                let socket = self.sockets.get_mut(&local).expect("a socket that is bound");
                socket.evicted = true;
                self.told.evicted += 1;
            }
            BindsEvent::Refused { local, .. } => {
                self.sockets.remove(&local);
                self.told.refused += 1;
            }
            BindsEvent::Continued | BindsEvent::Suspended => {}
        }
    }

    /// I3, of an owner.
    fn is_late(&self, epoch: Epoch, jid: &FullJid) -> bool {
        let shard = self.seen.keys().find(|shard| self.registry.find(**shard, jid).is_some());
        shard.is_some_and(|shard| self.seen.get(shard) > Some(&epoch))
    }

    /// I3, of a socket node.
    fn check_epoch(&mut self, shard: ShardId, epoch: Epoch) {
        if self.seen.get(&shard) > Some(&epoch) {
            self.wrong.get_or_insert(format!("I3: {epoch:?} is believed late"));
        }
    }

    fn hear_owner(&mut self, event: RegistryEvent) {
        use jackdaw_ownership::registry::{How, Over};
        self.tell(&event);
        match event {
            RegistryEvent::Bound { generation, ref jid, .. }
                if self.is_late(generation.epoch, jid) =>
            {
                self.wrong.get_or_insert(format!("I3: {generation:?} is given out late"));
            }
            RegistryEvent::Bound { how: How::New, .. } => self.told.bound += 1,
            RegistryEvent::Bound { how: How::Resumed, .. } => self.told.resumed += 1,
            RegistryEvent::Bound { how: How::Returned { .. }, .. } => self.told.returned += 1,
            RegistryEvent::Deposed(_) => self.told.deposed += 1,
            RegistryEvent::Detached { .. } => self.told.detached += 1,
            RegistryEvent::Over { why: Over::Lost, .. } => self.told.lost += 1,
            RegistryEvent::Over { .. } => {}
        }
    }
}
