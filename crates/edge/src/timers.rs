//! A hierarchical timer wheel with one entry per connection.

use crate::pages::Pages;

/// Wheel time: ticks since the worker started.
pub(crate) type Tick = u64;

/// Milliseconds per tick. Timers are seconds long; a coarser tick means fewer wake-ups.
pub(crate) const TICK_MILLIS: u64 = 8;

const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
/// Six levels of 64 slots reach 2^36 ticks, 17 years. Later timers fire then and are set again.
const LEVELS: usize = 6;
const REACH: Tick = 1 << (SLOT_BITS * LEVELS as u32);
const NONE: u32 = u32::MAX;

/// Node of the doubly linked list that hangs in one slot of the wheel.
#[derive(Clone, Copy)]
struct Node {
    at: Tick,
    next: u32,
    previous: u32,
    /// `level * SLOTS + slot`, or `UNLINKED`.
    home: u16,
}

/// There is one for every idle connection.
const _: () = assert!(size_of::<Node>() <= 24);

const UNLINKED: u16 = u16::MAX;

impl Default for Node {
    fn default() -> Node {
        Node { at: 0, next: NONE, previous: NONE, home: UNLINKED }
    }
}

/// The wheel. Setting and clearing cost a few writes whatever the number of timers, and memory is
/// one node per slab slot.
pub(crate) struct Timers {
    now: Tick,
    nodes: Pages<Node>,
    heads: Box<[u32; LEVELS * SLOTS]>,
    occupied: [u64; LEVELS],
    set: u32,
}

impl Timers {
    pub(crate) fn new() -> Timers {
        Timers {
            now: 0,
            nodes: Pages::new(),
            heads: Box::new([NONE; LEVELS * SLOTS]),
            occupied: [0; LEVELS],
            set: 0,
        }
    }

    /// How many are set.
    pub(crate) fn set(&self) -> u32 {
        self.set
    }

    /// Makes sure that `slot` fires no later than `at`. An earlier time already set stays: it
    /// then fires too early and the owner sets it again, which is cheaper than moving it for every
    /// message that pushes a deadline back.
    pub(crate) fn arm(&mut self, slot: u32, at: Tick) {
        self.nodes.reach(slot);
        let at = at.clamp(self.now + 1, self.now + REACH - 1);
        let node = self.nodes[slot];
        if node.home != UNLINKED {
            if node.at <= at {
                return;
            }
            self.unlink(slot);
        }
        self.link(slot, at);
    }

    /// Forgets the timer of `slot`.
    pub(crate) fn disarm(&mut self, slot: u32) {
        if self.nodes.get(slot).is_some_and(|node| node.home != UNLINKED) {
            self.unlink(slot);
        }
    }

    /// The tick at which [`advance`](Self::advance) next has work: exact within the lowest
    /// level, at most early beyond it.
    pub(crate) fn next(&self) -> Option<Tick> {
        (0..LEVELS).find_map(|level| self.next_in(level)).map(|(_, _, at)| at)
    }

    /// Moves time to `now` and appends the slots that are due.
    pub(crate) fn advance(&mut self, now: Tick, due: &mut Vec<u32>) {
        while let Some((level, index, at)) = (0..LEVELS).find_map(|level| self.next_in(level)) {
            if at > now {
                break;
            }
            self.now = self.now.max(at);
            self.empty(level, index, due);
        }
        self.now = self.now.max(now);
    }

    /// The first occupied slot of a level and when its time begins.
    fn next_in(&self, level: usize) -> Option<(usize, usize, Tick)> {
        let occupied = self.occupied[level];
        if occupied == 0 {
            return None;
        }
        let shift = SLOT_BITS * level as u32;
        let here = ((self.now >> shift) as usize % SLOTS) as u32;
        let ahead = occupied.rotate_right(here).trailing_zeros();
        let round = self.now >> (shift + SLOT_BITS) << (shift + SLOT_BITS);
        let index = (here + ahead) as usize;
        // A slot behind us belongs to the next round of this level.
        let begins = round + ((index as Tick) << shift);
        Some((level, index % SLOTS, begins))
    }

    /// Takes a slot apart: what is due is reported, the rest moves to a lower level.
    fn empty(&mut self, level: usize, index: usize, due: &mut Vec<u32>) {
        let home = level * SLOTS + index;
        let mut next = std::mem::replace(&mut self.heads[home], NONE);
        self.occupied[level] &= !(1 << index);
        while next != NONE {
            let slot = next;
            let node = std::mem::take(&mut self.nodes[slot]);
            self.set -= 1;
            next = node.next;
            if node.at <= self.now {
                due.push(slot);
            } else {
                self.link(slot, node.at);
            }
        }
    }

    fn link(&mut self, slot: u32, at: Tick) {
        self.set += 1;
        let differs = (self.now ^ at) | (SLOTS as Tick - 1);
        let level = ((63 - differs.leading_zeros()) / SLOT_BITS).min(LEVELS as u32 - 1) as usize;
        let index = (at >> (SLOT_BITS * level as u32)) as usize % SLOTS;
        let home = level * SLOTS + index;
        let next = std::mem::replace(&mut self.heads[home], slot);
        if next != NONE {
            self.nodes[next].previous = slot;
        }
        self.occupied[level] |= 1 << index;
        self.nodes[slot] = Node { at, next, previous: NONE, home: home as u16 };
    }

    fn unlink(&mut self, slot: u32) {
        let node = std::mem::take(&mut self.nodes[slot]);
        self.set -= 1;
        let home = usize::from(node.home);
        if node.next != NONE {
            self.nodes[node.next].previous = node.previous;
        }
        if node.previous != NONE {
            self.nodes[node.previous].next = node.next;
            return;
        }
        self.heads[home] = node.next;
        if node.next == NONE {
            self.occupied[home / SLOTS] &= !(1 << (home % SLOTS));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(timers: &mut Timers, now: Tick) -> Vec<u32> {
        let mut due = Vec::new();
        timers.advance(now, &mut due);
        due.sort_unstable();
        due
    }

    #[test]
    fn fires_at_its_tick_and_not_before() {
        for at in [1, 2, 63, 64, 65, 4095, 4096, 5000, 262_144, 1 << 30] {
            let mut timers = Timers::new();
            timers.arm(3, at);
            assert_eq!(due(&mut timers, at - 1), Vec::<u32>::new(), "before {at}");
            assert_eq!(due(&mut timers, at), vec![3], "at {at}");
            assert_eq!(timers.next(), None);
        }
    }

    #[test]
    fn waiting_for_next_reaches_every_timer() {
        let mut timers = Timers::new();
        let ats: Vec<Tick> = (0..500u64).map(|n| 1 + n * n * 37 % 1_000_003).collect();
        for (slot, at) in ats.iter().enumerate() {
            timers.arm(slot as u32, *at);
        }
        let mut fired = 0;
        while let Some(next) = timers.next() {
            let mut due = Vec::new();
            timers.advance(next, &mut due);
            assert!(due.iter().all(|slot| ats[*slot as usize] == next));
            fired += due.len();
        }
        assert_eq!(fired, ats.len());
    }

    #[test]
    fn an_earlier_time_replaces_and_a_later_one_does_not() {
        let mut timers = Timers::new();
        timers.arm(1, 500);
        timers.arm(1, 900);
        timers.arm(2, 500);
        timers.arm(2, 100);
        assert_eq!(due(&mut timers, 100), vec![2]);
        assert_eq!(due(&mut timers, 500), vec![1]);
        assert_eq!(due(&mut timers, 2000), Vec::<u32>::new());
    }

    #[test]
    fn disarmed_timers_stay_silent() {
        let mut timers = Timers::new();
        for slot in 0..10 {
            timers.arm(slot, 70);
        }
        for slot in [0, 5, 9] {
            timers.disarm(slot);
        }
        timers.disarm(5000);
        assert_eq!(timers.set(), 7);
        assert_eq!(due(&mut timers, 100), vec![1, 2, 3, 4, 6, 7, 8]);
        assert_eq!(timers.set(), 0);
    }

    #[test]
    fn times_beyond_reach_fire_at_the_edge_of_it() {
        let mut timers = Timers::new();
        timers.arm(0, Tick::MAX);
        assert_eq!(timers.next().map(|at| at < REACH), Some(true));
    }
}
