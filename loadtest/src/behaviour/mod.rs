//! What clients do, one file each.

mod broadcast;
mod chat;
mod crowd;
mod message;
mod metronome;
mod offline;
mod paced;
mod ping;

pub use broadcast::{Broadcast, Groups};
pub use chat::{Chat, ChatSettings};
pub use crowd::Crowd;
pub use metronome::Metronome;
pub use offline::{Offline, OfflineSettings};
pub use paced::Paced;
pub use ping::Ping;

use std::time::Duration;

use crate::engine::{Behaviour, Engine};
use crate::error::Result;

/// How long all clients may take to log in, and the last answers to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// Digits of a sequence number in a stanza's `id`, so that it can be changed in place.
const DIGITS: usize = 10;

/// What an IQ ping is (XEP-0199 §4.2), in three parts with the `id` and the domain between them.
const PING: [&str; 3] = ["<iq type='get' id='", "' to='", "'><ping xmlns='urn:xmpp:ping'/></iq>"];

/// Clients that keep a server busy: each answer leads to the next request.
pub trait Load: Behaviour {
    /// Fills every window.
    fn begin(&mut self, engine: &mut Engine);

    /// Asks for no more, and waits for what is under way.
    fn end(&mut self, engine: &mut Engine) -> Result<()>;

    /// How much was done, in the unit that is counted.
    fn completed(&self) -> u64;
}

/// Writes `number` over the digits at the end of `place`.
fn write_number(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_with_leading_zeros() {
        let mut place = [b'x'; DIGITS];
        write_number(&mut place, 4_711);
        assert_eq!(&place, b"0000004711");
    }
}
