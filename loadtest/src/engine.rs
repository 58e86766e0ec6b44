//! The event loop: epoll, edge-triggered, one thread.

use std::time::{Duration, Instant};

use jackdaw_xml::{Frame, Framer, Limits, Scan};
use mio::event::Event;
use mio::{Events, Interest, Poll, Token};

use crate::client::{Client, Phase};
use crate::error::{Error, Result};
use crate::io::{ClientId, Io};
use crate::login::{Context, Login, Step};
use crate::plan::{Plan, Target};
use crate::scan;
use crate::wire::{Read, Wire};

/// Bytes read at once: a thousand small stanzas.
const BUFFER: usize = 256 * 1024;

/// Events taken in one turn.
const EVENTS: usize = 1024;

/// How long to wait for events, so that the end of patience is noticed.
const GLANCE: Duration = Duration::from_millis(20);

/// Limits of what a server may send; an answer with a large roster is the longest.
const LIMITS: Limits = Limits::after_auth();

/// What clients do.
pub trait Behaviour {
    /// `client` is where its plan says. `plan` has the newest token.
    fn established(&mut self, _io: &mut Io, _client: ClientId, _plan: &Plan) {}

    /// A stanza, or another element of the stream, came for `client`.
    fn stanza(&mut self, io: &mut Io, client: ClientId, stanza: &[u8]);

    /// `client` said goodbye, and the server closed.
    fn closed(&mut self, _io: &mut Io, _client: ClientId) {}

    /// A turn begins; `now` is its time.
    fn turn(&mut self, _io: &mut Io, _now: Instant) {}
}

/// What happened so far.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    /// Clients that got where their plan says.
    pub established: u64,
    /// Stanzas that came for established clients.
    pub stanzas: u64,
}

/// Clients of one server.
pub struct Engine {
    target: Target,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    io: Io,
    free: Vec<ClientId>,
    connections: usize,
    counts: Counts,
}

impl Engine {
    /// An engine without clients.
    pub fn new(target: Target) -> Result<Engine> {
        Ok(Engine {
            target,
            poll: Poll::new().map_err(Error::io("epoll"))?,
            events: Events::with_capacity(EVENTS),
            buffer: vec![0; BUFFER],
            io: Io::default(),
            free: Vec::new(),
            connections: 0,
            counts: Counts::default(),
        })
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How many clients have a place.
    pub fn clients(&self) -> usize {
        self.io.clients.len() - self.free.len()
    }

    /// What a behaviour can do, from outside a turn.
    pub fn io(&mut self) -> &mut Io {
        &mut self.io
    }

    /// Begins to connect a client. A place that was free is used again.
    pub fn connect(&mut self, plan: Plan) -> Result<ClientId> {
        let source = self.target.source(self.connections);
        self.connections += 1;
        let mut wire = Wire::connect(&self.target, source)?;
        let id = self.free.pop().unwrap_or(self.io.clients.len());
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry().register(wire.stream(), Token(id), interest);
        registered.map_err(Error::io("epoll"))?;
        let client = Some(Client::new(wire, Login::new(plan)));
        match self.io.clients.get_mut(id) {
            Some(slot) => *slot = client,
            None => self.io.clients.push(client),
        }
        Ok(id)
    }

    /// Connects `total` clients, `at_once` of them at the same time on their way, and turns until
    /// all are where their plans say.
    #[expect(clippy::disallowed_methods, reason = "load is made in real time")]
    pub fn ramp<B: Behaviour>(
        &mut self,
        behaviour: &mut B,
        total: usize,
        at_once: usize,
        patience: Duration,
        mut plan: impl FnMut(usize) -> Plan,
    ) -> Result<()> {
        let end = Instant::now() + patience;
        let before = self.counts.established;
        let mut begun = 0;
        loop {
            let there = (self.counts.established - before) as usize;
            if there >= total {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(Error::Late("the login of all"));
            }
            while begun < total && begun - there < at_once {
                self.connect(plan(begun))?;
                begun += 1;
            }
            self.turn(behaviour, Some(GLANCE))?;
        }
    }

    /// Turns for `duration`, and waits for events up to `wait` at a time.
    #[expect(clippy::disallowed_methods, reason = "load is made in real time")]
    pub fn run_for<B: Behaviour>(
        &mut self,
        behaviour: &mut B,
        duration: Duration,
        wait: Duration,
    ) -> Result<()> {
        let end = Instant::now() + duration;
        while Instant::now() < end {
            self.turn(behaviour, Some(wait))?;
        }
        Ok(())
    }

    /// Turns until `done`; an error if that takes longer than `patience`.
    #[expect(clippy::disallowed_methods, reason = "load is made in real time")]
    pub fn run<B: Behaviour>(
        &mut self,
        behaviour: &mut B,
        what: &'static str,
        patience: Duration,
        mut done: impl FnMut(&Engine, &B) -> bool,
    ) -> Result<()> {
        let end = Instant::now() + patience;
        while !done(self, behaviour) {
            if Instant::now() > end {
                return Err(Error::Late(what));
            }
            self.turn(behaviour, Some(GLANCE))?;
        }
        Ok(())
    }

    /// Waits for events up to `timeout`, handles them, and sends what they led to.
    #[expect(clippy::disallowed_methods, reason = "load is made in real time")]
    pub fn turn<B: Behaviour>(
        &mut self,
        behaviour: &mut B,
        timeout: Option<Duration>,
    ) -> Result<()> {
        self.io.flush()?;
        if let Err(error) = self.poll.poll(&mut self.events, timeout)
            && error.kind() != std::io::ErrorKind::Interrupted
        {
            return Err(Error::Io("epoll", error));
        }
        behaviour.turn(&mut self.io, Instant::now());
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            self.event(behaviour, event)?;
        }
        self.events = events;
        self.io.flush()?;
        self.free.append(&mut self.io.freed);
        Ok(())
    }

    fn event<B: Behaviour>(&mut self, behaviour: &mut B, event: &Event) -> Result<()> {
        let Token(id) = event.token();
        let Some(Some(client)) = self.io.clients.get_mut(id) else { return Ok(()) };
        if event.is_writable() {
            if let Phase::Connecting(_) = client.phase {
                self.connected(id)?;
            } else if client.is_blocked && client.flush()? {
                let buffer = std::mem::take(&mut client.out);
                self.io.keep(buffer);
            } else {
                client.wire.flush()?;
            }
        }
        if event.is_readable() || event.is_read_closed() {
            self.readable(behaviour, id)?;
        }
        Ok(())
    }

    fn connected(&mut self, id: ClientId) -> Result<()> {
        let Some(Some(client)) = self.io.clients.get_mut(id) else { return Ok(()) };
        client.wire.connect_error().map_err(Error::io("connect"))?;
        let phase = std::mem::replace(&mut client.phase, Phase::Closing);
        let Phase::Connecting(mut login) = phase else { return Ok(()) };
        let mut out = self.io.spare.pop().unwrap_or_default();
        let mut cx = Context { domain: &self.target.domain, cache: &mut self.io.cache };
        login.begin(&mut cx, &mut out);
        self.io.write(id, &out);
        self.io.keep(out);
        if let Some(Some(client)) = self.io.clients.get_mut(id) {
            client.phase = Phase::LoggingIn(login);
        }
        Ok(())
    }

    fn readable<B: Behaviour>(&mut self, behaviour: &mut B, id: ClientId) -> Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = self.read_all(behaviour, id, &mut buffer);
        self.buffer = buffer;
        result
    }

    fn read_all<B: Behaviour>(
        &mut self,
        behaviour: &mut B,
        id: ClientId,
        buffer: &mut [u8],
    ) -> Result<()> {
        while let Some(Some(client)) = self.io.clients.get_mut(id) {
            match client.wire.read(buffer)? {
                Read::End => return self.ended(behaviour, id),
                Read::Last(count) => return self.take(behaviour, id, &buffer[..count]),
                Read::Bytes(count) => {
                    self.take(behaviour, id, &buffer[..count])?;
                    if let Some(Some(client)) = self.io.clients.get_mut(id) {
                        // A handshake answers on its own.
                        client.wire.flush()?;
                    }
                }
            }
        }
        Ok(())
    }

    fn ended<B: Behaviour>(&mut self, behaviour: &mut B, id: ClientId) -> Result<()> {
        let Some(Some(client)) = self.io.clients.get(id) else { return Ok(()) };
        let Phase::Closing = client.phase else { return Err(Error::Closed) };
        self.io.vanish(id);
        behaviour.closed(&mut self.io, id);
        Ok(())
    }

    /// Cuts what came into frames.
    fn take<B: Behaviour>(&mut self, behaviour: &mut B, id: ClientId, bytes: &[u8]) -> Result<()> {
        let mut rest = self.skip_sign(behaviour, id, bytes);
        while !rest.is_empty() {
            let Some(Some(client)) = self.io.clients.get_mut(id) else { return Ok(()) };
            match client.framer.scan(&LIMITS, rest).map_err(Error::Xml)? {
                Scan::Partial => {
                    if client.partial.capacity() == 0 {
                        client.partial = self.io.spare.pop().unwrap_or_default();
                    }
                    client.partial.extend_from_slice(rest);
                    return Ok(());
                }
                Scan::Complete { frame, length } => {
                    let (head, tail) = rest.split_at(length);
                    rest = tail;
                    if client.partial.is_empty() {
                        self.frame(behaviour, id, frame, head)?;
                        continue;
                    }
                    let mut whole = std::mem::take(&mut client.partial);
                    whole.extend_from_slice(head);
                    let result = self.frame(behaviour, id, frame, &whole);
                    self.io.keep(whole);
                    result?;
                }
            }
        }
        Ok(())
    }

    /// What is left behind a relay's sign that both ends are there.
    fn skip_sign<'a, B: Behaviour>(
        &mut self,
        behaviour: &mut B,
        id: ClientId,
        bytes: &'a [u8],
    ) -> &'a [u8] {
        let Some(Some(client)) = self.io.clients.get_mut(id) else { return bytes };
        let Phase::LoggingIn(login) = &mut client.phase else { return bytes };
        let Some(sign) = login.relayed(bytes) else { return bytes };
        client.skip_header();
        self.establish(behaviour, id);
        bytes.get(sign..).unwrap_or_default()
    }

    fn frame<B: Behaviour>(
        &mut self,
        behaviour: &mut B,
        id: ClientId,
        frame: Frame,
        bytes: &[u8],
    ) -> Result<()> {
        let Some(Some(client)) = self.io.clients.get_mut(id) else { return Ok(()) };
        match (&mut client.phase, frame) {
            (Phase::LoggingIn(_), _) => self.login_frame(behaviour, id, frame, bytes),
            (_, Frame::Whitespace) => Ok(()),
            (Phase::Closing, Frame::StreamClose) => self.ended(behaviour, id),
            (Phase::Closing | Phase::Connecting(_), _) => Ok(()),
            (Phase::Established, Frame::Element) => {
                self.stanza(behaviour, id, bytes);
                Ok(())
            }
            (Phase::Established, _) => Err(Error::unexpected("a stanza", bytes)),
        }
    }

    fn login_frame<B: Behaviour>(
        &mut self,
        behaviour: &mut B,
        id: ClientId,
        frame: Frame,
        bytes: &[u8],
    ) -> Result<()> {
        let mut out = self.io.spare.pop().unwrap_or_default();
        let Some(Some(client)) = self.io.clients.get_mut(id) else { return Ok(()) };
        let Phase::LoggingIn(login) = &mut client.phase else { return Ok(()) };
        let mut cx = Context { domain: &self.target.domain, cache: &mut self.io.cache };
        let step = login.frame(&mut cx, frame, bytes, &mut out)?;
        match step {
            Step::Restart => client.framer = Framer::new(),
            Step::Done | Step::More | Step::Stanza => {}
        }
        if !out.is_empty() {
            self.io.write(id, &out);
        }
        self.io.keep(out);
        match step {
            Step::Done => self.establish(behaviour, id),
            Step::Stanza => self.stanza(behaviour, id, bytes),
            Step::More | Step::Restart => {}
        }
        Ok(())
    }

    fn establish<B: Behaviour>(&mut self, behaviour: &mut B, id: ClientId) {
        let Some(Some(client)) = self.io.clients.get_mut(id) else { return };
        let phase = std::mem::replace(&mut client.phase, Phase::Established);
        let Phase::LoggingIn(login) = phase else { return };
        client.jid = login.jid().into();
        client.handled = login.plan().managed.then_some(0);
        self.counts.established += 1;
        behaviour.established(&mut self.io, id, login.plan());
    }

    fn stanza<B: Behaviour>(&mut self, behaviour: &mut B, id: ClientId, bytes: &[u8]) {
        let Some(Some(client)) = self.io.clients.get_mut(id) else { return };
        if let Some(handled) = &mut client.handled {
            match scan::name(bytes) {
                b"r" => {
                    let answer = format!("<a xmlns='urn:xmpp:sm:3' h='{handled}'/>");
                    return self.io.write(id, answer.as_bytes());
                }
                b"message" | b"presence" | b"iq" => *handled = handled.wrapping_add(1),
                _ => {}
            }
        }
        self.counts.stanzas += 1;
        behaviour.stanza(&mut self.io, id, bytes);
    }
}
