//! What a behaviour can do with its clients.

use crate::client::{Client, Phase};
use crate::error::Result;
use crate::scram::KeyCache;

/// A client's place in the engine. It is used again after the client has closed.
pub type ClientId = usize;

/// Buffers kept for the next client that needs one; more are given back to the allocator.
const SPARE_MAX: usize = 1024;

/// Bytes above which a buffer is not kept.
const SPARE_BYTES_MAX: usize = 64 * 1024;

/// The clients, as a behaviour sees them. What it writes goes out when the turn ends, all that is
/// for one client in one call.
#[derive(Default)]
pub struct Io {
    pub(crate) clients: Vec<Option<Client>>,
    pub(crate) dirty: Vec<ClientId>,
    pub(crate) spare: Vec<Vec<u8>>,
    pub(crate) cache: KeyCache,
    /// Places that become free when the turn is over: no event of the turn may meet their next
    /// client.
    pub(crate) freed: Vec<ClientId>,
}

impl Io {
    /// What `client` is to say. Look up the buffer once per message; it may hold others already.
    pub fn out(&mut self, client: ClientId) -> Option<&mut Vec<u8>> {
        let slot = self.clients.get_mut(client)?.as_mut()?;
        if !slot.is_dirty {
            slot.is_dirty = true;
            self.dirty.push(client);
        }
        if slot.out.capacity() == 0 {
            slot.out = self.spare.pop().unwrap_or_default();
        }
        Some(&mut slot.out)
    }

    /// Says `bytes`.
    pub fn write(&mut self, client: ClientId, bytes: &[u8]) {
        if let Some(out) = self.out(client) {
            out.extend_from_slice(bytes);
        }
    }

    /// The full address of an established client.
    pub fn jid(&self, client: ClientId) -> &str {
        self.clients.get(client).and_then(Option::as_ref).map_or("", |client| &client.jid)
    }

    /// Ends the stream and then the connection (RFC 6120 §4.4).
    pub fn close(&mut self, client: ClientId) {
        self.write(client, b"</stream:stream>");
        if let Some(Some(client)) = self.clients.get_mut(client) {
            client.phase = Phase::Closing;
        }
    }

    /// Closes the connection without a word, as a client does that loses its network.
    pub fn vanish(&mut self, client: ClientId) {
        if let Some(slot) = self.clients.get_mut(client)
            && slot.take().is_some()
        {
            self.freed.push(client);
        }
    }

    pub(crate) fn keep(&mut self, mut buffer: Vec<u8>) {
        if self.spare.len() < SPARE_MAX && (1..=SPARE_BYTES_MAX).contains(&buffer.capacity()) {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    /// Sends all that was said in this turn.
    pub(crate) fn flush(&mut self) -> Result<()> {
        let mut dirty = std::mem::take(&mut self.dirty);
        for id in dirty.drain(..) {
            let Some(Some(client)) = self.clients.get_mut(id) else { continue };
            client.is_dirty = false;
            if !client.is_blocked && client.flush()? {
                let buffer = std::mem::take(&mut client.out);
                self.keep(buffer);
            }
        }
        self.dirty = dirty;
        Ok(())
    }
}
