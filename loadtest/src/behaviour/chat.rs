//! Pairs that chat with a window: whenever a message has come, the next one is sent.

use super::message::Message;
use super::{Load, PATIENCE};
use crate::engine::{Behaviour, Engine};
use crate::error::{Error, Result};
use crate::io::{ClientId, Io};
use crate::plan::Plan;

/// Who chats, and how much.
#[derive(Debug, Clone, Copy)]
pub struct ChatSettings {
    /// Pairs; one of each sends, the other one receives.
    pub pairs: usize,
    /// Messages of a pair that are under way.
    pub window: usize,
    /// Bytes of a body.
    pub body: usize,
}

/// Clients in pairs: even places send to the odd ones behind them.
#[derive(Debug)]
pub struct Chat {
    settings: ChatSettings,
    /// The message of each pair.
    pub(super) messages: Vec<Message>,
    /// Whether receivers ask for more.
    is_running: bool,
    sent: u64,
    delivered: u64,
    reordered: u64,
}

impl Chat {
    /// Logs in `2 × pairs` clients, by the plan of each; they do not talk yet.
    pub fn establish(
        engine: &mut Engine,
        settings: ChatSettings,
        plan: impl Fn(usize) -> Plan,
    ) -> Result<Chat> {
        let mut chat = Chat::log_in(engine, settings, plan)?;
        let io = engine.io();
        let message =
            |pair: usize| Message::new(io.jid(2 * pair), io.jid(2 * pair + 1), settings.body);
        chat.messages = (0..settings.pairs).map(message).collect();
        Ok(chat)
    }

    /// The same pairs at a relay. It gets to move the bytes that the server of `chat` delivers.
    pub fn establish_relayed(engine: &mut Engine, chat: &Chat) -> Result<Chat> {
        let settings = chat.settings;
        let mut relayed = Chat::log_in(engine, settings, |n| Plan::relay(n as u32 / 2))?;
        relayed.messages = chat.messages.iter().map(Message::delivered).collect();
        Ok(relayed)
    }

    fn log_in(
        engine: &mut Engine,
        settings: ChatSettings,
        plan: impl Fn(usize) -> Plan,
    ) -> Result<Chat> {
        let mut chat = Chat {
            settings,
            messages: Vec::new(),
            is_running: false,
            sent: 0,
            delivered: 0,
            reordered: 0,
        };
        let clients = 2 * settings.pairs;
        // Places are given in turn, so that a client's place is its number.
        engine.ramp(&mut chat, clients, clients, PATIENCE, plan)?;
        Ok(chat)
    }

    fn send(&mut self, io: &mut Io, pair: usize) {
        self.sent += 1;
        io.write(2 * pair, self.messages[pair].next());
    }
}

impl Load for Chat {
    fn begin(&mut self, engine: &mut Engine) {
        self.is_running = true;
        for pair in 0..self.settings.pairs {
            for _ in 0..self.settings.window {
                self.send(engine.io(), pair);
            }
        }
    }

    fn end(&mut self, engine: &mut Engine) -> Result<()> {
        self.is_running = false;
        engine.run(self, "the arrival of the last message", PATIENCE, |_, chat| {
            chat.delivered >= chat.sent
        })?;
        match self.reordered {
            0 => Ok(()),
            _ => Err(Error::unexpected("messages in order", b"others")),
        }
    }

    /// Messages that arrived.
    fn completed(&self) -> u64 {
        self.delivered
    }
}

impl Behaviour for Chat {
    fn stanza(&mut self, io: &mut Io, client: ClientId, stanza: &[u8]) {
        // Even places hear presence at most.
        if client.is_multiple_of(2) || !stanza.starts_with(b"<message") {
            return;
        }
        let pair = client / 2;
        self.reordered += u64::from(!self.messages[pair].arrived(stanza));
        self.delivered += 1;
        if self.is_running {
            self.send(io, pair);
        }
    }
}
