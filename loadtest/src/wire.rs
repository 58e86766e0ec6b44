//! A socket, with TLS or without.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;

use mio::net::TcpStream;
use rustls::ClientConnection;
use rustls_pki_types::ServerName;
use socket2::{Domain, Socket, Type};

use crate::error::{Error, Result};
use crate::plan::Target;

/// One connection.
pub struct Wire {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

/// What reading found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// So many bytes, and there may be more.
    Bytes(usize),
    /// So many bytes, and that was all for now.
    Last(usize),
    /// The end of the stream.
    End,
}

impl Wire {
    /// Begins to connect; `source` is the address to come from.
    pub fn connect(target: &Target, source: Option<SocketAddr>) -> Result<Wire> {
        let stream = connect(target.address, source).map_err(Error::io("connect"))?;
        let tls = match &target.tls {
            Some(config) => {
                let name = ServerName::try_from(target.domain.to_string());
                let name = name.map_err(|_| Error::Closed)?;
                let mut tls = ClientConnection::new(config.clone(), name)?;
                tls.set_buffer_limit(None);
                Some(Box::new(tls))
            }
            None => None,
        };
        Ok(Wire { stream, tls })
    }

    /// For the poll.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Why connecting failed, if it did.
    pub fn connect_error(&self) -> io::Result<()> {
        match self.stream.take_error()? {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Reads once. A short read is the last one, for the poll tells of what comes after it.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<Read> {
        let Some(tls) = &mut self.tls else {
            return match self.stream.read(buffer) {
                Ok(0) => Ok(Read::End),
                Ok(count) if count < buffer.len() => Ok(Read::Last(count)),
                Ok(count) => Ok(Read::Bytes(count)),
                Err(error) => nothing_or(error),
            };
        };
        match tls.reader().read(buffer) {
            Ok(count) if count > 0 => return Ok(Read::Bytes(count)),
            _ => {}
        }
        match tls.read_tls(&mut self.stream) {
            Ok(0) => return Ok(Read::End),
            Ok(_) => {}
            Err(error) => return nothing_or(error),
        }
        tls.process_new_packets()?;
        match tls.reader().read(buffer) {
            Ok(0) => Ok(Read::End),
            Ok(count) => Ok(Read::Bytes(count)),
            // A record that is not whole, or of the handshake.
            Err(_) => Ok(Read::Bytes(0)),
        }
    }

    /// Writes what the socket takes of `bytes`; how much that was.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let Some(tls) = &mut self.tls else {
            return match self.stream.write(bytes) {
                Ok(count) => Ok(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
                Err(error) => Err(Error::Io("write", error)),
            };
        };
        // TLS keeps what the socket does not take.
        tls.writer().write_all(bytes).map_err(Error::io("TLS"))?;
        self.flush()?;
        Ok(bytes.len())
    }

    /// Writes what TLS keeps: a handshake's messages, or records that did not fit.
    pub fn flush(&mut self) -> Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() {
            match tls.write_tls(&mut self.stream) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(Error::Io("write", error)),
            }
        }
        Ok(())
    }
}

fn nothing_or(error: io::Error) -> Result<Read> {
    match error.kind() {
        ErrorKind::WouldBlock => Ok(Read::Last(0)),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Ok(Read::End),
        _ => Err(Error::Io("read", error)),
    }
}

fn connect(address: SocketAddr, source: Option<SocketAddr>) -> io::Result<TcpStream> {
    let stream = match source {
        None => TcpStream::connect(address)?,
        Some(source) => {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
            socket.set_nonblocking(true)?;
            socket.bind(&source.into())?;
            match socket.connect(&address.into()) {
                Ok(()) => {}
                Err(error) if in_progress(&error) => {}
                Err(error) => return Err(error),
            }
            TcpStream::from_std(socket.into())
        }
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn in_progress(error: &io::Error) -> bool {
    /// EINPROGRESS on Linux; the standard library's name for it is not stable.
    const IN_PROGRESS: i32 = 115;
    error.raw_os_error() == Some(IN_PROGRESS) || error.kind() == ErrorKind::WouldBlock
}
