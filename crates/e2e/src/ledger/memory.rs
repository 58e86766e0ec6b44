//! What a client keeps of its session while it has no connection (XEP-0198 §4, §5).

use std::collections::VecDeque;

use super::message::Key;
use super::register::Change;

/// What a stanza that was sent is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// A message of the ledger.
    Message(Key),
    /// A change of a roster or a vCard.
    Change(Change),
    /// Nothing that has to be kept.
    Nothing,
}

/// A stanza that the server has not acknowledged.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Its text, to be sent again.
    pub xml: String,
    /// What it is about.
    pub about: About,
}

/// A session, from the client's side.
#[derive(Debug, Default)]
pub struct Memory {
    /// By this it is resumed.
    pub id: String,
    /// The life of the server in which it was begun or resumed last.
    pub life: u32,
    /// Stanzas received and recorded: our `h`.
    pub received: u32,
    /// Stanzas sent.
    pub sent: u32,
    /// What the server has not acknowledged, oldest first.
    pub unacked: VecDeque<Outgoing>,
    /// We have said goodbye, and do not know whether it was heard.
    pub is_closing: bool,
}

impl Memory {
    /// Counts a stanza that is about to be written; gives its number.
    pub fn push(&mut self, outgoing: Outgoing) -> u32 {
        self.unacked.push_back(outgoing);
        self.sent = self.sent.wrapping_add(1);
        self.sent
    }

    /// The server has handled `h` stanzas. Gives those that are news, or the `h` if it cannot be.
    pub fn acknowledge(&mut self, h: u32) -> Result<Vec<Outgoing>, u32> {
        let outstanding = self.sent.wrapping_sub(h) as usize;
        match self.unacked.len().checked_sub(outstanding) {
            Some(news) => Ok(self.unacked.drain(..news).collect()),
            None => Err(h),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(stanzas: usize) -> Memory {
        let mut memory = Memory::default();
        for _ in 0..stanzas {
            memory.push(Outgoing { xml: "<presence/>".into(), about: About::Nothing });
        }
        memory
    }

    #[test]
    fn an_acknowledgement_covers_what_was_sent_up_to_it() {
        let mut memory = memory(3);
        assert_eq!(memory.acknowledge(2).unwrap().len(), 2);
        assert_eq!(memory.acknowledge(2).unwrap().len(), 0);
        assert_eq!(memory.acknowledge(3).unwrap().len(), 1);
        assert!(memory.unacked.is_empty());
    }

    #[test]
    fn a_count_that_cannot_be_is_refused() {
        let mut memory = memory(3);
        assert_eq!(memory.acknowledge(4).unwrap_err(), 4, "more than was sent");
        memory.acknowledge(2).unwrap();
        assert_eq!(memory.acknowledge(1).unwrap_err(), 1, "less than was acknowledged");
    }
}
