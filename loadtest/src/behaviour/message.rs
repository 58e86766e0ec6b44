//! Messages whose number is changed in place, so that sending one writes nothing new.

use super::{DIGITS, write_number};
use crate::scan;

/// The message from one client to another.
#[derive(Debug)]
pub struct Message {
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

impl Message {
    /// As a client writes it: it leaves the `from` to the server.
    pub fn new(from: &str, to: &str, body: usize) -> Message {
        Message::build("", from, to, body)
    }

    /// As it comes out of a server.
    pub fn delivered(&self) -> Message {
        let stamp = format!(" from='{}'", self.from);
        Message::build(&stamp, &self.from, &self.to, self.body)
    }

    fn build(stamp: &str, from: &str, to: &str, body: usize) -> Message {
        let mut bytes = format!("<message{stamp} to='{to}' type='chat' id='").into_bytes();
        let digits = bytes.len();
        bytes.extend_from_slice(&[b'0'; DIGITS]);
        bytes.extend_from_slice(b"'><body>");
        bytes.extend((0..body).map(|n| b"abcdefghijklmnopqrstuvwxyz "[n % 27]));
        bytes.extend_from_slice(b"</body></message>");
        Message { bytes, digits, from: from.into(), to: to.into(), body, sent: 0, expected: 0 }
    }

    /// The next one.
    pub fn next(&mut self) -> &[u8] {
        write_number(&mut self.bytes[self.digits..][..DIGITS], self.sent);
        self.sent += 1;
        &self.bytes
    }

    /// Takes one that arrived; whether it is the one that had to come.
    pub fn arrived(&mut self, stanza: &[u8]) -> bool {
        let is_next = number(stanza) == Some(self.expected);
        self.expected += 1;
        is_next
    }
}

/// The sequence number in the `id` of a stanza.
pub fn number(stanza: &[u8]) -> Option<u64> {
    let id = scan::attribute(stanza, "id")?;
    std::str::from_utf8(id).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_carries_its_number_and_its_body() {
        let mut message = Message::new("a@x/1", "b@x/2", 100).delivered();
        message.next();
        let text = String::from_utf8(message.next().to_vec()).unwrap();
        assert!(text.starts_with("<message from='a@x/1' "), "{text}");
        assert_eq!(number(text.as_bytes()), Some(1));
        let body = text.split("<body>").nth(1).unwrap().split("</body>").next().unwrap();
        assert_eq!(body.len(), 100);
    }

    #[test]
    fn a_message_that_is_missing_is_noticed() {
        let mut message = Message::new("a@x/1", "b@x/2", 1);
        let first = message.next().to_vec();
        let second = message.next().to_vec();
        let third = message.next().to_vec();
        assert!(message.arrived(&first));
        assert!(!message.arrived(&third));
        assert!(!message.arrived(&second));
    }
}
