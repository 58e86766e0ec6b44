//! The raw relay: one thread, epoll, the bytes of one connection to the other, unread.
//!
//! The least that any server could do, and so the unit of what ours costs. Connections say a number
//! first; two with the same one are a pair, and hear so.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::{RELAY, Result, process};

/// Bytes of the number.
const HELLO: usize = 4;

/// As much as the server reads at once, or more.
const BUFFER: usize = 256 * 1024;

const LISTENER: Token = Token(usize::MAX);

/// A relay that runs on the server's core.
pub struct Relay {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Relay {
    /// Starts one.
    pub fn start() -> Result<Relay> {
        let program = std::env::current_exe()?;
        let mut command = process::on_core(process::SERVER_CORE, Path::new(&program));
        let mut child = command.arg(RELAY).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or("the relay has no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        Ok(Relay { child, address: line.trim().parse()? })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        process::stop(&mut self.child);
    }
}

struct Peer {
    stream: TcpStream,
    other: Option<usize>,
    /// What the socket did not take.
    backlog: VecDeque<u8>,
}

/// Relays until it is killed; says first where it listens.
pub fn serve() -> Result<()> {
    let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    println!("{}", listener.local_addr()?);
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut peers: Vec<Peer> = Vec::new();
    let mut waiting = HashMap::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            let Token(index) = event.token();
            if event.token() == LISTENER {
                accept(&listener, &poll, &mut peers)?;
                continue;
            }
            if event.is_writable() {
                flush(&mut peers[index])?;
            }
            if event.is_readable() {
                forward(&mut peers, index, &mut waiting, &mut buffer)?;
            }
        }
    }
}

fn accept(listener: &TcpListener, poll: &Poll, peers: &mut Vec<Peer>) -> Result<()> {
    while let Ok((mut stream, _)) = listener.accept() {
        stream.set_nodelay(true)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(peers.len()), interest)?;
        peers.push(Peer { stream, other: None, backlog: VecDeque::new() });
    }
    Ok(())
}

/// One read and one write. Events are edge-triggered, and a read that does not fill the buffer was
/// the last one.
fn forward(
    peers: &mut [Peer],
    index: usize,
    waiting: &mut HashMap<[u8; HELLO], usize>,
    buffer: &mut [u8],
) -> Result<()> {
    loop {
        let count = match peers[index].stream.read(buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(_) => 0,
        };
        if count == 0 {
            return Ok(());
        }
        match peers[index].other {
            Some(other) => send(&mut peers[other], &buffer[..count])?,
            None => meet(peers, index, waiting, &buffer[..count])?,
        }
        if count < buffer.len() {
            return Ok(());
        }
    }
}

fn meet(
    peers: &mut [Peer],
    index: usize,
    waiting: &mut HashMap<[u8; HELLO], usize>,
    bytes: &[u8],
) -> Result<()> {
    let hello = *bytes.first_chunk::<HELLO>().ok_or("a number cut in two")?;
    let Some(other) = waiting.remove(&hello) else {
        waiting.insert(hello, index);
        return Ok(());
    };
    peers[index].other = Some(other);
    peers[other].other = Some(index);
    send(&mut peers[index], b"!")?;
    send(&mut peers[other], b"!")
}

fn send(peer: &mut Peer, bytes: &[u8]) -> Result<()> {
    let taken = match peer.backlog.is_empty() {
        true => taken(peer.stream.write(bytes))?,
        false => 0,
    };
    if taken < bytes.len() {
        peer.backlog.extend(&bytes[taken..]);
    }
    Ok(())
}

fn flush(peer: &mut Peer) -> Result<()> {
    if !peer.backlog.is_empty() {
        let taken = taken(peer.stream.write(peer.backlog.make_contiguous()))?;
        peer.backlog.drain(..taken);
    }
    Ok(())
}

/// A socket that is full takes nothing; one whose client has gone takes everything.
fn taken(result: std::io::Result<usize>) -> Result<usize> {
    match result {
        Ok(count) => Ok(count),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(usize::MAX),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(usize::MAX),
        Err(error) => Err(error.into()),
    }
}
