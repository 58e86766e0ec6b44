//! What the clients are told by whoever runs them.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

use super::message::Who;
use crate::server::Listeners;

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Clients talk, come and go.
    Load,
    /// They are all there, and say nothing new: what is under way arrives.
    Calm,
    /// They log out, and their part is over.
    Leave,
    /// The run has failed: they go as they are.
    Abandon,
}

/// The stage they are on.
#[derive(Debug)]
pub struct Stage {
    /// Where the server listens, whether or not it runs.
    pub listeners: Listeners,
    phase: AtomicU8,
    life: AtomicU32,
    is_up: AtomicBool,
    is_calm: Vec<AtomicBool>,
    stays: Vec<AtomicBool>,
}

impl Stage {
    /// For so many clients.
    pub fn new(listeners: Listeners, clients: u16) -> Stage {
        let flags = || (0..clients).map(|_| AtomicBool::new(false)).collect();
        Stage {
            listeners,
            phase: AtomicU8::new(0),
            life: AtomicU32::new(0),
            is_up: AtomicBool::new(false),
            is_calm: flags(),
            stays: flags(),
        }
    }

    /// What is going on.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Load,
            1 => Phase::Calm,
            2 => Phase::Leave,
            _ => Phase::Abandon,
        }
    }

    /// Goes on to another phase.
    pub fn go_on(&self, phase: Phase) {
        let number = match phase {
            Phase::Load => 0,
            Phase::Calm => 1,
            Phase::Leave => 2,
            Phase::Abandon => 3,
        };
        self.phase.store(number, Ordering::Release);
    }

    /// How often the server was started.
    pub fn life(&self) -> u32 {
        self.life.load(Ordering::Acquire)
    }

    /// The same, unless the server is down, starts or ends: then connections break.
    pub fn life_now(&self) -> Option<u32> {
        self.is_up.load(Ordering::Acquire).then(|| self.life())
    }

    /// The server is about to be started.
    pub fn starts(&self) {
        self.life.fetch_add(1, Ordering::AcqRel);
    }

    /// The server is there, or is about to end.
    pub fn is_up(&self, is_up: bool) {
        self.is_up.store(is_up, Ordering::Release);
    }

    /// A client says whether it is there and waits for nothing.
    pub fn says(&self, who: Who, is_calm: bool) {
        self.is_calm[usize::from(who.0)].store(is_calm, Ordering::Release);
    }

    /// A client says that it is available, and that its session will not end.
    pub fn says_it_stays(&self, who: Who) {
        self.stays[usize::from(who.0)].store(true, Ordering::Release);
    }

    /// Whether it has said so.
    pub fn stays(&self, who: Who) -> bool {
        self.stays[usize::from(who.0)].load(Ordering::Acquire)
    }

    /// Clients that wait for something.
    pub fn restless(&self) -> usize {
        self.is_calm.iter().filter(|is_calm| !is_calm.load(Ordering::Acquire)).count()
    }
}
