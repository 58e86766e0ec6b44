//! Interleavings that are easy to get wrong, step by step.

use std::collections::BTreeSet;
use std::time::Instant;

use jackdaw_jid::FullJid;
use jackdaw_ownership::registry::{
    Bind, Claim, End, Local, Registered, SessionName, ToOwner, ToSocket, Wanted,
};
use jackdaw_ownership::{Epoch, Incarnation, ShardId};

use crate::node::{Entry, Message, Node};

const O: usize = 0;
const X: usize = 1;
const Y: usize = 2;

/// A frame under way.
type Frame = (Incarnation, Incarnation, Message);

/// Three nodes; the first one owns the shard.
struct Stage {
    now: Instant,
    nodes: Vec<Node>,
    log: Vec<Entry>,
    network: Vec<Frame>,
}

fn shard() -> ShardId {
    ShardId::new(1).expect("a shard")
}

fn jid() -> FullJid {
    FullJid::parse("romeo@example.net/orchard").expect("a JID")
}

fn is_bound(message: &Message) -> bool {
    matches!(message, Message::Down(ToSocket::Bound { .. }))
}

impl Stage {
    #[expect(clippy::disallowed_methods, reason = "an origin; nothing reads the clock after it")]
    fn new() -> Stage {
        let nodes = (0..3).map(|name| Node::new(name, None)).collect();
        let mut stage = Stage { now: Instant::now(), nodes, log: Vec::new(), network: Vec::new() };
        for name in [O, X, Y] {
            stage.nodes[name].lives.insert(Incarnation(name as u64 + 1));
            stage.agree(Entry::Joined(name));
        }
        stage.recover(O);
        stage
    }

    fn incarnation(&self, name: usize) -> Incarnation {
        self.nodes[name].incarnation.expect("it has joined")
    }

    /// An entry that every node applies.
    fn agree(&mut self, entry: Entry) -> Epoch {
        let epoch = self.append(entry);
        (0..self.nodes.len()).for_each(|name| self.apply(name));
        epoch
    }

    /// An entry that no node has applied.
    fn append(&mut self, entry: Entry) -> Epoch {
        self.log.push(entry);
        Epoch(self.log.len() as u64)
    }

    /// A node applies what it has not.
    fn apply(&mut self, name: usize) {
        let node = &mut self.nodes[name];
        while let Some(entry) = self.log.get(node.applied).cloned() {
            node.apply(self.now, node.applied as u64 + 1, &entry);
        }
        self.collect();
    }

    fn collect(&mut self) {
        for node in &mut self.nodes {
            if let Some(me) = node.incarnation {
                self.network.extend(node.out.drain(..).map(|(to, message)| (me, to, message)));
            }
        }
    }

    /// Takes frames off the network.
    fn take(&mut self, wanted: impl Fn(&Message) -> bool) -> Vec<Frame> {
        self.network.extract_if(.., |(_, _, message)| wanted(message)).collect()
    }

    fn deliver(&mut self, frames: Vec<Frame>) {
        for (from, to, message) in frames {
            let node = self.nodes.iter_mut().find(|node| node.lives.contains(&to));
            node.expect("a node").receive(self.now, from, message);
        }
        self.collect();
    }

    /// Everything arrives but what is held back.
    fn settle_without(&mut self, held: impl Fn(&Message) -> bool) {
        loop {
            let frames = self.take(|message| !held(message));
            if frames.is_empty() {
                return;
            }
            self.deliver(frames);
        }
    }

    fn settle(&mut self) {
        self.settle_without(|_| false);
    }

    fn recover(&mut self, to: usize) {
        let (shards, owner) = (BTreeSet::from([shard()]), self.incarnation(to));
        let epoch = self.agree(Entry::Recovering { shards, to: owner });
        self.settle();
        self.nodes[to].advance();
        self.agree(Entry::Active { shard: shard(), epoch, owner });
        self.settle();
    }

    fn hand_off(&mut self, from: usize, sealed: Epoch, to: usize) -> Epoch {
        let (from, owner) = (self.incarnation(from), self.incarnation(to));
        let epoch = self.agree(Entry::Handoff { shard: shard(), sealed, from, to: owner });
        self.nodes.iter_mut().for_each(|node| node.timeout(self.now));
        self.collect();
        let frames = self.take(|message| matches!(message, Message::Snapshot(..)));
        self.deliver(frames);
        self.agree(Entry::Active { shard: shard(), epoch, owner });
        epoch
    }

    fn connect(&mut self, name: usize, local: u64, resumes: Option<SessionName>) {
        let is_resumable = true;
        let wanted = Wanted { jid: jid(), shard: shard(), worker: 0, resumes, is_resumable };
        self.nodes[name].connect(self.now, Local(local), wanted);
        self.collect();
    }

    /// The worker does what an eviction asks for.
    fn obey(&mut self, name: usize, local: u64) {
        assert!(self.nodes[name].sockets[&Local(local)].evicted, "it is told to close");
        self.nodes[name].close(self.now, Local(local), End::Closed);
        self.collect();
    }

    fn acting(&self) -> Vec<(usize, u64)> {
        let all = self.nodes.iter();
        all.flat_map(|node| node.acting().map(|(local, _)| (node.name, local.0))).collect()
    }

    fn registered(&self, owner: usize) -> Option<Registered> {
        self.nodes[owner].registry.find(shard(), &jid())
    }

    fn is_registered_at(&self, owner: usize, name: usize) -> bool {
        let place = self.registered(owner).and_then(|it| it.place);
        place.is_some_and(|place| place.incarnation == self.incarnation(name))
    }
}

const FIRST: Epoch = Epoch(4);

#[test]
fn an_eviction_that_overtakes_the_answer_leaves_one_session() {
    let mut stage = Stage::new();
    stage.connect(X, 1, None);
    stage.settle_without(is_bound);
    let late = stage.take(is_bound);
    assert_eq!(late.len(), 1);
    stage.connect(Y, 2, None);
    stage.settle();
    assert_eq!(stage.acting(), [(Y, 2)]);
    stage.deliver(late);
    stage.settle();
    assert_eq!(stage.acting(), [(Y, 2)]);
    assert!(stage.is_registered_at(O, Y));
}

#[test]
fn a_newcomer_waits_until_the_old_socket_is_silent() {
    let mut stage = Stage::new();
    stage.connect(X, 1, None);
    stage.settle();
    stage.connect(Y, 2, None);
    stage.settle();
    assert_eq!(stage.acting(), [(X, 1)]);
    stage.obey(X, 1);
    assert_eq!(stage.acting(), []);
    stage.settle();
    assert_eq!(stage.acting(), [(Y, 2)]);
}

#[test]
fn an_eviction_from_a_dead_node_waits_for_its_end() {
    let mut stage = Stage::new();
    stage.connect(X, 1, None);
    stage.settle();
    stage.nodes[X].has_lease = false;
    stage.connect(Y, 2, None);
    let to_x = |message: &Message| matches!(message, Message::Down(ToSocket::Evict { .. }));
    for _ in 0..3 {
        stage.settle_without(to_x);
        assert_eq!(stage.take(to_x).len(), 1);
        stage.now += jackdaw_ownership::registry::RESEND;
        stage.nodes.iter_mut().for_each(|node| node.timeout(stage.now));
        stage.collect();
        assert_eq!(stage.acting(), [], "nobody, and no estimate of when the lease is over");
    }
    stage.take(to_x);
    let ended = Entry::Ended(stage.incarnation(X));
    stage.agree(ended);
    stage.settle();
    assert_eq!(stage.acting(), [(Y, 2)]);
}

#[test]
fn a_hand_over_that_failed_ends_the_old_owner_too() {
    let mut stage = Stage::new();
    let (o, x, y) = (stage.incarnation(O), stage.incarnation(X), stage.incarnation(Y));
    // The old owner has applied neither entry when it is asked.
    stage.append(Entry::Handoff { shard: shard(), sealed: FIRST, from: o, to: x });
    let shards = BTreeSet::from([shard()]);
    let epoch = stage.append(Entry::Recovering { shards, to: y });
    stage.apply(X);
    stage.apply(Y);
    stage.settle();
    stage.nodes[Y].advance();
    stage.append(Entry::Active { shard: shard(), epoch, owner: y });
    stage.apply(Y);
    assert!(!stage.nodes[O].registry.serves(shard(), &stage.nodes[O].fence));
    stage.connect(O, 1, None);
    stage.settle();
    assert_eq!(stage.acting(), [], "the old owner gives nothing");
    stage.apply(O);
    stage.settle();
    assert_eq!(stage.acting(), [(O, 1)]);
    assert!(stage.is_registered_at(Y, O));
}

#[test]
fn a_bind_that_is_repeated_after_its_end_makes_no_ghost() {
    let mut stage = Stage::new();
    stage.connect(X, 1, None);
    let is_bind = |message: &Message| matches!(message, Message::Up(ToOwner::Bind(_)));
    let again: Vec<Frame> =
        stage.network.iter().filter(|(_, _, message)| is_bind(message)).cloned().collect();
    assert_eq!(again.len(), 1);
    stage.settle();
    stage.nodes[X].close(stage.now, Local(1), End::Closed);
    stage.collect();
    stage.settle();
    stage.connect(Y, 2, None);
    stage.settle();
    stage.deliver(again);
    stage.settle();
    assert_eq!(stage.acting(), [(Y, 2)]);
    assert!(stage.is_registered_at(O, Y));
}

#[test]
fn a_late_end_of_an_old_generation_leaves_the_resumed_session() {
    let mut stage = Stage::new();
    stage.connect(X, 1, None);
    stage.settle();
    let before = stage.registered(O).expect("a session");
    stage.nodes[X].close(stage.now, Local(1), End::Detached);
    stage.collect();
    let late = stage.network.clone();
    stage.settle();
    stage.connect(Y, 2, Some(before.session));
    stage.settle();
    stage.deliver(late);
    stage.settle();
    let after = stage.registered(O).expect("the session");
    assert_eq!(after.session, before.session);
    assert!(after.generation > before.generation);
    assert_eq!(stage.acting(), [(Y, 2)]);
}

#[test]
fn a_client_is_told_nothing_by_an_epoch_that_is_over() {
    let mut stage = Stage::new();
    stage.connect(X, 1, None);
    stage.settle_without(is_bound);
    let late = stage.take(is_bound);
    let epoch = stage.hand_off(O, FIRST, Y);
    stage.deliver(late);
    assert_eq!(stage.acting(), [], "it registers again first");
    stage.settle();
    assert_eq!(stage.acting(), [(X, 1)]);
    assert!(stage.is_registered_at(Y, X));
    assert!(stage.registered(Y).is_some_and(|it| it.generation.epoch < epoch), "the snapshot's");
}

#[test]
fn a_session_survives_the_crash_of_its_owner() {
    let mut stage = Stage::new();
    stage.connect(X, 1, None);
    stage.settle();
    let before = stage.registered(O);
    let ended = Entry::Ended(stage.incarnation(O));
    stage.nodes[O].has_lease = false;
    stage.agree(ended);
    stage.recover(Y);
    assert_eq!(stage.registered(Y), before);
    assert_eq!(stage.acting(), [(X, 1)]);
}

#[test]
fn a_node_that_comes_back_yields_to_who_came_meanwhile() {
    let mut stage = Stage::new();
    stage.connect(X, 1, None);
    stage.settle();
    stage.nodes[X].set_lease(false);
    let ended = Entry::Ended(stage.incarnation(X));
    stage.agree(ended);
    stage.connect(Y, 2, None);
    stage.settle();
    assert_eq!(stage.acting(), [(Y, 2)]);
    let next = Incarnation(stage.log.len() as u64 + 1);
    stage.nodes[X].lives.insert(next);
    stage.agree(Entry::Joined(X));
    stage.settle();
    assert_eq!(stage.acting(), [(Y, 2)]);
    assert!(stage.nodes[X].sockets.is_empty(), "its client is told of the conflict");
}

#[test]
fn a_node_that_comes_back_acts_for_nobody_before_it_is_answered() {
    let mut stage = Stage::new();
    stage.connect(X, 1, None);
    stage.settle();
    let before = stage.registered(O).expect("a session");
    stage.nodes[X].set_lease(false);
    let ended = Entry::Ended(stage.incarnation(X));
    stage.agree(ended);
    let next = Incarnation(stage.log.len() as u64 + 1);
    stage.nodes[X].lives.insert(next);
    stage.agree(Entry::Joined(X));
    assert_eq!(stage.acting(), []);
    let is_again = |message: &Message| {
        matches!(message, Message::Up(ToOwner::Bind(Bind { claim: Claim::Again { .. }, .. })))
    };
    assert!(stage.network.iter().any(|(_, _, message)| is_again(message)));
    stage.settle();
    assert_eq!(stage.acting(), [(X, 1)]);
    let after = stage.registered(O).expect("the session");
    assert_eq!(after.session, before.session);
    assert!(after.generation > before.generation);
}
