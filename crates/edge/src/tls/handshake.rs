//! The handshake, by rustls.

use std::sync::Arc;

use rustls::{ProtocolVersion, ServerConnection};

use super::config::Contexts;
use super::key_update::{Secret, caught};
use super::record::Records;
use super::session::Failed;
use super::{TlsInfo, TlsVersion};

/// Label of the `tls-exporter` channel binding (RFC 9266 §2).
const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// Where a handshake stands after a record.
pub(super) enum Progress {
    Continues,
    Done,
    /// The peer closed instead.
    Ended,
}

/// A handshake under way.
pub(super) struct Handshake {
    connection: ServerConnection,
    contexts: Arc<Contexts>,
    client: Option<Secret>,
    server: Option<Secret>,
}

impl Handshake {
    pub(super) fn new(contexts: Arc<Contexts>, direct: bool) -> Result<Handshake, Failed> {
        let config = if direct { &contexts.direct } else { &contexts.starttls };
        let connection = ServerConnection::new(Arc::clone(config)).map_err(failed)?;
        Ok(Handshake { connection, contexts, client: None, server: None })
    }

    /// Takes one record. What follows it must not come before this says whether the handshake
    /// is done: data behind it is not rustls' any more.
    pub(super) fn take(
        &mut self,
        mut record: &[u8],
        outgoing: &mut Vec<u8>,
    ) -> Result<Progress, Failed> {
        // rustls passes over it until it can be trusted. Who can forge this can forge the end of
        // the connection as well, and a client that gave up would be waited for.
        if is_close_notify(record) {
            return Ok(Progress::Ended);
        }
        let mut ended = false;
        while !record.is_empty() {
            // Reading from a slice cannot fail, and a record fits into rustls' buffer.
            let taken = self.connection.read_tls(&mut record).unwrap_or(0);
            let processed = self.connection.process_new_packets();
            let (client, server) = caught();
            self.client = client.or(self.client.take());
            self.server = server.or(self.server.take());
            while self.connection.wants_write() {
                if self.connection.write_tls(outgoing).is_err() {
                    break; // Writing to a vector cannot fail.
                }
            }
            ended |= processed.map_err(failed)?.peer_has_closed();
            if taken == 0 {
                break;
            }
        }
        Ok(match self.connection.is_handshaking() {
            _ if ended => Progress::Ended,
            true => Progress::Continues,
            false => Progress::Done,
        })
    }

    /// What was established, and the keys.
    pub(super) fn finish(self) -> Result<(TlsInfo, Records), Failed> {
        let info = self.info();
        let keys = self.connection.dangerous_extract_secrets().map_err(failed)?;
        let records = Records::new(info.version, keys, self.client.zip(self.server));
        let records = records.ok_or_else(|| Failed("an unknown cipher suite".to_owned()))?;
        Ok((info, records))
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

/// An alert in the clear, `close_notify` (RFC 8446 §6.1). An encrypted one is longer.
fn is_close_notify(record: &[u8]) -> bool {
    matches!(record, [21, 3, _, 0, 2, _, 0])
}

fn failed(error: rustls::Error) -> Failed {
    Failed(error.to_string())
}
