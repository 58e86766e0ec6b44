//! I4 in the small, exhaustively: one full JID, two nodes that are owners and have sockets, a shard
//! that moves from one to the other, and a network on which every frame may be lost, repeated and
//! overtaken.
//!
//! A frame that was sent stays in the network for ever: it may arrive any number of times, or not
//! at all. So timers need not run.

use std::collections::BTreeSet;
use std::time::Instant;

use jackdaw_jid::FullJid;
use jackdaw_ownership::registry::{
    Answer, Binds, BindsEvent, Counters, End, Fence, Local, Nonce, Recover, Recovery, Registry,
    RegistryConfig, Snapshot, Tenure, ToOwner, ToSocket, Wanted,
};
use jackdaw_ownership::{Epoch, Incarnation, ShardId};
use stateright::{Checker, Model, Property};

use crate::bugs::Bug;

const NODES: usize = 2;
const BEFORE: Epoch = Epoch(4);
const AFTER: Epoch = Epoch(9);

/// How the shard gets to its next owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Way {
    HandOver,
    Recovery,
}

#[derive(Clone, Debug)]
struct Small {
    way: Way,
    /// How often each node opens a socket.
    sockets: u64,
    bug: Option<Bug>,
    now: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Message {
    Up(ToOwner),
    Down(ToSocket),
    Recover(Recover),
    Answer(Answer),
    Snapshot(Snapshot),
}

/// From whom, to whom.
type Frame = (usize, usize, Message);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Member {
    registry: Registry,
    binds: Binds,
    highest: Epoch,
    recovery: Option<Recovery>,
    opened: u64,
    acts: BTreeSet<Local>,
    evicted: BTreeSet<Local>,
    knows: Knows,
}

/// What a node has applied of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Knows {
    Nothing,
    Move,
    Active,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    members: Vec<Member>,
    network: BTreeSet<Frame>,
    /// How far the log goes.
    agreed: Knows,
}

#[derive(Clone, Debug, PartialEq)]
enum Action {
    Agree,
    Apply(usize),
    Close(usize, Local),
    Deliver(Frame),
    Open(usize),
}

fn shard() -> ShardId {
    ShardId::new(0).expect("a shard")
}

fn incarnation(node: usize) -> Incarnation {
    Incarnation(node as u64 + 1)
}

impl Member {
    fn fence(&self) -> Fence {
        let fence = Fence::new(1);
        fence.see(Tenure { shard: shard(), epoch: self.highest });
        fence
    }
}

impl Small {
    /// What a node does, with its fence, and what comes of it.
    fn act(&self, state: &mut State, node: usize, act: impl FnOnce(&mut Member, &Fence)) {
        let member = &mut state.members[node];
        let fence = member.fence();
        act(member, &fence);
        member.highest = fence.highest(shard());
        let network = &mut state.network;
        let to = |to: Incarnation| to.0 as usize - 1;
        while let Some((peer, frame)) = member.binds.poll_transmit() {
            network.insert((node, to(peer), Message::Up(frame)));
        }
        while let Some((peer, frame)) = member.registry.poll_transmit() {
            network.insert((node, to(peer), Message::Down(frame)));
        }
        // They raise fences, which everything else of that epoch does as well.
        while member.binds.poll_moved().is_some() || member.registry.poll_moved().is_some() {}
        while member.registry.poll_event().is_some() {}
        if let Some(recovery) = &mut member.recovery {
            while let Some((peer, question)) = recovery.poll_transmit() {
                network.insert((node, to(peer), Message::Recover(question)));
            }
        }
        while let Some(event) = member.binds.poll_event() {
            match event {
                BindsEvent::Bound { local, .. } => drop(member.acts.insert(local)),
                BindsEvent::Evicted { local, .. } => drop(member.evicted.insert(local)),
                BindsEvent::Refused { local, .. } => drop(member.acts.remove(&local)),
                BindsEvent::Continued | BindsEvent::Suspended => {}
            }
        }
    }

    fn apply(&self, member: &mut Member, node: usize, fence: &Fence) {
        let (tenure, next) = (Tenure { shard: shard(), epoch: AFTER }, node == 1);
        if member.knows == Knows::Nothing {
            member.knows = Knows::Move;
            if next {
                member.registry.begin(tenure, fence);
            }
            if self.way == Way::Recovery {
                fence.see(tenure);
            }
            if next && self.way == Way::Recovery {
                let shards = BTreeSet::from([shard()]);
                let waits_for_nobody = self.bug == Some(Bug::RecoveryWaitsForNobody);
                let asked = (0..NODES).filter(|at| *at == 1 || !waits_for_nobody).map(incarnation);
                let question = Recover { epoch: AFTER, shards };
                member.recovery = Some(Recovery::new(self.now, question, asked));
            }
            return;
        }
        member.knows = Knows::Active;
        member.binds.handle_active(self.now, &[shard()], AFTER, incarnation(1), fence);
        if next {
            member.registry.activate(tenure, fence);
        } else {
            member.registry.release(shard());
        }
    }

    fn receive(&self, state: &mut State, (from, node, message): Frame) {
        let (now, bug, sender) = (self.now, self.bug, incarnation(from));
        let mut reply = None;
        self.act(state, node, |member, fence| match message {
            Message::Up(frame) => member.registry.handle(now, sender, frame, fence),
            Message::Down(mut frame) => {
                if let (Some(Bug::EvictionSparesWhatIsInFlight), ToSocket::Evict { nonce, .. }) =
                    (bug, &mut frame)
                {
                    *nonce = Nonce(u64::MAX);
                }
                let none = Fence::new(1);
                let is_open = bug == Some(Bug::NoFenceAtTheSocket);
                member.binds.handle(now, sender, frame, if is_open { &none } else { fence });
            }
            Message::Recover(Recover { shards, epoch }) => {
                let held = member.binds.held(&shards, epoch, fence);
                let known = member.registry.known(&shards, epoch, fence);
                reply = Some(Message::Answer(Answer { held, known }));
            }
            Message::Answer(answer) => {
                if let Some(recovery) = &mut member.recovery {
                    recovery.handle_answer(sender, AFTER, answer);
                    if let Some(recovered) = recovery.recovered() {
                        member.registry.install_recovered(recovered);
                        member.recovery = None;
                        reply = None;
                    }
                }
            }
            Message::Snapshot(snapshot) => {
                let tenure = Tenure { shard: shard(), epoch: AFTER };
                // Refused when it is there already.
                let _ = member.registry.install(tenure, BEFORE, snapshot);
            }
        });
        state.network.extend(reply.map(|message| (node, from, message)));
    }

    /// Whether the next owner has what it needs to serve.
    fn is_ready(&self, state: &State) -> bool {
        let next = &state.members[1];
        match self.way {
            Way::Recovery => next.knows == Knows::Move && next.recovery.is_none(),
            Way::HandOver => next.registry.is_installed(shard()),
        }
    }
}

impl Model for Small {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let member = |node| {
            let mut binds = Binds::new(incarnation(node));
            binds.handle_lease(true);
            Member {
                registry: Registry::new(RegistryConfig::default()),
                binds,
                highest: BEFORE,
                recovery: None,
                opened: 0,
                acts: BTreeSet::new(),
                evicted: BTreeSet::new(),
                knows: Knows::Nothing,
            }
        };
        let mut state = State {
            members: (0..NODES).map(member).collect(),
            network: BTreeSet::new(),
            agreed: Knows::Nothing,
        };
        for node in 0..NODES {
            self.act(&mut state, node, |member, fence| {
                (0..NODES).for_each(|peer| member.registry.handle_joined(incarnation(peer)));
                member.binds.handle_active(self.now, &[shard()], BEFORE, incarnation(0), fence);
                if node == 0 {
                    let tenure = Tenure { shard: shard(), epoch: BEFORE };
                    member.registry.begin(tenure, fence);
                    member.registry.activate(tenure, fence);
                }
            });
        }
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (node, member) in state.members.iter().enumerate() {
            if member.opened < self.sockets {
                actions.push(Action::Open(node));
            }
            if member.knows < state.agreed {
                actions.push(Action::Apply(node));
            }
            // Clients that leave by themselves: in the smaller of the two models.
            let closes = match self.way {
                Way::HandOver => &member.acts,
                Way::Recovery => &member.evicted,
            };
            actions.extend(closes.iter().map(|local| Action::Close(node, *local)));
        }
        let may_agree = match state.agreed {
            Knows::Nothing => true,
            Knows::Move => self.is_ready(state),
            Knows::Active => false,
        };
        if may_agree {
            actions.push(Action::Agree);
        }
        actions.extend(state.network.iter().cloned().map(Action::Deliver));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Agree => {
                state.agreed = match state.agreed {
                    Knows::Nothing => Knows::Move,
                    Knows::Move | Knows::Active => Knows::Active,
                };
            }
            Action::Apply(node) => {
                let mut sealed = None;
                let seals = node == 0 && state.members[0].knows == Knows::Nothing;
                self.act(&mut state, node, |member, fence| {
                    if seals && self.way == Way::HandOver {
                        fence.see(Tenure { shard: shard(), epoch: AFTER });
                        sealed = member.registry.seal(shard(), fence);
                    }
                    self.apply(member, node, fence);
                });
                let snapshot = sealed.map(|snapshot| (0, 1, Message::Snapshot(snapshot)));
                state.network.extend(snapshot);
            }
            Action::Close(node, local) => self.act(&mut state, node, |member, fence| {
                member.acts.remove(&local);
                member.evicted.remove(&local);
                let counters = Counters::default();
                member.binds.unbind(self.now, local, End::Closed, counters, fence);
            }),
            Action::Deliver(frame) => self.receive(&mut state, frame),
            Action::Open(node) => self.act(&mut state, node, |member, fence| {
                member.opened += 1;
                let jid = FullJid::parse("a@b/c").expect("a JID");
                let (shard, worker, resumes) = (shard(), 0, None);
                let wanted = Wanted { jid, shard, worker, resumes, is_resumable: false };
                let local = Local(member.opened);
                member.binds.bind(self.now, local, wanted, fence).expect("few attempts");
            }),
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Small>> {
        vec![
            Property::always("at most one socket acts", |_, state: &State| {
                state.members.iter().map(|member| member.acts.len()).sum::<usize>() <= 1
            }),
            Property::sometimes("the next owner serves", |_, state: &State| {
                state.members[1].registry.serves(shard(), &state.members[1].fence())
            }),
            Property::sometimes("a socket is evicted", |_, state: &State| {
                state.members.iter().any(|member| !member.evicted.is_empty())
            }),
        ]
    }
}

#[expect(clippy::disallowed_methods, reason = "an origin; nothing reads the clock after it")]
fn small(way: Way, sockets: u64, bug: Option<Bug>) -> Small {
    Small { way, sockets, bug, now: Instant::now() }
}

fn holds(way: Way) {
    let checker = small(way, 1, None).checker().threads(2).spawn_bfs().join();
    println!("{way:?}: {} states, {} deep", checker.unique_state_count(), checker.max_depth());
    checker.assert_properties();
}

fn finds(way: Way, sockets: u64, bug: Bug) {
    let checker = small(way, sockets, Some(bug)).checker().threads(2).spawn_bfs().join();
    let path = checker.discovery("at most one socket acts").expect("a counterexample");
    println!("{bug:?} in {} steps", path.into_actions().len());
}

#[test]
fn at_most_one_socket_acts_while_the_shard_is_handed_over() {
    holds(Way::HandOver);
}

#[test]
fn at_most_one_socket_acts_while_the_shard_is_recovered() {
    holds(Way::Recovery);
}

#[test]
fn the_model_finds_an_eviction_that_spares_what_is_in_flight() {
    finds(Way::HandOver, 1, Bug::EvictionSparesWhatIsInFlight);
}

#[test]
fn the_model_finds_a_recovery_that_waits_for_nobody() {
    finds(Way::Recovery, 1, Bug::RecoveryWaitsForNobody);
}
