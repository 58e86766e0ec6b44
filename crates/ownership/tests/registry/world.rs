//! Nodes, their log, the network between them, and what has to be true of all.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use jackdaw_jid::FullJid;
use jackdaw_ownership::registry::{End, Local, SessionName, Tenure, Wanted};
use jackdaw_ownership::{Epoch, Incarnation, ShardId};

use crate::bugs::Bug;
use crate::chance::Chance;
use crate::node::{Entry, Message, Node, Told};

/// How long everything may take to become quiet when the faults are over.
const QUIET_ROUNDS: usize = 400;

const SHARDS: u16 = 2;
const SOCKETS_MAX: usize = 8;

/// What the log says of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Active,
    Handoff { to: Incarnation, epoch: Epoch },
    Recovering,
}

pub struct World {
    chance: Chance,
    now: Instant,
    pub nodes: Vec<Option<Node>>,
    /// Everything that was agreed; the first entry has index 1.
    log: Vec<Entry>,
    live: BTreeMap<Incarnation, usize>,
    map: BTreeMap<ShardId, (Incarnation, Epoch, Phase)>,
    network: Vec<(Incarnation, Incarnation, Message)>,
    cut: BTreeSet<(usize, usize)>,
    next_local: u64,
    resumable: Vec<(FullJid, ShardId, SessionName)>,
    bug: Option<Bug>,
    pub told: Told,
    pub seen: Seen,
    /// The first thing that was wrong.
    pub wrong: Option<String>,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub crashes: usize,
    pub rejoins: usize,
    pub handoffs: usize,
    pub failed_handoffs: usize,
    pub recoveries: usize,
    pub cuts: usize,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "an origin; nothing reads the clock after it")]
    pub fn new(seed: u64, bug: Option<Bug>) -> World {
        let mut chance = Chance::new(seed);
        let count = 3 + chance.below(3);
        let mut world = World {
            chance,
            now: Instant::now(),
            nodes: (0..count).map(|name| Some(Node::new(name, bug))).collect(),
            log: Vec::new(),
            live: BTreeMap::new(),
            map: BTreeMap::new(),
            network: Vec::new(),
            cut: BTreeSet::new(),
            next_local: 0,
            resumable: Vec::new(),
            bug,
            told: Told::default(),
            seen: Seen::default(),
            wrong: None,
        };
        (0..count).for_each(|name| world.join(name));
        let owner = *world.live.keys().next().expect("a node");
        for number in 0..SHARDS {
            let shard = ShardId::new(number).expect("a shard");
            world.map.insert(shard, (owner, Epoch(0), Phase::Active));
        }
        world.recover(owner);
        world
    }

    /// Where an account is, by its name.
    fn shard(number: usize) -> ShardId {
        ShardId::new((number % usize::from(SHARDS)) as u16).expect("a shard")
    }

    pub fn step(&mut self) {
        match self.chance.below(100) {
            0..=54 => self.deliver(),
            55..=69 => self.apply(),
            70..=76 => self.client(),
            77..=81 => self.evictions(),
            82..=86 => self.timeout(),
            87..=90 => self.advance(),
            91..=93 => self.cut_or_mend(),
            94..=95 => self.lease(),
            96 => self.crash_or_start(),
            97..=98 => self.hand_off(),
            _ => self.supervise(),
        }
        self.flush();
        self.check();
    }

    fn pick(&mut self) -> usize {
        self.chance.below(self.nodes.len())
    }

    fn append(&mut self, entry: Entry) -> u64 {
        self.log.push(entry);
        self.log.len() as u64
    }

    /// The process asks to be a member, in a new life.
    fn join(&mut self, name: usize) {
        let incarnation = Incarnation(self.append(Entry::Joined(name)));
        self.live.insert(incarnation, name);
        if let Some(node) = &mut self.nodes[name] {
            node.lives.insert(incarnation);
        }
    }

    fn holder(&self, incarnation: Incarnation) -> Option<usize> {
        let holds = |node: &Node| node.lives.contains(&incarnation);
        self.nodes.iter().position(|node| node.as_ref().is_some_and(holds))
    }

    fn deliver(&mut self) {
        if self.network.is_empty() {
            return;
        }
        let at = self.chance.below(self.network.len());
        let repeats = self.chance.percent(15);
        let (from, to, message) = match repeats {
            true => self.network[at].clone(),
            false => self.network.swap_remove(at),
        };
        let lost = self.chance.percent(10);
        let Some(target) = self.holder(to) else { return };
        let source = self.holder(from).unwrap_or(target);
        if lost || self.cut.contains(&(source.min(target), source.max(target))) {
            return;
        }
        if let Some(node) = &mut self.nodes[target] {
            node.receive(self.now, from, message);
        }
    }

    fn apply(&mut self) {
        let at = self.pick();
        self.apply_at(at);
    }

    fn apply_at(&mut self, at: usize) -> bool {
        let Some(node) = &mut self.nodes[at] else { return false };
        let Some(entry) = self.log.get(node.applied) else { return false };
        let entry = entry.clone();
        node.apply(self.now, node.applied as u64 + 1, &entry);
        true
    }

    fn client(&mut self) {
        let at = self.pick();
        let Some(node) = &mut self.nodes[at] else { return };
        if self.chance.percent(35) && !node.sockets.is_empty() {
            let locals: Vec<Local> = node.sockets.keys().copied().collect();
            let local = locals[self.chance.below(locals.len())];
            let end = if self.chance.percent(50) { End::Closed } else { End::Detached };
            return node.close(self.now, local, end);
        }
        if node.sockets.len() >= SOCKETS_MAX || node.incarnation.is_none() {
            return;
        }
        let local = Local(self.next_local);
        self.next_local += 1;
        let number = self.chance.below(3);
        let jid = FullJid::parse(&format!("user{number}@example.net/x")).expect("a JID");
        let mut wanted = Wanted {
            jid,
            shard: World::shard(number),
            worker: 0,
            resumes: None,
            is_resumable: self.chance.percent(50),
        };
        if self.chance.percent(30) && !self.resumable.is_empty() {
            let (jid, shard, session) =
                self.resumable.swap_remove(self.chance.below(self.resumable.len()));
            wanted = Wanted { jid, shard, resumes: Some(session), is_resumable: true, ..wanted };
        }
        node.connect(self.now, local, wanted);
    }

    /// Workers come to what they were told.
    fn evictions(&mut self) {
        let at = self.pick();
        if let Some(node) = &mut self.nodes[at] {
            let evicted = node.sockets.iter().find(|(_, socket)| socket.evicted);
            if let Some(local) = evicted.map(|(local, _)| *local) {
                node.close(self.now, local, End::Closed);
            }
        }
    }

    fn timeout(&mut self) {
        self.now += Duration::from_millis(100 + self.chance.below(500) as u64);
        let at = self.pick();
        if let Some(node) = &mut self.nodes[at] {
            node.timeout(self.now);
        }
    }

    fn advance(&mut self) {
        let at = self.pick();
        self.advance_at(at);
    }

    /// A node that has everything proposes to serve.
    fn advance_at(&mut self, at: usize) {
        let Some(node) = &mut self.nodes[at] else { return };
        node.advance();
        let Some(me) = node.incarnation else { return };
        let ready = std::mem::take(&mut node.ready);
        for Tenure { shard, epoch } in ready {
            let serves = match self.map.get(&shard) {
                Some((owner, known, Phase::Recovering)) => *owner == me && *known == epoch,
                Some((_, _, Phase::Handoff { to, epoch: next })) => *to == me && *next == epoch,
                _ => false,
            };
            if serves && self.live.contains_key(&me) {
                self.map.insert(shard, (me, epoch, Phase::Active));
                self.append(Entry::Active { shard, epoch, owner: me });
            }
        }
    }

    fn cut_or_mend(&mut self) {
        if self.chance.percent(50) {
            self.cut.pop_first();
            return;
        }
        let (a, b) = (self.pick(), self.pick());
        if a != b && self.cut.len() < 2 {
            self.cut.insert((a.min(b), a.max(b)));
            self.seen.cuts += 1;
        }
    }

    /// A lease lapses, comes back, or is found to be over.
    fn lease(&mut self) {
        let at = self.pick();
        let Some(node) = &mut self.nodes[at] else { return };
        let Some(me) = node.incarnation else { return };
        if !self.live.contains_key(&me) {
            return;
        }
        if node.has_lease {
            let others = self.live.len() > 2 && self.chance.percent(60);
            if others {
                self.nodes[at].as_mut().expect("it is there").set_lease(false);
            }
        } else if self.chance.percent(40) {
            node.set_lease(true);
        } else {
            self.end(me);
        }
    }

    fn end(&mut self, incarnation: Incarnation) {
        self.live.remove(&incarnation);
        self.append(Entry::Ended(incarnation));
    }

    fn crash_or_start(&mut self) {
        let at = self.pick();
        let may_crash = self.nodes.iter().flatten().count() > 2 && self.live.len() > 2;
        match self.nodes[at].take() {
            None => {
                self.nodes[at] = Some(Node::new(at, self.bug));
                self.join(at);
            }
            Some(node) if may_crash => {
                self.count(node);
                self.seen.crashes += 1;
            }
            node => self.nodes[at] = node,
        }
    }

    fn count(&mut self, node: Node) {
        let Told { bound, resumed, returned, evicted, refused, lost, detached, deposed } =
            node.told;
        self.told.bound += bound;
        self.told.resumed += resumed;
        self.told.returned += returned;
        self.told.evicted += evicted;
        self.told.refused += refused;
        self.told.lost += lost;
        self.told.detached += detached;
        self.told.deposed += deposed;
    }

    fn hand_off(&mut self) {
        let shard = World::shard(self.chance.below(usize::from(SHARDS)));
        let heirs: Vec<Incarnation> = self.live.keys().copied().collect();
        if heirs.is_empty() {
            return;
        }
        let to = heirs[self.chance.below(heirs.len())];
        let Some((from, sealed, Phase::Active)) = self.map.get(&shard).copied() else { return };
        if from == to || !self.live.contains_key(&from) {
            return;
        }
        let epoch = Epoch(self.append(Entry::Handoff { shard, sealed, from, to }));
        self.map.insert(shard, (from, sealed, Phase::Handoff { to, epoch }));
        self.seen.handoffs += 1;
    }

    /// What the leader does: ends the dead, lets the ended join, recovers what nobody serves.
    fn supervise(&mut self) {
        let dead = self.live.keys().copied().find(|life| self.holder(*life).is_none());
        if let Some(incarnation) = dead {
            return self.end(incarnation);
        }
        let ended = self
            .nodes
            .iter()
            .flatten()
            .find(|node| node.was_ended && node.lives.last() == node.incarnation.as_ref());
        if let Some(name) = ended.map(|node| node.name) {
            self.seen.rejoins += 1;
            return self.join(name);
        }
        let heirs: Vec<Incarnation> = self.live.keys().copied().collect();
        if !heirs.is_empty() {
            let to = heirs[self.chance.below(heirs.len())];
            self.recover(to);
        }
    }

    /// Everything whose owner is over, or whose hand-over takes too long, is another node's.
    fn recover(&mut self, to: Incarnation) {
        let impatient = self.chance.percent(50);
        let stuck = |(owner, epoch, phase): &(Incarnation, Epoch, Phase)| match phase {
            _ if *epoch == Epoch(0) || !self.live.contains_key(owner) => true,
            Phase::Handoff { to, .. } => impatient || !self.live.contains_key(to),
            Phase::Active | Phase::Recovering => false,
        };
        let shards: BTreeSet<ShardId> =
            self.map.iter().filter(|(_, it)| stuck(it)).map(|(shard, _)| *shard).collect();
        if shards.is_empty() {
            return;
        }
        let failed = |shard| matches!(self.map.get(shard), Some((_, _, Phase::Handoff { .. })));
        self.seen.failed_handoffs += shards.iter().filter(|shard| failed(shard)).count();
        self.seen.recoveries += 1;
        let epoch = Epoch(self.append(Entry::Recovering { shards: shards.clone(), to }));
        for shard in shards {
            self.map.insert(shard, (to, epoch, Phase::Recovering));
        }
    }

    fn flush(&mut self) {
        for node in self.nodes.iter_mut().flatten() {
            let Some(me) = node.incarnation else {
                node.out.clear();
                continue;
            };
            self.network.extend(node.out.drain(..).map(|(to, message)| (me, to, message)));
            self.resumable.append(&mut node.resumable);
        }
    }

    /// I3, I4.
    fn check(&mut self) {
        let mut acting: BTreeMap<&FullJid, (usize, Local)> = BTreeMap::new();
        for node in self.nodes.iter().flatten() {
            for (local, socket) in node.acting() {
                let before = acting.insert(&socket.jid, (node.name, *local));
                if let Some(before) = before {
                    let here = (node.name, *local);
                    let wrong = format!("I4: {} acts at {before:?} and {here:?}", socket.jid);
                    self.wrong.get_or_insert(wrong);
                }
            }
            if let Some(wrong) = &node.wrong {
                self.wrong.get_or_insert(wrong.clone());
            }
        }
    }

    /// The faults are over: everything is to become quiet, and true.
    pub fn heal(&mut self) {
        self.cut.clear();
        for _ in 0..QUIET_ROUNDS {
            for at in 0..self.nodes.len() {
                self.mend(at);
            }
            self.supervise();
            while !self.network.is_empty() {
                let (from, to, message) = self.network.remove(0);
                if let Some(at) = self.holder(to) {
                    self.nodes[at].as_mut().expect("a holder").receive(self.now, from, message);
                }
                self.flush();
                self.check();
            }
            self.now += Duration::from_millis(600);
            if self.is_quiet() {
                break;
            }
        }
        self.check_registered();
    }

    fn mend(&mut self, at: usize) {
        let Some(node) = &mut self.nodes[at] else {
            self.nodes[at] = Some(Node::new(at, self.bug));
            return self.join(at);
        };
        if node.incarnation.is_some_and(|me| self.live.contains_key(&me)) && !node.has_lease {
            node.set_lease(true);
        }
        while self.apply_at(at) {}
        self.advance_at(at);
        let now = self.now;
        let node = self.nodes[at].as_mut().expect("it is there");
        let evicted = node.sockets.iter().filter(|(_, socket)| socket.evicted);
        let evicted: Vec<Local> = evicted.map(|(local, _)| *local).collect();
        evicted.into_iter().for_each(|local| node.close(now, local, End::Closed));
        node.timeout(now);
        self.flush();
        self.check();
    }

    fn is_quiet(&self) -> bool {
        let applied = |node: &Node| node.applied == self.log.len() && node.binds.is_quiet();
        let settled = self.nodes.iter().all(|node| {
            node.as_ref().is_some_and(|node| {
                applied(node) && node.sockets.values().all(|socket| socket.acts && !socket.evicted)
            })
        });
        settled && self.map.values().all(|(_, _, phase)| *phase == Phase::Active)
    }

    /// I7: every shard is served, and every live socket registered exactly once.
    fn check_registered(&mut self) {
        let mut wrong = Vec::new();
        if !self.is_quiet() {
            let states: Vec<_> = self
                .nodes
                .iter()
                .flatten()
                .map(|node| {
                    (
                        node.name,
                        node.applied,
                        node.incarnation,
                        node.has_lease,
                        &node.sockets,
                        &node.binds,
                    )
                })
                .collect();
            wrong.push(format!("I7: not quiet: {:?} {states:#?}", self.map));
        }
        let mut sockets = BTreeMap::new();
        for node in self.nodes.iter().flatten() {
            for socket in node.sockets.values() {
                sockets.insert(socket.jid.clone(), (node.incarnation, socket.session));
            }
        }
        let count: usize = self.nodes.iter().flatten().map(|node| node.sockets.len()).sum();
        if count != sockets.len() {
            wrong.push("I7: a full JID has two sockets".to_owned());
        }
        let mut registered = BTreeMap::new();
        for (shard, (owner, ..)) in &self.map {
            let Some(at) = self.holder(*owner) else { continue };
            let node = self.nodes[at].as_ref().expect("a holder");
            if !node.registry.serves(*shard, &node.fence) {
                wrong.push(format!("I7: {shard:?} is not served"));
            }
            for it in node.registry.sessions(*shard).filter(|it| it.place.is_some()) {
                let at = it.place.map(|place| place.incarnation);
                registered.insert(it.jid, (at, Some(it.session)));
            }
        }
        if registered != sockets {
            wrong.push(format!("I7: registered {registered:?}, there {sockets:?}"));
        }
        if let Some(first) = wrong.into_iter().next() {
            self.wrong.get_or_insert(first);
        }
        for at in 0..self.nodes.len() {
            if let Some(node) = self.nodes[at].take() {
                self.count(node);
            }
        }
    }
}
