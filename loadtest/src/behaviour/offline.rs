//! Clients under stream management that write to accounts which are not there.
//!
//! A message counts when the server has acknowledged it (XEP-0198 §4): what it promises then is the
//! server's, here that it is on disk.

use super::PATIENCE;
use super::message::Message;
use crate::engine::{Behaviour, Engine};
use crate::error::Result;
use crate::io::{ClientId, Io};
use crate::plan::Plan;
use crate::scan;

/// Who writes, and how much.
#[derive(Debug, Clone, Copy)]
pub struct OfflineSettings {
    /// Clients that write.
    pub senders: usize,
    /// Messages of one that are not acknowledged.
    pub window: u64,
    /// Messages after which one asks for an acknowledgement.
    pub ask_every: u64,
    /// Bytes of a body.
    pub body: usize,
}

/// Each sender writes to an account of its own.
#[derive(Debug)]
pub struct Offline {
    settings: OfflineSettings,
    senders: Vec<Sender>,
    /// Messages each sender is to send, all told.
    quota: u64,
    acknowledged: u64,
}

#[derive(Debug)]
struct Sender {
    message: Message,
    sent: u64,
    acknowledged: u64,
}

impl Offline {
    /// Logs in the senders, by the plan of each; the `n`th writes to `recipient(n)`.
    pub fn establish(
        engine: &mut Engine,
        settings: OfflineSettings,
        plan: impl Fn(usize) -> Plan,
        recipient: impl Fn(usize) -> String,
    ) -> Result<Offline> {
        let mut offline = Offline { settings, senders: Vec::new(), quota: 0, acknowledged: 0 };
        let managed = |n| Plan { managed: true, ..plan(n) };
        engine.ramp(&mut offline, settings.senders, settings.senders, PATIENCE, managed)?;
        let sender = |n| {
            let message = Message::new(engine.io().jid(n), &recipient(n), settings.body);
            Sender { message, sent: 0, acknowledged: 0 }
        };
        offline.senders = (0..settings.senders).map(sender).collect();
        Ok(offline)
    }

    /// Sends `messages` from each, and waits until all are acknowledged.
    pub fn run(&mut self, engine: &mut Engine, messages: u64) -> Result<()> {
        self.quota += messages;
        for client in 0..self.senders.len() {
            self.send(engine.io(), client);
        }
        let all = self.quota * self.senders.len() as u64;
        let what = "the acknowledgement of all messages";
        engine.run(self, what, PATIENCE, |_, offline| offline.acknowledged >= all)
    }

    fn send(&mut self, io: &mut Io, client: ClientId) {
        let OfflineSettings { window, ask_every, .. } = self.settings;
        let sender = &mut self.senders[client];
        let Some(out) = io.out(client) else { return };
        while sender.sent < self.quota && sender.sent - sender.acknowledged + ask_every <= window {
            for _ in 0..ask_every.min(self.quota - sender.sent) {
                out.extend_from_slice(sender.message.next());
                sender.sent += 1;
            }
            out.extend_from_slice(b"<r xmlns='urn:xmpp:sm:3'/>");
        }
    }
}

impl Behaviour for Offline {
    fn stanza(&mut self, io: &mut Io, client: ClientId, stanza: &[u8]) {
        if scan::name(stanza) != b"a" {
            return;
        }
        let handled = scan::attribute(stanza, "h");
        let handled: Option<u64> =
            handled.and_then(|h| std::str::from_utf8(h).ok()).and_then(|h| h.parse().ok());
        let Some(sender) = self.senders.get_mut(client) else { return };
        // The presence before the messages counts as well.
        let messages = handled.unwrap_or_default().saturating_sub(1).min(sender.sent);
        self.acknowledged += messages - sender.acknowledged;
        sender.acknowledged = messages;
        self.send(io, client);
    }
}
