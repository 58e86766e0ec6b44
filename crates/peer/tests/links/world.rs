//! Nodes, the network between them, and what has to be true of their history.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;
use std::time::{Duration, Instant};

use jackdaw_peer::frame::{Epoch, Incarnation, Moved, Origin, Shard, Tenure};
use jackdaw_peer::link::UplinkEvent;

use crate::chance::Chance;
use crate::clients::{Client, Recipient, SHARDS, Store};
use crate::node::{Message, Node, Taken};

pub const NODES: u64 = 3;

/// Clients at each node.
const CLIENTS: u64 = 2;

/// How long everything may take to become quiet when the faults are over.
const QUIET_STEPS: usize = 50_000;

/// Which faults besides those of the network.
#[derive(Clone, Copy)]
pub struct Faults {
    pub moves: bool,
    pub crashes: bool,
}

/// What happened, so that a test of nothing is noticed.
#[derive(Debug, Default)]
pub struct Seen {
    rows: usize,
    refused: usize,
    cuts: usize,
    repeated: usize,
    moves: usize,
    crashes: usize,
}

impl AddAssign for Seen {
    fn add_assign(&mut self, other: Seen) {
        self.rows += other.rows;
        self.refused += other.refused;
        self.cuts += other.cuts;
        self.repeated += other.repeated;
        self.moves += other.moves;
        self.crashes += other.crashes;
    }
}

impl Seen {
    pub fn assert_all(&self, faults: Faults) {
        assert!(self.rows > 1_000 && self.refused > 0 && self.cuts > 0, "{self:?}");
        assert!(!faults.moves || self.moves > 0, "{self:?}");
        assert!(!faults.crashes || (self.crashes > 0 && self.repeated > 0), "{self:?}");
    }
}

pub struct World {
    chance: Chance,
    faults: Faults,
    healed: bool,
    now: Instant,
    nodes: BTreeMap<Incarnation, Node>,
    clients: Vec<Client>,
    store: Store,
    /// Under way, from and to whom.
    network: Vec<(Incarnation, Incarnation, Message)>,
    /// Pairs without a connection.
    cut: BTreeSet<(Incarnation, Incarnation)>,
    /// The truth: owner, epoch, and the epoch since which no owner of the shard crashed.
    owners: BTreeMap<Shard, (Incarnation, Epoch, Epoch)>,
    /// Assignments that a node has not heard of.
    rumours: Vec<(Incarnation, Tenure, Incarnation)>,
    epoch: u64,
    /// What was taken, by the chain of owners without a crash.
    taken: BTreeSet<(Epoch, Origin)>,
    /// When each epoch's chain began.
    chains: BTreeMap<Epoch, Epoch>,
    /// What sockets got.
    arrived: BTreeMap<Recipient, Vec<Origin>>,
    seen: Seen,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "an origin; nothing reads the clock after it")]
    pub fn new(seed: u64, faults: Faults) -> World {
        let names = (1..=NODES).map(Incarnation);
        let clients = (0..NODES * CLIENTS).map(|n| Client::new(n, Incarnation(1 + n % NODES)));
        let mut world = World {
            chance: Chance::new(seed),
            faults,
            healed: false,
            now: Instant::now(),
            nodes: names.map(|name| (name, Node::new())).collect(),
            clients: clients.collect(),
            store: Store::default(),
            network: Vec::new(),
            cut: BTreeSet::new(),
            owners: BTreeMap::new(),
            rumours: Vec::new(),
            epoch: 1,
            taken: BTreeSet::new(),
            chains: BTreeMap::new(),
            arrived: BTreeMap::new(),
            seen: Seen::default(),
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        let names: Vec<Incarnation> = self.nodes.keys().copied().collect();
        for node in self.nodes.values_mut() {
            names.iter().for_each(|peer| node.connected(*peer));
        }
        for to in Recipient::all() {
            self.node(to.socket()).arrivals.open(to.shard(), to.generation(), 1);
        }
        for number in 0..SHARDS {
            let shard = Shard::new(number).expect("few shards");
            self.recover(shard, Incarnation(1 + u64::from(number) % NODES));
        }
        self.seen = Seen::default();
    }

    fn node(&mut self, name: Incarnation) -> &mut Node {
        self.nodes.get_mut(&name).expect("nodes stay")
    }

    fn any_node(&mut self) -> Incarnation {
        Incarnation(1 + self.chance.below(NODES as usize) as u64)
    }

    fn any_shard(&mut self) -> Shard {
        let number = self.chance.below(usize::from(SHARDS)) as u16;
        Shard::new(number).expect("few shards")
    }

    /// One thing happens.
    pub fn step(&mut self) {
        self.now += Duration::from_millis(5);
        match self.chance.below(100) {
            0..20 => self.write(),
            20..50 => self.transmit(),
            50..80 => self.carry(),
            80..92 => self.commit(),
            92..95 => self.hear(),
            95..97 => self.toggle(),
            97 if self.faults.moves => self.hand_over(),
            98 if self.faults.crashes => self.crash(),
            _ => self.time(),
        }
        self.settle();
    }

    /// A client sends, or offers again what was refused.
    fn write(&mut self) {
        let which = self.chance.below(self.clients.len());
        let to = Recipient(self.chance.below(Recipient::all().count()) as u8);
        let client = &mut self.clients[which];
        if client.stopped || (self.healed && client.held.is_none()) {
            return;
        }
        let (to, item) = client.held.take().unwrap_or_else(|| (to, client.compose(to)));
        let node = self.nodes.get_mut(&client.home).expect("nodes stay");
        match node.uplink.send(to.shard(), Some(client.session), item) {
            Ok(ordinal) => {
                client.sent.push(to);
                assert_eq!(ordinal, client.sent.len() as u64);
            }
            Err(full) => {
                client.held = Some((to, full.0));
                client.stopped = true;
                self.seen.refused += 1;
            }
        }
    }

    fn transmit(&mut self) {
        let (from, to) = (self.any_node(), self.any_node());
        if self.cut.contains(&(from, to)) || self.network.len() > 400 {
            return;
        }
        let (now, bytes) = (self.now, 1 + self.chance.below(1_000));
        let messages = self.node(from).transmit(now, to, bytes);
        self.network.extend(messages.into_iter().map(|message| (from, to, message)));
    }

    /// The network delivers something, in any order, perhaps twice, perhaps never.
    fn carry(&mut self) {
        if self.network.is_empty() {
            return;
        }
        let at = match self.healed {
            true => 0,
            false => self.chance.below(self.network.len()),
        };
        let (from, to, message) = match !self.healed && self.chance.percent(10) {
            true => self.network[at].clone(),
            false => self.network.remove(at),
        };
        if self.healed || !self.chance.percent(5) {
            let now = self.now;
            self.node(to).receive(now, from, message);
        }
    }

    /// A connection is cut with all that is under way on it, or made anew.
    fn toggle(&mut self) {
        let (from, to) = (self.any_node(), self.any_node());
        match self.cut.remove(&(from, to)) {
            true => self.connect(from, to),
            false => {
                self.seen.cuts += 1;
                self.cut.insert((from, to));
                self.network.retain(|(a, b, _)| (*a, *b) != (from, to));
                self.node(from).disconnected(to);
            }
        }
    }

    fn connect(&mut self, from: Incarnation, to: Incarnation) {
        self.node(from).connected(to);
    }

    /// One row becomes durable somewhere, and is accepted and delivered.
    fn commit(&mut self) {
        let name = self.any_node();
        let waiting = self.node(name).commits.iter().filter(|(_, queue)| !queue.is_empty());
        let recipients: Vec<Recipient> = waiting.map(|(to, _)| *to).collect();
        if !recipients.is_empty() {
            let to = recipients[self.chance.below(recipients.len())];
            self.commit_one(name, to);
        }
    }

    fn commit_one(&mut self, name: Incarnation, to: Recipient) {
        let node = self.nodes.get_mut(&name).expect("nodes stay");
        let Some(taken) = node.commits.get_mut(&to).and_then(|queue| queue.pop_front()) else {
            return;
        };
        let Taken { tenure, link, number, origin } = taken;
        let (durable, new) = self.store.commit(tenure.epoch, to, origin);
        if !durable {
            return;
        }
        node.intake.accept(&node.fence, tenure, link, number);
        if new {
            node.deliver(to, origin);
        } else {
            self.seen.repeated += 1;
        }
    }

    /// A node hears of an assignment.
    fn hear(&mut self) {
        if self.rumours.is_empty() {
            return;
        }
        let at = self.chance.below(self.rumours.len());
        let (name, tenure, owner) = self.rumours.remove(at);
        let node = self.node(name);
        node.uplink.assign(&node.fence, tenure, owner);
    }

    fn time(&mut self) {
        self.now += Duration::from_millis(100);
        let now = self.now;
        self.nodes.values_mut().for_each(|node| node.timeout(now));
    }

    fn assign(&mut self, shard: Shard, owner: Incarnation, crashed: bool) -> Tenure {
        self.epoch += 1 + self.chance.below(3) as u64;
        let epoch = Epoch(self.epoch);
        let before = self.owners.get(&shard).map(|(_, _, chain)| *chain);
        let chain = before.filter(|_| !crashed).unwrap_or(epoch);
        self.owners.insert(shard, (owner, epoch, chain));
        self.chains.insert(epoch, chain);
        let tenure = Tenure { shard, epoch };
        self.rumours.extend((1..=NODES).map(|name| (Incarnation(name), tenure, owner)));
        tenure
    }

    /// A planned move: seal, finish what was taken, hand over, claim.
    fn hand_over(&mut self) {
        let (shard, to) = (self.any_shard(), self.any_node());
        let from = self.owners[&shard].0;
        // An owner that does not know yet that it is deposed cannot hand over.
        if from == to || self.node(from).intake.owns(shard).is_none() {
            return;
        }
        self.seen.moves += 1;
        let tenure = self.assign(shard, to, false);
        self.node(from).intake.seal(shard, Moved { tenure, owner: Some(to) });
        for recipient in Recipient::all().filter(|recipient| recipient.shard() == shard) {
            while self.node(from).commits.get(&recipient).is_some_and(|queue| !queue.is_empty()) {
                self.commit_one(from, recipient);
            }
        }
        self.store.claim(shard, tenure.epoch);
        let node = self.node(from);
        let links = node.intake.hand_over(shard);
        let sessions = node.downlink.hand_over(shard);
        let mut spool = std::mem::take(&mut node.spool);
        let node = self.node(to);
        node.intake.claim(&node.fence, tenure, links).expect("sound states");
        for state in sessions {
            node.downlink.install(&node.fence, tenure, state);
        }
        for (recipient, waiting) in &mut spool {
            if recipient.shard() == shard {
                waiting.drain(..).for_each(|origin| node.deliver(*recipient, origin));
            }
        }
        self.node(from).spool = spool;
    }

    /// The owner loses its role without knowing; another one recovers the shard.
    fn crash(&mut self) {
        let (shard, to) = (self.any_shard(), self.any_node());
        if self.owners[&shard].0 != to {
            self.seen.crashes += 1;
            self.recover(shard, to);
        }
    }

    /// Asks the socket nodes what they have, and delivers the rest.
    fn recover(&mut self, shard: Shard, to: Incarnation) {
        let tenure = self.assign(shard, to, true);
        self.store.claim(shard, tenure.epoch);
        let node = self.node(to);
        node.intake.claim(&node.fence, tenure, Vec::new()).expect("nothing is sound");
        for recipient in Recipient::all().filter(|recipient| recipient.shard() == shard) {
            let socket = self.node(recipient.socket());
            // The question carries the epoch: nothing of the old owner arrives behind it.
            socket.fence.see(tenure);
            let first = socket.arrivals.next(recipient.generation()).expect("sessions stay");
            let had = self.arrived.get(&recipient).map_or(0, Vec::len);
            let rows = self.store.rows.get(&recipient).cloned().unwrap_or_default();
            let node = self.node(to);
            let link = Node::link(recipient.socket());
            node.downlink.open(&node.fence, tenure, recipient.generation(), link, first);
            node.spool.remove(&recipient);
            rows.into_iter().skip(had).for_each(|origin| node.deliver(recipient, origin));
        }
    }

    /// What the machines have to say after a step, and what must hold then.
    fn settle(&mut self) {
        let names: Vec<Incarnation> = self.nodes.keys().copied().collect();
        for name in names {
            for taken in self.node(name).collect() {
                let chain = self.chains[&taken.tenure.epoch];
                let first = self.taken.insert((chain, taken.origin));
                assert!(first, "{:?} was taken twice without a crash", taken.origin);
            }
            let node = self.node(name);
            while node.downlink.poll_event().is_some() {}
            let spooled: Vec<Recipient> = node.spool.keys().copied().collect();
            spooled.into_iter().for_each(|to| node.flush(to));
            while let Some(event) = self.node(name).uplink.poll_event() {
                self.told(name, event);
            }
            while let Some(arrival) = self.node(name).arrivals.poll_event() {
                let to = Recipient(arrival.generation.counter as u8);
                let origin = arrival.parcel.origin.expect("clients have one");
                self.arrived.entry(to).or_default().push(origin);
            }
        }
    }

    fn told(&mut self, home: Incarnation, event: UplinkEvent) {
        let of = |session| move |client: &&mut Client| client.session == session;
        match event {
            UplinkEvent::Writable(session) => {
                let client = self.clients.iter_mut().find(of(session)).expect("clients stay");
                client.stopped = false;
            }
            UplinkEvent::Accepted { session, handled } => {
                let client = self.clients.iter_mut().find(of(session)).expect("clients stay");
                assert!(client.home == home && handled > client.handled);
                for inbound in client.handled + 1..=handled {
                    let origin = client.origin(inbound);
                    assert!(self.store.holds(origin), "{origin:?} is acknowledged and not durable");
                }
                client.handled = handled;
            }
        }
    }

    /// No more faults; goes on until nothing is left to do.
    pub fn heal(&mut self) {
        self.healed = true;
        self.faults = Faults { moves: false, crashes: false };
        for (from, to) in std::mem::take(&mut self.cut) {
            self.connect(from, to);
        }
        while !self.rumours.is_empty() {
            self.hear();
        }
        for _ in 0..QUIET_STEPS {
            self.now += Duration::from_millis(5);
            match self.chance.below(5) {
                0 => self.write(),
                1 => self.transmit(),
                2 => self.commit(),
                3 => self.time(),
                _ => (0..20).for_each(|_| self.carry()),
            }
            self.settle();
            if self.is_quiet() {
                return;
            }
        }
        panic!("it does not become quiet");
    }

    fn is_quiet(&self) -> bool {
        let nodes = self.nodes.values();
        let mut empty = nodes.map(|node| node.uplink.is_empty() && node.downlink.bytes() == 0);
        let spools = || self.nodes.values().flat_map(|node| node.spool.values());
        self.clients.iter().all(|client| client.held.is_none())
            && empty.all(|empty| empty)
            && spools().all(|waiting| waiting.is_empty())
    }

    /// Everything was accepted once and in order, and arrived so.
    pub fn check(mut self) -> Seen {
        let mut sent = 0;
        for client in &self.clients {
            assert_eq!(client.handled, client.sent.len() as u64, "{:?}", client.session);
            sent += client.sent.len();
        }
        self.seen.rows = self.store.rows.values().map(Vec::len).sum();
        assert_eq!(self.seen.rows, sent, "phantoms, or something is lost");
        for (to, rows) in &self.store.rows {
            let mut last: BTreeMap<_, u64> = BTreeMap::new();
            for origin in rows {
                let before = last.insert(origin.session, origin.inbound);
                assert!(before.is_none_or(|before| before < origin.inbound), "{to:?}: reordered");
            }
            assert_eq!(self.arrived.get(to), Some(rows), "{to:?}: what arrived");
        }
        self.seen
    }
}
