//! What is known of each socket of a ring.

use std::mem::ManuallyDrop;
use std::ops::{Index, IndexMut};

use crate::driver::InUse;
use crate::pages::Pages;

/// Generations are carried in 24 bits of a request's user data.
const GENERATIONS: u32 = 1 << 24;

/// Whether a request waits for the peer's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Receiving {
    #[default]
    No,
    /// A multishot receive is armed.
    Yes,
    /// It was cancelled; its last completion has not come.
    Stopping,
    /// Idle: only a poll is armed.
    Polling,
}

/// A buffer that the kernel reads from.
pub(super) struct Unsent {
    pub(super) buffer: Vec<u8>,
    pub(super) from: usize,
}

/// One socket.
#[derive(Default)]
pub(super) struct State {
    /// The engine's slot.
    pub(super) owner: u32,
    /// Which socket in this place of the table; completions of earlier ones are ignored.
    pub(super) generation: u32,
    pub(super) receiving: Receiving,
    pub(super) paused: bool,
    /// The peer has ended or the socket is broken: there is nothing to receive.
    pub(super) ended: bool,
    /// Is to be polled rather than received from.
    pub(super) idle: bool,
    pub(super) silent_steps: u8,
    /// A shutdown is under way. The kernel does it on a thread of its own, and finds the socket
    /// only then, by its place: the place must not have another one by that time.
    shutting: bool,
    /// What is under way to the kernel, by its number among the [`Sends`]; 0 is nothing.
    sending: u32,
}

/// There is one for every idle connection.
const _: () = assert!(size_of::<State>() <= 20);

/// Buffers under way to the kernel. Few sockets send at a time; the others need not have the room.
/// Not dropped with the rest, because the kernel may still read.
#[derive(Default)]
struct Sends {
    places: Vec<Option<ManuallyDrop<Unsent>>>,
    free: Vec<u32>,
}

impl Sends {
    /// Takes a buffer in, under a number from 1.
    fn put(&mut self, unsent: Unsent) -> (u32, &Unsent) {
        let number = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() as u32
        });
        (number, self.places[number as usize - 1].insert(ManuallyDrop::new(unsent)))
    }

    fn take(&mut self, number: u32) -> Option<Unsent> {
        let place = self.places.get_mut((number as usize).wrapping_sub(1))?;
        let unsent = ManuallyDrop::into_inner(place.take()?);
        self.free.push(number);
        Some(unsent)
    }

    fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}

/// The sockets of one ring, by their place in its table.
pub(super) struct Sockets {
    states: Pages<State>,
    slots: u32,
    used: u32,
    /// Places of the table that are taken.
    open: u32,
    receiving: u32,
    sends: Sends,
}

impl Sockets {
    pub(super) fn new(slots: u32) -> Sockets {
        let (states, sends) = (Pages::new(), Sends::default());
        Sockets { states, slots, used: 0, open: 0, receiving: 0, sends }
    }

    /// Places that are free.
    pub(super) fn room(&self) -> usize {
        self.slots.saturating_sub(self.open) as usize
    }

    /// One more than the highest place ever taken.
    pub(super) fn used(&self) -> u32 {
        self.used
    }

    /// Sockets with a receive armed.
    pub(super) fn receiving(&self) -> u32 {
        self.receiving
    }

    pub(super) fn started_receiving(&mut self) {
        self.receiving += 1;
    }

    pub(super) fn stopped_receiving(&mut self) {
        self.receiving -= 1;
    }

    /// What the kernel has of ours.
    pub(super) fn in_use(&self) -> InUse {
        InUse { sockets: u64::from(self.open), sends: self.sends.len() as u64 }
    }

    /// Whether the kernel still has something of ours.
    pub(super) fn is_busy(&self) -> bool {
        self.in_use() != InUse::default()
    }

    /// The kernel put a new socket into a place.
    pub(super) fn opened(&mut self, slot: u32) {
        self.states.reach(slot);
        self.used = self.used.max(slot + 1);
        self.open += 1;
    }

    /// Makes completions of the present socket be ignored. Its place is still taken.
    pub(super) fn retire(&mut self, slot: u32) {
        let state = &mut self.states[slot];
        let generation = (state.generation + 1) % GENERATIONS;
        let (sending, shutting) = (state.sending, state.shutting);
        *state = State { generation, sending, shutting, ..State::default() };
    }

    /// Whether requests are under way that need the place to keep its socket.
    pub(super) fn is_held(&self, slot: u32) -> bool {
        let state = &self.states[slot];
        state.sending != 0 || state.shutting
    }

    /// Whether a send is under way.
    pub(super) fn is_sending(&self, slot: u32) -> bool {
        self.states[slot].sending != 0
    }

    /// Says that a shutdown goes to the kernel.
    pub(super) fn shut(&mut self, slot: u32) {
        self.states[slot].shutting = true;
    }

    /// The shutdown is over.
    pub(super) fn was_shut(&mut self, slot: u32) {
        self.states[slot].shutting = false;
    }

    /// The kernel emptied a place.
    pub(super) fn closed(&mut self) {
        self.open -= 1;
    }

    pub(super) fn is_current(&self, slot: u32, generation: u32) -> bool {
        self.states.get(slot).is_some_and(|state| state.generation == generation)
    }

    pub(super) fn put_sending(&mut self, slot: u32, unsent: Unsent) -> &Unsent {
        debug_assert!(self.states[slot].sending == 0, "one send at a time");
        let (number, unsent) = self.sends.put(unsent);
        self.states[slot].sending = number;
        unsent
    }

    /// The send is over: the buffer is ours again.
    pub(super) fn take_sending(&mut self, slot: u32) -> Option<Unsent> {
        let number = std::mem::take(&mut self.states[slot].sending);
        self.sends.take(number)
    }
}

impl Index<u32> for Sockets {
    type Output = State;

    fn index(&self, slot: u32) -> &State {
        &self.states[slot]
    }
}

impl IndexMut<u32> for Sockets {
    fn index_mut(&mut self, slot: u32) -> &mut State {
        &mut self.states[slot]
    }
}
