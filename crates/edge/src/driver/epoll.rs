//! The readiness driver: `mio`, which on Linux is edge-triggered epoll.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::doorbell::Doorbell;

use super::{Driver, InUse, ListenSocket, Sending, Sink, Socket};

/// Connections accepted from one listener in a turn, so that a flood of them does not keep
/// established ones waiting.
const ACCEPTS_PER_TURN: usize = 32;

/// Bytes received from one socket in a turn; a busier one goes on in the next turn.
const RECEIVE_BYTES: usize = 64 * 1024;

/// Events taken from the kernel at once.
const EVENTS_PER_TURN: usize = 1024;

const DOORBELL: Token = Token(usize::MAX);
/// Listeners count down from here; sockets count up from 0 and are `u32`.
const LISTENERS: usize = usize::MAX - 1;

struct Listener {
    listener: u16,
    socket: TcpListener,
    /// There may be connections to accept.
    ready: bool,
}

/// A buffer of which the kernel took only a part.
struct Unsent {
    buffer: Vec<u8>,
    from: usize,
}

struct Stream {
    stream: TcpStream,
    slot: u32,
    unsent: Option<Box<Unsent>>,
    /// There may be bytes to receive.
    readable: bool,
    /// There may be room to send.
    writable: bool,
    /// The peer's end was announced, so a short read is not the last word.
    ending: bool,
    paused: bool,
    /// Is in the list of ready streams.
    queued: bool,
}

/// One worker's epoll instance and the sockets in it.
pub(crate) struct Epoll {
    poll: Poll,
    events: Events,
    doorbell: Arc<Doorbell>,
    listeners: Vec<Listener>,
    /// Connections that may still be accepted.
    places: usize,
    streams: Vec<Option<Stream>>,
    free: Vec<u32>,
    /// Streams to look at in this turn or, if still ready, in the next.
    ready: Vec<u32>,
    visiting: Vec<u32>,
    received: Box<[u8]>,
}

impl Epoll {
    pub(crate) fn new(listeners: Vec<ListenSocket>, doorbell: Arc<Doorbell>) -> io::Result<Epoll> {
        let poll = Poll::new()?;
        let bell = doorbell.as_raw_fd();
        poll.registry().register(&mut SourceFd(&bell), DOORBELL, Interest::READABLE)?;
        let mut epoll = Epoll {
            poll,
            events: Events::with_capacity(EVENTS_PER_TURN),
            doorbell,
            listeners: Vec::with_capacity(listeners.len()),
            places: 0,
            streams: Vec::new(),
            free: Vec::new(),
            ready: Vec::new(),
            visiting: Vec::new(),
            received: vec![0; RECEIVE_BYTES].into_boxed_slice(),
        };
        for (index, ListenSocket { listener, socket }) in listeners.into_iter().enumerate() {
            let mut socket = TcpListener::from_std(socket);
            let token = Token(LISTENERS - index);
            epoll.poll.registry().register(&mut socket, token, Interest::READABLE)?;
            // Edge-triggered: who connected before must not wait for the next one.
            epoll.listeners.push(Listener { listener, socket, ready: true });
        }
        Ok(epoll)
    }

    fn wait(&mut self, wait: Option<Duration>) -> io::Result<()> {
        let accepting = self.places > 0 && self.listeners.iter().any(|listener| listener.ready);
        let busy = accepting || !self.ready.is_empty();
        let wait = if busy { Some(Duration::ZERO) } else { wait };
        match self.poll.poll(&mut self.events, wait) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                self.events.clear();
                Ok(())
            }
            other => other,
        }
    }

    /// Notes what the kernel reported.
    fn note(&mut self) {
        for event in &self.events {
            let Token(token) = event.token();
            if let Some(Some(stream)) = self.streams.get_mut(token) {
                stream.readable |= event.is_readable() || event.is_error();
                stream.writable |= event.is_writable();
                stream.ending |= event.is_read_closed() || event.is_error();
                let wanted = (stream.readable && !stream.paused) || stream.unsent.is_some();
                if wanted && !std::mem::replace(&mut stream.queued, true) {
                    self.ready.push(token as u32);
                }
            } else if event.token() == DOORBELL {
                self.doorbell.silence();
            } else if let Some(listener) = self.listeners.get_mut(LISTENERS.wrapping_sub(token)) {
                listener.ready = true;
            }
        }
    }

    /// Sends and receives once on every ready stream.
    fn visit(&mut self, sink: &mut impl Sink) {
        std::mem::swap(&mut self.ready, &mut self.visiting);
        for index in 0..self.visiting.len() {
            let token = self.visiting[index];
            let Some(Some(stream)) = self.streams.get_mut(token as usize) else {
                continue;
            };
            stream.queued = false;
            if stream.writable && stream.unsent.is_some() {
                stream.go_on_sending(sink);
            }
            if stream.readable && !stream.paused && stream.receive(&mut self.received, sink) {
                stream.queued = true;
                self.ready.push(token);
            }
        }
        self.visiting.clear();
    }

    fn accept_some(&mut self, sink: &mut impl Sink) {
        for index in 0..self.listeners.len() {
            for _ in 0..ACCEPTS_PER_TURN {
                let listener = &mut self.listeners[index];
                if !listener.ready || self.places == 0 {
                    break;
                }
                match listener.socket.accept() {
                    Ok((stream, peer)) => {
                        self.places -= 1;
                        let number = listener.listener;
                        self.admit(number, stream, peer, sink);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => listener.ready = false,
                    // The client gave up while it waited; the next one is no worse for it.
                    Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => {
                        // The listener stays ready; the engine decides when to try again.
                        self.places = 0;
                        sink.accept_failed(&error);
                    }
                }
            }
        }
    }

    fn admit(
        &mut self,
        listener: u16,
        mut stream: TcpStream,
        peer: SocketAddr,
        sink: &mut impl Sink,
    ) {
        let token = self.free.pop().unwrap_or_else(|| {
            self.streams.push(None);
            self.streams.len() as u32 - 1
        });
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered =
            self.poll.registry().register(&mut stream, Token(token as usize), interest);
        if let Err(error) = registered {
            self.free.push(token);
            return sink.accept_failed(&error);
        }
        let Some(slot) = sink.accepted(listener, peer, Socket(token)) else {
            self.free.push(token);
            return;
        };
        self.streams[token as usize] = Some(Stream {
            stream,
            slot,
            unsent: None,
            readable: false,
            writable: true,
            ending: false,
            paused: false,
            queued: false,
        });
    }

    fn stream(&mut self, Socket(token): Socket) -> Option<&mut Stream> {
        self.streams.get_mut(token as usize)?.as_mut()
    }
}

impl Stream {
    /// Receives once. True if there may be more, and it is wanted.
    fn receive(&mut self, buffer: &mut [u8], sink: &mut impl Sink) -> bool {
        match self.stream.read(buffer) {
            Ok(0) => {
                self.readable = false;
                sink.ended(self.slot);
            }
            Ok(count) => {
                // A short read of a stream socket has emptied it (epoll(7)).
                self.readable = count == buffer.len() || self.ending;
                self.paused |= !sink.received(self.slot, &mut buffer[..count]);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => {
                self.readable = false;
                sink.failed(self.slot);
            }
        }
        self.readable && !self.paused
    }

    fn go_on_sending(&mut self, sink: &mut impl Sink) {
        let Some(unsent) = &mut self.unsent else { return };
        let before = unsent.from;
        match send_some(&mut self.stream, &unsent.buffer, &mut unsent.from) {
            Ok(true) => {
                let buffer = std::mem::take(&mut unsent.buffer);
                self.unsent = None;
                sink.sent(self.slot, buffer);
            }
            Ok(false) => {
                self.writable = false;
                if unsent.from > before {
                    sink.progressed(self.slot);
                }
            }
            Err(_) => {
                self.unsent = None;
                sink.failed(self.slot);
            }
        }
    }
}

/// Sends until all is gone (true) or the socket is full (false).
fn send_some(stream: &mut TcpStream, buffer: &[u8], from: &mut usize) -> io::Result<bool> {
    while *from < buffer.len() {
        match stream.write(&buffer[*from..]) {
            Ok(count) => *from += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

impl Driver for Epoll {
    fn turn(&mut self, wait: Option<Duration>, sink: &mut impl Sink) -> io::Result<()> {
        self.wait(wait)?;
        sink.woke();
        self.note();
        self.visit(sink);
        self.accept_some(sink);
        Ok(())
    }

    fn accept(&mut self, places: usize) {
        self.places = places;
    }

    fn send(&mut self, socket: Socket, buffer: Vec<u8>) -> Sending {
        let Some(stream) = self.stream(socket) else {
            return Sending::Failed(buffer);
        };
        let mut from = 0;
        match send_some(&mut stream.stream, &buffer, &mut from) {
            Ok(true) => Sending::Done(buffer),
            Ok(false) => {
                stream.writable = false;
                stream.unsent = Some(Box::new(Unsent { buffer, from }));
                Sending::Pending
            }
            Err(_) => Sending::Failed(buffer),
        }
    }

    fn pause(&mut self, socket: Socket) {
        if let Some(stream) = self.stream(socket) {
            stream.paused = true;
        }
    }

    fn resume(&mut self, socket: Socket) {
        if let Some(stream) = self.stream(socket) {
            stream.paused = false;
            if stream.readable && !std::mem::replace(&mut stream.queued, true) {
                self.ready.push(socket.0);
            }
        }
    }

    fn shut(&mut self, socket: Socket) {
        if let Some(stream) = self.stream(socket) {
            // Fails only if the connection is gone already, which the next event tells.
            let _ = stream.stream.shutdown(Shutdown::Write);
        }
    }

    fn in_use(&self) -> InUse {
        // The kernel copies what it takes; what it does not take goes with its stream.
        InUse { sockets: (self.streams.len() - self.free.len()) as u64, sends: 0 }
    }

    fn close(&mut self, socket: Socket) {
        if let Some(place) = self.streams.get_mut(socket.0 as usize)
            && place.take().is_some()
        {
            self.free.push(socket.0);
        }
    }
}
