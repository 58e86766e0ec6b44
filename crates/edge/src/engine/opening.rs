//! From an accepted socket to an open connection: the PROXY header, the TLS handshake.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::address::Origin;
use crate::config::TlsMode;
use crate::engine::Engine;
use crate::io::Io;
use crate::link::Phase;
use crate::protocol::{CloseReason, Peer, Protocol};
use crate::proxy::{self, Header};
use crate::tls::{Failed, Received, Session};

/// Handshake bytes kept for a connection whose turn has not come. A client that sends more
/// before we answered does not speak TLS.
const BACKLOG_BYTES_MAX: usize = 64 * 1024;

impl<P: Protocol> Engine<P> {
    /// A socket was accepted and has its slot.
    pub(super) fn begin(&mut self, slot: u32, listener: u16, address: SocketAddr) {
        let config = &self.listeners[usize::from(listener)];
        let local = config.address;
        self.connections.reach(slot);
        self.core.links[slot].listener = listener;
        if config.proxy_protocol {
            self.core.links[slot].phase = Phase::Proxy;
            self.core.links[slot].proxy = Some(Box::new(address));
            return self.core.set_deadline(slot, self.core.limits.proxy_header);
        }
        self.open(slot, &Peer { address, local, listener, proxied: false });
    }

    /// Collects the PROXY header; what follows it belongs to the client.
    pub(super) fn read_proxy_header(&mut self, slot: u32, bytes: &mut [u8]) {
        let link = &mut self.core.links[slot];
        if link.held.capacity() == 0 {
            link.held = self.core.pool.take();
        }
        // The parser gives up at its own limit, which is far below what one turn can bring.
        link.held.extend_from_slice(bytes);
        match proxy::parse(&link.held) {
            Ok(None) => {}
            Ok(Some((header, length))) => {
                let mut rest = std::mem::take(&mut link.held);
                rest.drain(..length);
                self.apply_proxy_header(slot, header);
                if !rest.is_empty() {
                    self.take_bytes(slot, &mut rest);
                }
                self.core.pool.give(rest);
            }
            Err(proxy::Malformed) => {
                self.core.stats.proxy_errors += 1;
                self.core.abort(slot, CloseReason::Proxy);
            }
        }
    }

    fn apply_proxy_header(&mut self, slot: u32, header: Header) {
        let link = &mut self.core.links[slot];
        let Some(connected) = link.proxy.take() else { return };
        link.deadline = 0;
        let listener = link.listener;
        let mut peer = Peer {
            address: *connected,
            local: self.listeners[usize::from(listener)].address,
            listener,
            proxied: false,
        };
        if let Header::Proxied { source, destination } = header {
            let client = Origin::from(source.ip());
            if !self.core.gate.house.change(link.origin, client) {
                self.core.stats.refused_address += 1;
                return self.core.abort(slot, CloseReason::Aborted);
            }
            link.origin = client;
            peer = Peer { address: source, local: destination, proxied: true, ..peer };
        }
        self.open(slot, &peer);
    }

    fn open(&mut self, slot: u32, peer: &Peer) {
        self.core.links[slot].phase = Phase::Open;
        if self.listeners[usize::from(peer.listener)].tls == TlsMode::Direct {
            self.begin_tls(slot, true);
        }
        let mut io = Io::new(&mut self.core, slot);
        let protocol = &mut self.protocol;
        match catch_unwind(AssertUnwindSafe(|| protocol.open(&mut io, peer))) {
            Ok(Some(connection)) => {
                self.connections[slot] = Some(connection);
                self.core.links[slot].opened = true;
            }
            Ok(None) => {
                self.core.stats.refused_protocol += 1;
                self.core.close(slot, CloseReason::Closed);
            }
            Err(_) => self.panicked(slot),
        }
    }

    /// From now on received bytes are TLS.
    pub(super) fn begin_tls(&mut self, slot: u32, direct: bool) {
        let link = &mut self.core.links[slot];
        link.starttls = false;
        let session = self.tls.as_ref().map(|tls| Session::new(tls.current(), direct));
        let Some(Ok(session)) = session else {
            // Checked at start for direct TLS; a protocol that offers STARTTLS without any
            // certificate is mistaken.
            tracing::error!("TLS was asked for, and there is no configuration for it");
            return self.core.abort(slot, CloseReason::Tls);
        };
        link.tls = Some(Box::new(session));
        link.phase = Phase::Handshake;
        self.core.set_deadline(slot, self.core.limits.handshake);
    }

    /// Takes TLS bytes of a handshake: at once, or if this turn has seen enough of them later.
    pub(super) fn shake_hands(&mut self, slot: u32, bytes: &mut [u8]) {
        if self.handshakes_left > 0 {
            self.handshakes_left -= 1;
            return self.unseal(slot, bytes);
        }
        let Some(session) = &mut self.core.links[slot].tls else { return };
        if session.backlog.len() + bytes.len() > BACKLOG_BYTES_MAX {
            self.core.stats.overflows += 1;
            return self.core.abort(slot, CloseReason::Overflow);
        }
        if session.backlog.is_empty() {
            self.handshakes.push_back(slot);
        }
        session.backlog.extend_from_slice(bytes);
    }

    /// A new turn: first the handshakes that waited.
    pub(super) fn resume_handshakes(&mut self) {
        self.handshakes_left = self.core.limits.handshakes_per_turn_max;
        while self.handshakes_left > 0
            && let Some(slot) = self.handshakes.pop_front()
        {
            // The slot may have a new connection by now; then there is nothing to do yet.
            let session = self.core.links[slot].tls.as_mut();
            let backlog = session.map(|session| std::mem::take(&mut session.backlog));
            if let Some(mut backlog) = backlog.filter(|backlog| !backlog.is_empty()) {
                self.handshakes_left -= 1;
                self.unseal(slot, &mut backlog);
                self.settle();
            }
        }
    }

    /// Takes TLS bytes and hands on what is in them.
    pub(super) fn unseal(&mut self, slot: u32, bytes: &mut [u8]) {
        let Some(mut session) = self.core.links[slot].tls.take() else { return };
        // A session owns buffers only while there is something in them.
        for buffer in [&mut session.outgoing, &mut session.incoming] {
            if buffer.capacity() == 0 {
                *buffer = self.core.pool.take();
            }
        }
        let result = session.receive(bytes, |received| match received {
            Received::Secured(info) => {
                let link = &mut self.core.links[slot];
                if link.phase == Phase::Handshake {
                    link.phase = Phase::Open;
                    link.deadline = 0;
                }
                self.core.stats.handshakes += 1;
                self.call(slot, |protocol, io, connection| {
                    protocol.secured(io, connection, &info);
                });
            }
            Received::Plaintext(plaintext) => self.deliver(slot, plaintext),
            Received::Ended => self.end(slot),
        });
        if session.has_to_say() {
            self.core.mark_dirty(slot);
        }
        for buffer in [&mut session.outgoing, &mut session.incoming] {
            if buffer.is_empty() {
                self.core.pool.give(std::mem::take(buffer));
            }
        }
        self.core.links[slot].tls = Some(session);
        if let Err(failed) = result {
            self.fail_tls(slot, &failed);
        }
    }

    /// TLS broke: the alert still goes out, what the protocol wrote does not.
    pub(super) fn fail_tls(&mut self, slot: u32, failed: &Failed) {
        tracing::debug!(reason = failed.0, "TLS failed");
        self.core.stats.tls_errors += 1;
        self.core.pool.give(std::mem::take(&mut self.core.links[slot].out));
        self.core.close(slot, CloseReason::Tls);
    }
}
