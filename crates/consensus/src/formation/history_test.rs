//! Histories of first starts, each from a seed: nodes that start together and again, find each
//! other in part, lose their disks, have different lists, or share a name.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::rules_test::name;
use super::{Answer, Config, Formation, Name, Notes, Output, Question};
use crate::node::ClusterId;

/// Histories of each kind.
const SEEDS: u64 = 300;

/// How long everything that can go wrong does.
const FAULTS: Duration = Duration::from_secs(15);

/// How long nodes have to come together when nothing goes wrong any more: far more than it takes.
const HEALED: Duration = Duration::from_secs(60);

/// What may happen besides messages that are lost, come late, twice or not in order, nodes that are
/// not found, and processes that end at any point.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nothing.
    Restarts,
    /// Disks are lost.
    Disks,
    /// Lists differ, though each two have a node in common, and one name is given twice.
    Mistakes,
}

/// A fixed sequence of numbers per seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// A directory, as far as it matters here.
#[derive(Clone, Default)]
struct Disk {
    notes: Notes,
    member_of: Option<ClusterId>,
}

/// One directory with the process that may run in it.
struct Place {
    config: Config,
    disk: Disk,
    machine: Option<Formation>,
    /// Counts the processes. What was meant for an earlier one does not arrive.
    process: u64,
    /// Whom it finds.
    finds: BTreeSet<Name>,
    /// A write of which nobody knows yet whether it is on the disk.
    writing: Option<Write>,
}

#[derive(Clone)]
enum Write {
    Notes(Notes),
    Member(ClusterId),
}

enum Event {
    Answer { to: (usize, u64), from: Name, answer: Answer },
    Join { who: (usize, u64), by: Name, cluster: ClusterId },
    Question { to: Name, asker: (usize, u64), question: Question },
    Written { who: (usize, u64) },
}

struct World {
    seed: u64,
    chance: Chance,
    now: Duration,
    places: Vec<Place>,
    events: BTreeMap<(Duration, u64), Event>,
    count: u64,
    faults: bool,
}

impl World {
    fn new(seed: u64, kind: Kind) -> World {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        // With a list of two and its first name given twice, one answer decides everything.
        let of_two = kind == Kind::Mistakes && chance.percent(50);
        let count = if of_two { 2 } else { 3 + chance.below(7) as usize };
        let names: Vec<Name> = (0..count).map(|n| name(&format!("node-{n}"))).collect();
        let joining = if kind == Kind::Restarts { chance.below(3) as usize } else { 0 };
        let mut configs: Vec<Config> = names
            .iter()
            .map(|me| Config {
                me: me.clone(),
                initial: names.iter().cloned().collect(),
                seeds: if chance.percent(50) { names.iter().cloned().collect() } else { [].into() },
                join: false,
            })
            .collect();
        for n in 0..joining {
            let me = name(&format!("new-{n}"));
            let seeds = names.iter().cloned().collect();
            configs.push(Config { me, initial: BTreeSet::new(), seeds, join: chance.percent(50) });
        }
        if kind == Kind::Mistakes {
            // Without one node each list has all but one, or all, and meets every other.
            let wrong = names[chance.below(count as u64) as usize].clone();
            for config in &mut configs {
                if count > 2 && chance.percent(30) && config.me != wrong {
                    config.initial.remove(&wrong);
                }
            }
            // Every other node is there once: of twins alone there could be two clusters.
            let twin = if count == 2 { 0 } else { chance.below(2) as usize };
            if count == 2 || chance.percent(50) {
                configs.push(configs[twin].clone());
            }
        }
        let place = |config| Place {
            config,
            disk: Disk::default(),
            machine: None,
            process: 0,
            finds: BTreeSet::new(),
            writing: None,
        };
        World {
            seed,
            chance,
            now: Duration::ZERO,
            places: configs.into_iter().map(place).collect(),
            events: BTreeMap::new(),
            count: 0,
            faults: true,
        }
    }

    fn later(&mut self, event: Event) {
        let most = if self.faults { 900 } else { 30 };
        let delay = Duration::from_millis(1 + self.chance.below(most));
        self.count += 1;
        self.events.insert((self.now + delay, self.count), event);
    }

    fn start(&mut self, at: usize) {
        self.count += 1;
        let fresh = ClusterId(u128::from(self.count).to_be_bytes());
        let place = &mut self.places[at];
        place.process += 1;
        let Disk { notes, member_of } = place.disk.clone();
        let machine = Formation::new(place.config.clone(), notes, member_of, fresh, self.now);
        place.machine = Some(machine.expect("it fits"));
        self.find(at);
    }

    /// Whom a name server tells a node of now: some, or all.
    fn find(&mut self, at: usize) {
        let all: BTreeSet<Name> = self.places.iter().map(|p| p.config.me.clone()).collect();
        let missing = if self.faults { self.chance.below(100) } else { 0 };
        let found = all.into_iter().filter(|_| !self.chance.percent(missing)).collect();
        self.places[at].finds = found;
    }

    /// Ends a process, at whatever point of a write it is.
    fn end(&mut self, at: usize) {
        let done = self.chance.percent(50);
        let place = &mut self.places[at];
        place.machine = None;
        match place.writing.take().filter(|_| done) {
            Some(Write::Notes(notes)) => place.disk.notes = notes,
            Some(Write::Member(cluster)) => place.disk.member_of = Some(cluster),
            None => {}
        }
    }

    fn drain(&mut self, at: usize) {
        while let Some(output) = self.places[at].machine.as_mut().and_then(Formation::poll_output) {
            let who = (at, self.places[at].process);
            match output {
                Output::Ask { to, question } => {
                    let times = if self.faults { self.chance.below(3) } else { 1 };
                    let found = self.places[at].finds.contains(&to);
                    for _ in (0..times).filter(|_| found) {
                        let (to, question) = (to.clone(), question.clone());
                        self.later(Event::Question { to, asker: who, question });
                    }
                }
                Output::Begin { cluster } => self.write(who, Write::Member(cluster)),
                Output::Join { by, cluster } => self.later(Event::Join { who, by, cluster }),
                Output::Keep(notes) => self.write(who, Write::Notes(notes)),
                Output::Waits { .. } => {}
            }
        }
    }

    fn write(&mut self, who: (usize, u64), write: Write) {
        let writing = &mut self.places[who.0].writing;
        assert!(writing.is_none(), "one thing is written at a time");
        *writing = Some(write);
        self.later(Event::Written { who });
    }

    /// The machine of a process, if that still runs.
    fn running(&mut self, (at, process): (usize, u64)) -> Option<&mut Formation> {
        let place = &mut self.places[at];
        place.machine.as_mut().filter(|_| place.process == process)
    }

    /// Somebody who answers to a name now.
    fn bearer(&mut self, of: &Name) -> Option<usize> {
        let bears =
            |at: &usize| self.places[*at].config.me == *of && self.places[*at].machine.is_some();
        let bearers: Vec<usize> = (0..self.places.len()).filter(bears).collect();
        let count = bearers.len() as u64;
        (count > 0).then(|| bearers[self.chance.below(count) as usize])
    }

    fn handle(&mut self, event: Event) {
        let now = self.now;
        let lost = self.faults && self.chance.percent(20);
        match event {
            Event::Question { to, asker, question } => {
                let Some(at) = self.bearer(&to).filter(|_| !lost) else { return };
                let machine = self.places[at].machine.as_mut().expect("it runs");
                let question = Question::decode(&question.encode()).expect("it reads");
                let answer = machine.handle_question(&question);
                let answer = Answer::decode(&answer.encode()).expect("it reads");
                self.drain(at);
                self.later(Event::Answer { to: asker, from: to, answer });
            }
            Event::Answer { to, from, answer } => {
                let Some(machine) = self.running(to).filter(|_| !lost) else { return };
                machine.handle_answer(now, &from, &answer);
                self.drain(to.0);
            }
            Event::Written { who } => self.written(who),
            Event::Join { who, by, cluster } => {
                let door = self.bearer(&by).map(|at| self.places[at].disk.member_of);
                let joined = door == Some(Some(cluster)) && !lost;
                let Some(machine) = self.running(who) else { return };
                if joined {
                    self.write(who, Write::Member(cluster));
                } else {
                    machine.handle_not_joined(now);
                }
                self.drain(who.0);
            }
        }
    }

    fn written(&mut self, who: (usize, u64)) {
        let now = self.now;
        if self.running(who).is_none() {
            return;
        }
        let place = &mut self.places[who.0];
        let machine = place.machine.as_mut().expect("it runs");
        match place.writing.take().expect("it was being written") {
            Write::Notes(notes) => {
                place.disk.notes = Notes::decode(&notes.encode()).expect("they read");
                machine.handle_kept(now);
            }
            Write::Member(cluster) => {
                place.disk.member_of = Some(cluster);
                machine.handle_member(cluster);
            }
        }
        self.drain(who.0);
    }

    /// One thing that happens next: a message, a write, a time, or a fault.
    fn step(&mut self, kind: Kind) {
        if self.faults && self.chance.percent(4) {
            self.fault(kind);
        }
        let due = |place: &Place| place.machine.as_ref().and_then(Formation::poll_timeout);
        let timer =
            (0..self.places.len()).filter_map(|at| Some((due(&self.places[at])?, at))).min();
        let event = self.events.first_key_value().map(|(at, _)| *at);
        match (timer, event) {
            (Some((at, who)), event) if event.is_none_or(|(time, _)| at <= time) => {
                self.now = self.now.max(at);
                let now = self.now;
                self.places[who].machine.as_mut().expect("it runs").handle_timeout(now);
                self.drain(who);
            }
            (_, Some(key)) => {
                let event = self.events.remove(&key).expect("it was there");
                self.now = self.now.max(key.0);
                self.handle(event);
            }
            (_, None) => self.now += Duration::from_millis(100),
        }
        let clusters = self.clusters();
        assert!(clusters.len() <= 1, "seed {}: {clusters:?}", self.seed);
    }

    fn fault(&mut self, kind: Kind) {
        let at = self.chance.below(self.places.len() as u64) as usize;
        self.end(at);
        if kind == Kind::Disks && self.chance.percent(30) {
            self.places[at].disk = Disk::default();
        }
        if self.chance.percent(80) {
            self.start(at);
        }
    }

    fn heal(&mut self) {
        self.faults = false;
        for at in 0..self.places.len() {
            if self.places[at].machine.is_none() {
                self.start(at);
            }
            self.find(at);
        }
    }

    /// Every cluster of which a disk says that it is a member.
    fn clusters(&self) -> BTreeSet<[u8; 16]> {
        self.places.iter().filter_map(|place| Some(place.disk.member_of?.0)).collect()
    }

    fn all_are_members(&self) -> bool {
        self.places.iter().all(|place| place.disk.member_of.is_some())
    }
}

/// Plays a history. Two clusters at once end it.
fn play(seed: u64, kind: Kind) -> World {
    let mut world = World::new(seed, kind);
    for at in 0..world.places.len() {
        if world.chance.percent(80) {
            world.start(at);
        }
    }
    while world.now < FAULTS {
        world.step(kind);
    }
    world.heal();
    let end = world.now + HEALED;
    while world.now < end && !world.all_are_members() {
        world.step(kind);
    }
    world
}

#[test]
fn nodes_that_keep_their_disks_become_one_cluster() {
    for seed in 1..=SEEDS {
        let world = play(seed, Kind::Restarts);
        let clusters = world.clusters();
        assert!(world.all_are_members() && clusters.len() == 1, "seed {seed}: {clusters:?}");
    }
}

#[test]
fn nodes_that_lose_their_disks_become_one_cluster_or_wait() {
    let formed = (1..=SEEDS).filter(|seed| !play(*seed, Kind::Disks).clusters().is_empty()).count();
    assert!(formed > SEEDS as usize / 10, "{formed} of {SEEDS} came together");
}

#[test]
fn nodes_with_different_lists_or_one_name_become_one_cluster_or_wait() {
    let formed =
        (1..=SEEDS).filter(|seed| !play(*seed, Kind::Mistakes).clusters().is_empty()).count();
    assert!(formed > SEEDS as usize / 10, "{formed} of {SEEDS} came together");
}
