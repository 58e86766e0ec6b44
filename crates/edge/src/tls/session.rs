//! One TLS session of a connection.

use std::io::{BufRead, Write};
use std::sync::Arc;

use rustls::{ProtocolVersion, ServerConnection};

use super::config::Contexts;
use super::{TlsInfo, TlsVersion};

/// Label of the `tls-exporter` channel binding (RFC 9266 §2).
const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// What came out of received bytes, in order.
pub(crate) enum Received<'a> {
    /// The handshake is finished.
    Secured(TlsInfo),
    Plaintext(&'a [u8]),
    /// The peer will send no more (`close_notify`).
    Ended,
}

/// The peer broke TLS, or offered nothing we speak. The alert that says so is in the output.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) rustls::Error);

/// The server's side of one session: bytes in, events and bytes out.
pub(crate) struct Session {
    connection: ServerConnection,
    contexts: Arc<Contexts>,
    secured: bool,
    ended: bool,
    closed: bool,
    /// Bytes for the peer.
    pub(crate) outgoing: Vec<u8>,
    /// Handshake bytes that wait for their turn.
    pub(crate) backlog: Vec<u8>,
}

impl Session {
    pub(crate) fn new(contexts: Arc<Contexts>, direct: bool) -> Result<Session, Failed> {
        let config = if direct { &contexts.direct } else { &contexts.starttls };
        let mut connection = ServerConnection::new(Arc::clone(config)).map_err(Failed)?;
        // Bounded above: the engine seals only what fits in its own limits.
        connection.set_buffer_limit(None);
        Ok(Session {
            connection,
            contexts,
            secured: false,
            ended: false,
            closed: false,
            outgoing: Vec::new(),
            backlog: Vec::new(),
        })
    }

    /// Whether the handshake is still under way.
    pub(crate) fn is_handshaking(&self) -> bool {
        !self.secured
    }

    /// Takes bytes from the peer.
    pub(crate) fn receive(
        &mut self,
        mut bytes: &[u8],
        mut report: impl FnMut(Received<'_>),
    ) -> Result<(), Failed> {
        while !bytes.is_empty() && !self.ended {
            // Reading from a slice cannot fail, and the plaintext is taken out below each time,
            // so there is room.
            let taken = self.connection.read_tls(&mut bytes).unwrap_or(0);
            let processed = self.connection.process_new_packets();
            self.collect();
            let state = processed.map_err(Failed)?;
            if !self.secured && !self.connection.is_handshaking() {
                self.secured = true;
                report(Received::Secured(self.info()));
            }
            self.take_plaintext(&mut report);
            if state.peer_has_closed() {
                self.ended = true;
                report(Received::Ended);
            }
            if taken == 0 {
                break;
            }
        }
        Ok(())
    }

    fn take_plaintext(&mut self, report: &mut impl FnMut(Received<'_>)) {
        let mut reader = self.connection.reader();
        // An error means "none now" or "no more", which `receive` learns from the state.
        while let Ok(plaintext) = reader.fill_buf() {
            let count = plaintext.len();
            if count == 0 {
                break;
            }
            report(Received::Plaintext(plaintext));
            reader.consume(count);
        }
    }

    /// Encrypts into the output.
    pub(crate) fn seal(&mut self, plaintext: &[u8]) {
        // Writing to the session's buffers and from there to a vector cannot fail.
        let _ = self.connection.writer().write_all(plaintext);
        self.collect();
    }

    /// Says that we send no more. Only the first call does.
    pub(crate) fn close(&mut self) {
        if !std::mem::replace(&mut self.closed, true) {
            self.connection.send_close_notify();
            self.collect();
        }
    }

    fn collect(&mut self) {
        while self.connection.wants_write() {
            if self.connection.write_tls(&mut self.outgoing).is_err() {
                break;
            }
        }
    }

    fn info(&self) -> TlsInfo {
        let connection = &self.connection;
        let version = match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => TlsVersion::V1_3,
            _ => TlsVersion::V1_2,
        };
        let suite = connection.negotiated_cipher_suite();
        let sni = connection.server_name();
        let chain = connection.peer_certificates().unwrap_or_default();
        let clients = self.contexts.clients.as_ref();
        TlsInfo {
            version,
            cipher: suite.and_then(|suite| suite.suite().as_str()).unwrap_or("unknown"),
            sni: sni.map(str::to_ascii_lowercase),
            alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
            exporter: self.exporter(version),
            server_end_point: self.contexts.certificates.choose(sni).end_point.clone(),
            client_certificate: clients.and_then(|clients| clients.judge(chain)),
        }
    }

    fn exporter(&self, version: TlsVersion) -> Option<[u8; 32]> {
        let unique = version == TlsVersion::V1_3 || self.contexts.starttls.require_ems;
        // An empty context, which in TLS 1.2 differs from none, as RFC 9266 §2 asks.
        let export =
            || self.connection.export_keying_material([0; 32], EXPORTER_LABEL, Some(&[])).ok();
        unique.then(export).flatten()
    }
}
