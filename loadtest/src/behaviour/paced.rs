//! Pairs that chat at a rate of their own, whatever the server does: an open loop.
//!
//! A message's latency counts from when it was due, not from when it was sent: a client that is
//! held up does not hide it (no coordinated omission).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::chat::Chat;
use super::message::Message;
use crate::engine::{Behaviour, Engine};
use crate::error::{Error, Result};
use crate::histogram::Histogram;
use crate::io::{ClientId, Io};

/// Messages of a pair that may be under way before a queue of times has to grow.
const UNDER_WAY: usize = 1024;

/// Clients in pairs, in turn.
#[derive(Debug)]
pub struct Paced {
    pairs: Vec<(Message, VecDeque<Instant>)>,
    interval: Duration,
    next: usize,
    due: Option<Instant>,
    until: Option<Instant>,
    under_way: u64,
    reordered: u64,
    latencies: Histogram,
}

impl Paced {
    /// The pairs of a chat, `rate` messages a second all together.
    pub fn new(chat: Chat, rate: u32) -> Paced {
        let messages = chat.messages.into_iter();
        Paced {
            pairs: messages.map(|message| (message, VecDeque::with_capacity(UNDER_WAY))).collect(),
            interval: Duration::from_secs(1) / rate.max(1),
            next: 0,
            due: None,
            until: None,
            under_way: 0,
            reordered: 0,
            latencies: Histogram::default(),
        }
    }

    /// Chats for `duration`; the latencies in nanoseconds.
    ///
    /// The thread does not sleep: waking up would be part of what it measures.
    #[expect(clippy::disallowed_methods, reason = "load is made in real time")]
    pub fn run(&mut self, engine: &mut Engine, duration: Duration) -> Result<&Histogram> {
        self.latencies.clear();
        let now = Instant::now();
        (self.due, self.until) = (Some(now), Some(now + duration));
        engine.run_for(self, duration, Duration::ZERO)?;
        self.due = None;
        let what = "the arrival of the last message";
        engine.run(self, what, PATIENCE, |_, paced| paced.under_way == 0)?;
        match self.reordered {
            0 => Ok(&self.latencies),
            _ => Err(Error::unexpected("messages in order", b"others")),
        }
    }
}

impl Behaviour for Paced {
    fn turn(&mut self, io: &mut Io, now: Instant) {
        let (Some(due), Some(until)) = (&mut self.due, self.until) else { return };
        while *due <= now && *due < until {
            let (message, times) = &mut self.pairs[self.next];
            times.push_back(*due);
            io.write(2 * self.next, message.next());
            *due += self.interval;
            self.next = (self.next + 1) % self.pairs.len();
            self.under_way += 1;
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a latency ends now")]
    fn stanza(&mut self, _: &mut Io, client: ClientId, stanza: &[u8]) {
        if client.is_multiple_of(2) || !stanza.starts_with(b"<message") {
            return;
        }
        let (message, times) = &mut self.pairs[client / 2];
        self.reordered += u64::from(!message.arrived(stanza));
        if let Some(due) = times.pop_front() {
            let latency = Instant::now().saturating_duration_since(due);
            self.latencies.record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
            self.under_way -= 1;
        }
    }
}
