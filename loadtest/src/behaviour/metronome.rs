//! Clients that are idle but for a ping now and then, evenly spread over time.

use std::time::{Duration, Instant};

use super::PING;
use crate::engine::Behaviour;
use crate::io::{ClientId, Io};

/// One client after the other pings the server.
#[derive(Debug)]
pub struct Metronome {
    clients: usize,
    /// From the ping of one client to that of the next.
    interval: Duration,
    due: Option<Instant>,
    next: ClientId,
    request: String,
    /// Pings sent.
    pub sent: u64,
    /// Pings answered.
    pub answered: u64,
}

impl Metronome {
    /// Each of `clients` pings once in `period`.
    pub fn new(clients: usize, period: Duration, domain: &str) -> Metronome {
        Metronome {
            clients,
            interval: period / u32::try_from(clients).unwrap_or(u32::MAX).max(1),
            due: None,
            next: 0,
            request: [PING[0], "ping", PING[1], domain, PING[2]].concat(),
            sent: 0,
            answered: 0,
        }
    }
}

impl Behaviour for Metronome {
    fn turn(&mut self, io: &mut Io, now: Instant) {
        let due = self.due.get_or_insert(now);
        while *due <= now {
            *due += self.interval;
            io.write(self.next, self.request.as_bytes());
            self.next = (self.next + 1) % self.clients;
            self.sent += 1;
        }
    }

    fn stanza(&mut self, _: &mut Io, _: ClientId, stanza: &[u8]) {
        self.answered += u64::from(stanza.starts_with(b"<iq"));
    }
}
