//! TLS (RFC 8446, RFC 5246 with RFC 9325's restrictions): handshakes by rustls, without its I/O,
//! and records by our own hand, which take a quarter of the memory.

mod certificate;
mod client;
mod config;
mod handshake;
mod key_update;
mod record;
mod session;
#[cfg(test)]
mod session_test;

pub use certificate::{Certificate, CertificateError};
pub use client::ClientCertificate;
pub use config::{TlsConfig, TlsError, TlsSettings};
pub(crate) use session::{Failed, Received, Session};

use std::sync::Arc;

/// Protocol versions that are offered; older ones are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// What a finished handshake established.
#[derive(Clone, Debug)]
pub struct TlsInfo {
    /// The protocol version.
    pub version: TlsVersion,
    /// The cipher suite, by its IANA name.
    pub cipher: &'static str,
    /// The server name that the client asked for, in lower case.
    pub sni: Option<String>,
    /// The application protocol agreed upon.
    pub alpn: Option<Vec<u8>>,
    /// The `tls-exporter` channel binding (RFC 9266). `None` where it would not be unique: TLS
    /// 1.2 without the extended master secret (RFC 7627).
    pub exporter: Option<[u8; 32]>,
    /// The `tls-server-end-point` channel binding (RFC 5929 §4): the hash of the certificate
    /// that was served. `None` if its signature algorithm has no one hash function.
    pub server_end_point: Option<Arc<[u8]>>,
    /// What the client showed, if it was asked and had something to show.
    pub client_certificate: Option<ClientCertificate>,
}
