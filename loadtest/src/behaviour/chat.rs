//! Pairs that chat with a window: whenever a message has come, the next one is sent.

use super::{DIGITS, write_number};
use crate::engine::{Behaviour, Engine};
use crate::error::{Error, Result};
use crate::io::{ClientId, Io};
use crate::plan::Plan;
use std::time::Duration;

/// How long all clients may take to log in, and the last messages to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

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
    /// The message of each pair, its sequence number to be written in place.
    messages: Vec<Message>,
    /// Whether receivers ask for more.
    is_running: bool,
    sent: u64,
    delivered: u64,
    reordered: u64,
}

#[derive(Debug)]
struct Message {
    bytes: Vec<u8>,
    /// Where the digits are.
    digits: usize,
    from: String,
    to: String,
    body: usize,
    /// Sent so far.
    sent: u64,
    /// The number that the next message to arrive has.
    expected: u64,
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
        let jid = |n: usize| io.jid(n).to_owned();
        let pairs = (0..settings.pairs).map(|pair| (jid(2 * pair), jid(2 * pair + 1)));
        chat.messages =
            pairs.map(|(from, to)| Message::new(None, from, &to, settings.body)).collect();
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
        for n in 0..clients {
            let id = engine.connect(plan(n))?;
            debug_assert_eq!(id, n, "the engine is this behaviour's own");
        }
        engine.run(&mut chat, "the login of all", PATIENCE, |engine, _| {
            engine.counts().established >= clients as u64
        })?;
        Ok(chat)
    }

    /// Fills every window. From now on a delivery leads to the next message.
    pub fn begin(&mut self, engine: &mut Engine) {
        self.is_running = true;
        for pair in 0..self.settings.pairs {
            for _ in 0..self.settings.window {
                self.send(engine.io(), pair);
            }
        }
    }

    /// Lets what is under way arrive, and sends no more.
    pub fn end(&mut self, engine: &mut Engine) -> Result<()> {
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
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    fn send(&mut self, io: &mut Io, pair: usize) {
        let message = &mut self.messages[pair];
        write_number(&mut message.bytes[message.digits..][..DIGITS], message.sent);
        message.sent += 1;
        self.sent += 1;
        io.write(2 * pair, &message.bytes);
    }
}

impl Behaviour for Chat {
    fn stanza(&mut self, io: &mut Io, client: ClientId, stanza: &[u8]) {
        // Even places hear presence at most.
        if client.is_multiple_of(2) || !stanza.starts_with(b"<message") {
            return;
        }
        let pair = client / 2;
        let message = &mut self.messages[pair];
        let number = number(stanza);
        self.reordered += u64::from(number != Some(message.expected));
        message.expected += 1;
        self.delivered += 1;
        if self.is_running {
            self.send(io, pair);
        }
    }
}

impl Message {
    /// `stamp` is the `from` that a server writes and a client leaves to it.
    fn new(stamp: Option<&str>, from: String, to: &str, body: usize) -> Message {
        let stamp = stamp.map(|from| format!(" from='{from}'")).unwrap_or_default();
        let mut bytes = format!("<message{stamp} to='{to}' type='chat' id='").into_bytes();
        let digits = bytes.len();
        bytes.extend_from_slice(&[b'0'; DIGITS]);
        bytes.extend_from_slice(b"'><body>");
        bytes.extend((0..body).map(|n| b"abcdefghijklmnopqrstuvwxyz "[n % 27]));
        bytes.extend_from_slice(b"</body></message>");
        Message { bytes, digits, from, to: to.to_owned(), body, sent: 0, expected: 0 }
    }

    /// As it comes out of a server.
    fn delivered(&self) -> Message {
        Message::new(Some(&self.from), self.from.clone(), &self.to, self.body)
    }
}

/// The sequence number in the `id` of a message.
fn number(stanza: &[u8]) -> Option<u64> {
    let id = crate::scan::attribute(stanza, "id")?;
    std::str::from_utf8(id).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_carries_its_number_and_its_body() {
        let mut message = Message::new(None, "a@x/1".into(), "b@x/2", 100).delivered();
        assert!(message.bytes.starts_with(b"<message from='a@x/1' "));
        write_number(&mut message.bytes[message.digits..][..DIGITS], 42);
        assert_eq!(number(&message.bytes), Some(42));
        let text = String::from_utf8(message.bytes).unwrap();
        let body = text.split("<body>").nth(1).unwrap().split("</body>").next().unwrap();
        assert_eq!(body.len(), 100);
    }
}
