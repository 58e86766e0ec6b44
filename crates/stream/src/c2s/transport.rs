//! What the driver knows of the connection under a stream.

use crate::sasl::Channel;
use jackdaw_jid::BareJid;

/// The connection as it was accepted.
#[derive(Clone, Debug)]
pub enum Transport {
    /// Without TLS, which the client may or must start (RFC 6120 §5).
    Plain(StartTls),
    /// Without TLS, on a listener the operator declared trusted, for load tests and proxies that
    /// did TLS already. Passwords may cross it.
    Trusted,
    /// Direct TLS (XEP-0368).
    Secure(TlsInfo),
}

/// Whether a client may go on without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartTls {
    /// It may.
    Optional,
    /// It may not.
    Required,
}

/// What a finished TLS handshake says.
#[derive(Clone, Debug, Default)]
pub struct TlsInfo {
    /// Keying material for `tls-exporter` (RFC 9266); with TLS 1.2 only if the extended master
    /// secret was negotiated.
    pub exporter: Option<[u8; 32]>,
    /// The hash of the server's certificate, for `tls-server-end-point` (RFC 5929 §4.1).
    pub server_end_point: Option<Box<[u8]>>,
    /// The server name the client indicated.
    pub sni: Option<Box<str>>,
    /// The JIDs in the client's verified certificate.
    pub identities: Vec<BareJid>,
}

impl TlsInfo {
    pub(super) fn into_channel(self) -> Channel {
        Channel {
            confidential: true,
            exporter: self.exporter,
            server_end_point: self.server_end_point,
            identities: self.identities,
        }
    }
}
