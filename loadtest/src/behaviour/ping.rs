//! Clients that ping the server (XEP-0199), one request each under way.

use super::{DIGITS, Load, PATIENCE, PING, write_number};
use crate::engine::{Behaviour, Engine};
use crate::error::Result;
use crate::io::{ClientId, Io};
use crate::plan::Plan;

/// Bytes before the digits.
const BEFORE: usize = PING[0].len();

/// Every client has one request under way.
#[derive(Debug)]
pub struct Ping {
    clients: usize,
    request: Vec<u8>,
    is_running: bool,
    sent: u64,
    answered: u64,
}

impl Ping {
    /// Logs in `clients` clients, by the plan of each.
    pub fn establish(
        engine: &mut Engine,
        clients: usize,
        domain: &str,
        plan: impl Fn(usize) -> Plan,
    ) -> Result<Ping> {
        let request = [PING[0], &"0".repeat(DIGITS), PING[1], domain, PING[2]].concat();
        let request = request.into_bytes();
        let mut ping = Ping { clients, request, is_running: false, sent: 0, answered: 0 };
        engine.ramp(&mut ping, clients, clients, PATIENCE, plan)?;
        Ok(ping)
    }

    fn send(&mut self, io: &mut Io, client: ClientId) {
        write_number(&mut self.request[BEFORE..][..DIGITS], self.sent);
        self.sent += 1;
        io.write(client, &self.request);
    }
}

impl Load for Ping {
    fn begin(&mut self, engine: &mut Engine) {
        self.is_running = true;
        (0..self.clients).for_each(|client| self.send(engine.io(), client));
    }

    fn end(&mut self, engine: &mut Engine) -> Result<()> {
        self.is_running = false;
        let what = "the answer to the last ping";
        engine.run(self, what, PATIENCE, |_, ping| ping.answered >= ping.sent)
    }

    /// Pings that were answered.
    fn completed(&self) -> u64 {
        self.answered
    }
}

impl Behaviour for Ping {
    fn stanza(&mut self, io: &mut Io, client: ClientId, stanza: &[u8]) {
        if stanza.starts_with(b"<iq") {
            self.answered += 1;
            if self.is_running {
                self.send(io, client);
            }
        }
    }
}
