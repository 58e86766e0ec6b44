//! TLS as the actors use it: they take any certificate, for the server made its own.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use aws_lc_rs::digest;
use jackdaw_loadtest::tls::AnyCertificate;
use rustls::crypto::aws_lc_rs as provider;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;

use crate::error::{Error, Result};
use crate::identity::Identity;

/// Data that ties an authentication to its TLS session (RFC 5929, RFC 9266).
#[derive(Debug, Clone)]
pub struct ChannelBinding {
    /// Its registered name.
    pub name: &'static str,
    /// The data.
    pub data: Vec<u8>,
}

/// An encrypted connection.
pub type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// Handshakes as a client of `domain`. `alpn` is what direct TLS asks for (XEP-0368); `early` is
/// encrypted behind the handshake's last message and written with it; `identity` is shown if the
/// server asks.
pub fn connect(
    domain: &str,
    alpn: Option<&str>,
    early: &[u8],
    identity: Option<&Identity>,
    mut tcp: TcpStream,
) -> Result<Box<TlsStream>> {
    let mut connection = client(domain, alpn, identity)?;
    // The library keeps this back until it may be encrypted.
    connection.writer().write_all(early).map_err(Error::io("TLS"))?;
    while connection.is_handshaking() {
        handshake_step(&mut connection, &mut tcp)?;
    }
    Ok(Box::new(StreamOwned::new(connection, tcp)))
}

/// A client's side that has said nothing yet.
pub fn client(
    domain: &str,
    alpn: Option<&str>,
    identity: Option<&Identity>,
) -> Result<ClientConnection> {
    let provider = Arc::new(provider::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate::new(provider)));
    let mut config = match identity {
        Some(identity) => config.with_client_auth_cert(identity.chain(), identity.key())?,
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.map(|name| name.as_bytes().to_vec()).into_iter().collect();
    let name = ServerName::try_from(domain.to_owned())
        .map_err(|error| Error::unexpected(format!("{domain}: {error}")))?;
    Ok(ClientConnection::new(Arc::new(config), name)?)
}

fn handshake_step(connection: &mut ClientConnection, tcp: &mut TcpStream) -> Result<()> {
    while connection.wants_write() {
        connection.write_tls(tcp).map_err(Error::io("TLS handshake"))?;
    }
    if connection.is_handshaking() && connection.wants_read() {
        if connection.read_tls(tcp).map_err(Error::io("TLS handshake"))? == 0 {
            return Err(Error::Closed);
        }
        connection.process_new_packets()?;
    }
    while connection.wants_write() {
        connection.write_tls(tcp).map_err(Error::io("TLS handshake"))?;
    }
    Ok(())
}

/// `tls-exporter` for TLS 1.3 (RFC 9266 §3).
pub fn exporter(stream: &TlsStream) -> Result<ChannelBinding> {
    let data =
        stream.conn.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(&[]))?;
    Ok(ChannelBinding { name: "tls-exporter", data: data.to_vec() })
}

/// `tls-server-end-point` (RFC 5929 §4), for certificates signed with SHA-256, as the server's are.
pub fn server_end_point(stream: &TlsStream) -> Result<ChannelBinding> {
    let chain = stream.conn.peer_certificates().unwrap_or_default();
    let certificate = chain.first().ok_or_else(|| Error::unexpected("TLS: no certificate"))?;
    let data = digest::digest(&digest::SHA256, certificate).as_ref().to_vec();
    Ok(ChannelBinding { name: "tls-server-end-point", data })
}

/// Whether the server's certificate names `domain` as a `dNSName` (RFC 9525 §6).
pub fn certificate_names(stream: &TlsStream, domain: &str) -> bool {
    let chain = stream.conn.peer_certificates().unwrap_or_default();
    let Some((certificate, length)) = chain.first().zip(u8::try_from(domain.len()).ok()) else {
        return false;
    };
    // `[2] IA5String` of the name: nothing else in a certificate of ours looks like that.
    let name = [&[0x82, length], domain.as_bytes()].concat();
    certificate.windows(name.len()).any(|window| window == name)
}

/// Reads once; a closed TLS session reads as the end, whether or not it said goodbye.
pub fn read(stream: &mut TlsStream, buffer: &mut [u8]) -> io::Result<usize> {
    match stream.read(buffer) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
        result => result,
    }
}

/// Writes everything.
pub fn write(stream: &mut TlsStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    stream.flush()
}
