//! One connection of an actor: bytes out, pieces of the stream in.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jackdaw_xml::{Element, Limits, Scope};

use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::splitter::{Piece, split_off};
use crate::tls::{self, ChannelBinding, TlsStream};

/// How long anything may take to arrive. Far more than a loaded machine needs; only failures wait.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the server may send in one piece: more than its own limits allow.
const LIMITS: Limits = Limits { stanza_bytes_max: 4 << 20, ..Limits::after_auth() };

/// What arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// The server's stream header, as an empty element.
    Header(Element),
    /// A stanza, or an element of the stream's own.
    Element(Element),
    /// `</stream:stream>`.
    StreamEnd,
    /// The end of the connection.
    Eof,
}

enum Transport {
    Tcp(TcpStream),
    Tls(Box<TlsStream>),
    /// While it is being changed, or after a failure to change it.
    Gone,
}

/// A TCP connection, with or without TLS.
pub struct Connection {
    transport: Transport,
    buffer: Vec<u8>,
    /// What the server offered last.
    features: Option<Element>,
    /// What a TLS handshake shows, if asked.
    identity: Option<Arc<Identity>>,
}

impl Connection {
    /// Connects to the server.
    pub fn open(address: SocketAddr) -> Result<Connection> {
        let tcp = TcpStream::connect_timeout(&address, PATIENCE)
            .map_err(Error::io(format!("connecting to {address}")))?;
        tcp.set_nodelay(true).map_err(Error::io("TCP_NODELAY"))?;
        tcp.set_read_timeout(Some(PATIENCE)).map_err(Error::io("read timeout"))?;
        tcp.set_write_timeout(Some(PATIENCE)).map_err(Error::io("write timeout"))?;
        Ok(Connection {
            transport: Transport::Tcp(tcp),
            buffer: Vec::new(),
            features: None,
            identity: None,
        })
    }

    /// Has a certificate for handshakes to come.
    pub fn identify(&mut self, identity: Option<Arc<Identity>>) {
        self.identity = identity;
    }

    /// Whether the server showed a certificate for `domain`.
    pub fn certificate_names(&self, domain: &str) -> bool {
        match &self.transport {
            Transport::Tls(stream) => tls::certificate_names(stream, domain),
            Transport::Tcp(_) | Transport::Gone => false,
        }
    }

    /// Opens a stream in the clear, and waits until the server opens its own.
    pub fn greet(&mut self, domain: &str) -> Result<()> {
        let header = format!(
            "<stream:stream to='{domain}' version='1.0' xmlns='jabber:client' xmlns:stream='{}'>",
            jackdaw_xml::ns::STREAMS
        );
        self.send(header.as_bytes())?;
        match self.receive()? {
            Arrival::Header(_) => Ok(()),
            _ => Err(Error::unexpected("the server does not open its stream")),
        }
    }

    /// Handshakes; what comes in from now on was encrypted. `early` leaves together with the end
    /// of the handshake, in one segment.
    pub fn start_tls(&mut self, domain: &str, alpn: Option<&str>, early: &[u8]) -> Result<()> {
        if !self.buffer.is_empty() {
            return Err(Error::unexpected("the server sent something in the clear before TLS"));
        }
        match std::mem::replace(&mut self.transport, Transport::Gone) {
            Transport::Tcp(tcp) => {
                let identity = self.identity.as_deref();
                let stream = tls::connect(domain, alpn, early, identity, tcp)?;
                self.transport = Transport::Tls(stream);
                Ok(())
            }
            Transport::Tls(_) => Err(Error::unexpected("TLS is on already")),
            Transport::Gone => Err(Error::Closed),
        }
    }

    /// What SCRAM with `-PLUS` binds to: by this name, or by the best there is.
    pub fn channel_binding(&self, name: Option<&str>) -> Result<Option<ChannelBinding>> {
        let Transport::Tls(stream) = &self.transport else { return Ok(None) };
        match name {
            Some("tls-server-end-point") => tls::server_end_point(stream).map(Some),
            Some(_) | None => tls::exporter(stream).map(Some),
        }
    }

    /// Whether TLS is on.
    pub fn is_encrypted(&self) -> bool {
        matches!(self.transport, Transport::Tls(_))
    }

    /// Sends everything.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let sent = match &mut self.transport {
            Transport::Tcp(tcp) => tcp.write_all(bytes),
            Transport::Tls(stream) => tls::write(stream, bytes),
            Transport::Gone => return Err(Error::Closed),
        };
        sent.map_err(Error::io("sending"))
    }

    /// The features the server offered last.
    pub fn features(&self) -> Option<&Element> {
        self.features.as_ref()
    }

    /// The next piece of the stream.
    pub fn receive(&mut self) -> Result<Arrival> {
        let arrival = self.receive_piece()?;
        if let Arrival::Element(element) = &arrival
            && element.is(jackdaw_xml::ns::STREAMS, "features")
        {
            self.features = Some(element.clone());
        }
        Ok(arrival)
    }

    /// The next piece of the stream if it comes within `wait`. A connection that ends inside a
    /// piece has ended: so does that of a server that is killed.
    pub fn receive_within(&mut self, wait: Duration) -> Result<Option<Arrival>> {
        if let Some(piece) = split_off(&mut self.buffer) {
            return parse(piece).map(Some);
        }
        // Zero would mean to wait for ever.
        self.set_patience(wait.max(Duration::from_micros(1)))?;
        let mut chunk = [0; 16 * 1024];
        let read = self.read(&mut chunk);
        self.set_patience(PATIENCE)?;
        match read {
            Ok(0) => Ok(Some(Arrival::Eof)),
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                split_off(&mut self.buffer).map(parse).transpose()
            }
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted
                | io::ErrorKind::WouldBlock
                | io::ErrorKind::TimedOut => Ok(None),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                    Ok(Some(Arrival::Eof))
                }
                _ => Err(Error::Io { doing: "receiving".into(), source: error }),
            },
        }
    }

    fn set_patience(&self, patience: Duration) -> Result<()> {
        let tcp = match &self.transport {
            Transport::Tcp(tcp) => tcp,
            Transport::Tls(stream) => &stream.sock,
            Transport::Gone => return Err(Error::Closed),
        };
        tcp.set_read_timeout(Some(patience)).map_err(Error::io("read timeout"))
    }

    fn receive_piece(&mut self) -> Result<Arrival> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(piece) = split_off(&mut self.buffer) {
                return parse(piece);
            }
            // The socket's own timeout starts anew with every byte; this one does not.
            if Instant::now() >= deadline {
                return Err(Error::Silence(PATIENCE.as_secs()));
            }
            let mut chunk = [0; 16 * 1024];
            match self.read(&mut chunk) {
                Ok(0) if self.buffer.is_empty() => return Ok(Arrival::Eof),
                Ok(0) => return Err(Error::unexpected(self.torn())),
                Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                        return Err(Error::Silence(PATIENCE.as_secs()));
                    }
                    io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                        return Ok(Arrival::Eof);
                    }
                    _ => return Err(Error::Io { doing: "receiving".into(), source: error }),
                },
            }
        }
    }

    fn read(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
        match &mut self.transport {
            Transport::Tcp(tcp) => tcp.read(chunk),
            Transport::Tls(stream) => tls::read(stream, chunk),
            Transport::Gone => Ok(0),
        }
    }

    /// Waits for the end of the connection, whatever comes before it.
    pub fn drain(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut chunk = [0; 16 * 1024];
        while Instant::now() < deadline {
            match self.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => return Ok(()),
                    _ => break,
                },
            }
        }
        Err(Error::Silence(PATIENCE.as_secs()))
    }

    /// What comes in one read, as text: for listeners that do not speak XMPP.
    pub fn receive_raw(&mut self) -> Result<String> {
        let mut chunk = [0; 16 * 1024];
        let count = self.read(&mut chunk).map_err(Error::io("receiving"))?;
        Ok(String::from_utf8_lossy(&chunk[..count]).into_owned())
    }

    /// The socket of a connection without TLS from which everything has been received.
    pub fn into_tcp(self) -> Option<TcpStream> {
        match self.transport {
            Transport::Tcp(tcp) if self.buffer.is_empty() => Some(tcp),
            _ => None,
        }
    }

    fn torn(&self) -> String {
        format!("the connection ended inside `{}`", String::from_utf8_lossy(&self.buffer))
    }

    /// Breaks the connection as a network does: no goodbye of stream or TLS.
    pub fn drop_abruptly(self) {
        let tcp = match &self.transport {
            Transport::Tcp(tcp) => tcp,
            Transport::Tls(stream) => &stream.sock,
            Transport::Gone => return,
        };
        // It may be gone already, which is what is wanted.
        let _ = tcp.shutdown(Shutdown::Both);
    }
}

fn parse(piece: Piece) -> Result<Arrival> {
    let read = |bytes: &[u8]| {
        Element::parse(bytes, &Scope::client(), &LIMITS).map_err(|error| {
            let text = String::from_utf8_lossy(bytes);
            Error::unexpected(format!("the server's XML is wrong ({error}): {text}"))
        })
    };
    match piece {
        Piece::Header(mut bytes) => {
            // An open tag becomes an empty element.
            bytes.pop();
            bytes.extend_from_slice(b"/>");
            read(&bytes).map(Arrival::Header)
        }
        Piece::Element(bytes) => read(&bytes).map(Arrival::Element),
        Piece::End => Ok(Arrival::StreamEnd),
    }
}
