//! A laboratory: a protocol whose behaviour each test gives as one function, and what it takes
//! to run it on every driver.
#![allow(dead_code)] // Each test file uses a part of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use jackdaw_edge::*;

/// Longer than anything here takes, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What a connection is told.
pub enum Event<'a> {
    Bytes(&'a [u8]),
    Mail(String),
    Secured(&'a TlsInfo),
    Timeout,
    Writable,
    Sent(u8),
    ShuttingDown,
    Closed(CloseReason),
}

/// State of one connection: a number that the script may use as it likes.
#[derive(Default)]
pub struct State {
    pub number: usize,
}

pub type LabIo<'a> = Io<'a, String>;
type Script = dyn Fn(&Lab, &mut LabIo<'_>, &mut State, Event<'_>) -> usize + Send + Sync + 'static;

/// The protocol: asks the script, and reports to the test.
pub struct Lab {
    script: Arc<Script>,
    reports: Sender<String>,
}

impl Lab {
    /// Reports to the test.
    pub fn tell(&self, what: impl Into<String>) {
        // A test that has seen enough may be gone.
        let _ = self.reports.send(what.into());
    }

    fn ask(&self, io: &mut LabIo<'_>, state: &mut State, event: Event<'_>) -> usize {
        (Arc::clone(&self.script))(self, io, state, event)
    }
}

impl Protocol for Lab {
    type Connection = State;
    type Mail = String;

    fn open(&mut self, io: &mut LabIo<'_>, peer: &Peer) -> Option<State> {
        self.tell(format!("open {} {} {}", show(io.id()), peer.address, peer.local));
        Some(State::default())
    }

    fn bytes(&mut self, io: &mut LabIo<'_>, state: &mut State, bytes: &[u8]) -> usize {
        self.ask(io, state, Event::Bytes(bytes))
    }

    fn secured(&mut self, io: &mut LabIo<'_>, state: &mut State, tls: &TlsInfo) {
        self.ask(io, state, Event::Secured(tls));
    }

    fn timeout(&mut self, io: &mut LabIo<'_>, state: &mut State) {
        self.ask(io, state, Event::Timeout);
    }

    fn mail(&mut self, io: &mut LabIo<'_>, state: &mut State, mail: String) {
        self.ask(io, state, Event::Mail(mail));
    }

    fn undelivered(&mut self, _: &mut WorkerIo<'_, String>, to: ConnectionId, mail: String) {
        self.tell(format!("undelivered {} {mail}", show(to)));
    }

    fn worker_mail(&mut self, io: &mut WorkerIo<'_, String>, mail: String) {
        self.tell(format!("worker {} {mail}", io.worker()));
    }

    fn writable(&mut self, io: &mut LabIo<'_>, state: &mut State) {
        self.ask(io, state, Event::Writable);
    }

    fn sent(&mut self, io: &mut LabIo<'_>, state: &mut State, send: u8) {
        self.ask(io, state, Event::Sent(send));
    }

    fn shutting_down(&mut self, io: &mut LabIo<'_>, state: &mut State) {
        self.ask(io, state, Event::ShuttingDown);
    }

    fn closed(&mut self, io: &mut LabIo<'_>, state: &mut State, reason: CloseReason) -> Fate {
        match self.ask(io, state, Event::Closed(reason)) {
            KEEP => Fate::Keep,
            _ => Fate::Free,
        }
    }
}

/// What a script answers to `Closed` to keep its state.
pub const KEEP: usize = usize::MAX;

/// An id as text, for mail and reports.
pub fn show(id: ConnectionId) -> String {
    format!("{}/{}/{}", id.worker, id.slot, id.generation)
}

/// The inverse of [`show`].
pub fn id(text: &str) -> ConnectionId {
    let mut parts = text.split('/').map(|part| part.parse::<u32>().expect("a number"));
    let mut next = || parts.next().expect("three numbers");
    ConnectionId { worker: next() as u16, slot: next(), generation: next() }
}

/// A script that sends back what it gets.
pub fn echo(_: &Lab, io: &mut LabIo<'_>, _: &mut State, event: Event<'_>) -> usize {
    match event {
        Event::Bytes(bytes) => {
            io.write(|out| out.extend_from_slice(bytes));
            bytes.len()
        }
        Event::ShuttingDown => {
            io.close();
            0
        }
        Event::Mail(mail) => {
            io.write(|out| out.extend_from_slice(mail.as_bytes()));
            0
        }
        Event::Secured(_)
        | Event::Timeout
        | Event::Writable
        | Event::Sent(_)
        | Event::Closed(_) => 0,
    }
}

/// A running edge and what its protocol reported.
pub struct Bench {
    pub edge: RunningEdge<String>,
    pub reports: Receiver<String>,
}

impl Bench {
    pub fn start(
        config: EdgeConfig,
        script: impl Fn(&Lab, &mut LabIo<'_>, &mut State, Event<'_>) -> usize + Send + Sync + 'static,
    ) -> Bench {
        let (sender, reports) = channel();
        let script: Arc<Script> = Arc::new(script);
        let edge = Edge::start(config, move |_, _| Lab {
            script: Arc::clone(&script),
            reports: sender.clone(),
        });
        Bench { edge: edge.expect("the edge starts"), reports }
    }

    pub fn address(&self) -> SocketAddr {
        self.edge.addresses()[0]
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.address())
    }

    /// Connects and waits until the protocol knows; the id is the server's.
    pub fn connect_known(&self) -> (TcpStream, ConnectionId) {
        let stream = self.connect();
        let local = stream.local_addr().expect("connected").to_string();
        loop {
            let report = self.next();
            let words: Vec<&str> = report.split(' ').collect();
            if words[0] == "open" && words[2] == local {
                return (stream, id(words[1]));
            }
        }
    }

    /// The next report.
    pub fn next(&self) -> String {
        self.reports.recv_timeout(PATIENCE).expect("a report in time")
    }

    /// The next report that does not speak of a connection being opened.
    pub fn hear(&self) -> String {
        loop {
            let report = self.next();
            if !report.starts_with("open ") {
                return report;
            }
        }
    }

    /// Waits until the published counters are as expected.
    pub fn await_stats(&self, expected: impl Fn(&WorkerStats) -> bool) {
        let began = now();
        while !expected(&self.edge.stats().total) {
            assert!(began.elapsed() < PATIENCE, "{:?}", self.edge.stats().total);
            std::thread::yield_now();
        }
    }

    pub fn send(&self, to: ConnectionId, mail: &str) {
        assert_eq!(self.edge.mailbox().send(to, mail.to_owned()), Ok(()));
    }

    /// Ends the edge, cutting off who is left.
    pub fn stop(self) {
        self.edge.shutdown(Duration::ZERO);
    }
}

/// Connects with a time limit on every read, so that a test that would hang fails.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.set_nodelay(true).expect("a socket");
    stream
}

/// A configuration with one plain listener on any loopback port.
pub fn config(driver: DriverChoice, workers: u16) -> EdgeConfig {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    EdgeConfig {
        driver,
        workers,
        limits: Limits { linger: PATIENCE, ..Limits::default() },
        ..EdgeConfig::new(vec![ListenerConfig::new("test", any)])
    }
}

/// Every driver.
const DRIVERS: &[DriverChoice] = &[DriverChoice::Epoll, DriverChoice::IoUring];

/// Runs a test on every driver.
pub fn on_every_driver(test: impl Fn(DriverChoice)) {
    for &driver in DRIVERS {
        eprintln!("on {driver:?}");
        test(driver);
    }
}

/// The time.
#[allow(clippy::disallowed_methods)] // Tests of sockets run in real time.
pub fn now() -> Instant {
    Instant::now()
}

/// Sends, and expects exactly this in return.
pub fn exchange(stream: &mut TcpStream, send: &[u8], expect: &[u8]) {
    stream.write_all(send).expect("the peer reads");
    expect_bytes(stream, expect);
}

pub fn expect_bytes(stream: &mut impl Read, expect: &[u8]) {
    let mut got = vec![0; expect.len()];
    stream.read_exact(&mut got).expect("an answer in time");
    assert!(got == expect, "got {:?}", String::from_utf8_lossy(&got));
}

/// Expects the end of the stream, and nothing before it.
pub fn expect_end(stream: &mut impl Read) {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("an orderly end");
    assert!(rest.is_empty(), "got {:?}", String::from_utf8_lossy(&rest));
}
