//! What the edge alone costs beside a hand-written epoll loop: CPU per relayed message.
//!
//! ```text
//! cargo run --release -p jackdaw-bench --example edge -- \
//!     [tls] [pairs [window [bytes [seconds [rounds]]]]]
//! ```
//!
//! Best under `taskset -c 0`: the load runs in a child process on core 1. Each of `pairs` pairs
//! keeps `window` messages of `bytes` bytes under way from its first connection, through the
//! server, to its second.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jackdaw_edge::*;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustls::{ClientConfig, ClientConnection};
use rustls_pki_types::ServerName;
use socket2::SockRef;

/// Every connection says first which pair it belongs to.
const HELLO: usize = 4;

#[derive(Clone, Copy)]
struct Load {
    pairs: usize,
    window: usize,
    bytes: usize,
    seconds: u64,
    tls: bool,
}

fn main() {
    let mut arguments = std::env::args().skip(1).peekable();
    let child = arguments.next_if(|argument| argument == "load").is_some();
    let tls = arguments.next_if(|argument| argument == "tls").is_some();
    let numbers: Vec<u64> = arguments.map(|text| text.parse().expect("a number")).collect();
    let number = |index: usize, default| numbers.get(index).copied().unwrap_or(default);
    let load = Load {
        pairs: number(0, 100) as usize,
        window: number(1, 1) as usize,
        bytes: number(2, 200) as usize,
        seconds: number(3, 3),
        tls,
    };
    if child {
        return run_load(load, number(4, 0) as u16);
    }
    println!("pairs {}, window {}, {} bytes", load.pairs, load.window, load.bytes);
    for _ in 0..number(4, 3) {
        measure("raw epoll", Load { tls: false, ..load }, raw_relay());
        for driver in [DriverChoice::Epoll, DriverChoice::IoUring] {
            let edge = edge_relay(driver, load.tls);
            measure(&format!("edge {driver:?}"), load, edge.addresses()[0]);
            edge.shutdown(Duration::ZERO);
        }
    }
}

/// Runs the load against a server in this process and says what it cost.
fn measure(name: &str, load: Load, address: SocketAddr) {
    let before = cpu();
    let messages = await_load(start_load(load, address.port()));
    let spent = cpu() - before;
    let micros = spent.as_secs_f64() * 1e6 / messages as f64;
    println!(
        "{name:14} {micros:6.2} us/message  {:9.0} messages/s",
        messages as f64 / load.seconds as f64
    );
}

fn start_load(load: Load, port: u16) -> Child {
    let Load { pairs, window, bytes, seconds, tls } = load;
    let numbers = [pairs as u64, window as u64, bytes as u64, seconds, u64::from(port)];
    let program = std::env::current_exe().expect("a program");
    Command::new("taskset")
        .args(["-c", "1"])
        .arg(program)
        .arg("load")
        .args(tls.then_some("tls"))
        .args(numbers.map(|number| number.to_string()))
        .stdout(Stdio::piped())
        .spawn()
        .expect("taskset is installed")
}

fn await_load(child: Child) -> u64 {
    let output = child.wait_with_output().expect("the load ends");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number of messages")
}

/// CPU time of this process, also of threads that have ended; in the kernel's ticks of 10 ms.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    // The name in parentheses may hold spaces; user and system time are 12 and 13 behind it.
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks = ticks.map(|field| field.parse::<u64>().expect("a number")).sum::<u64>();
    Duration::from_millis(ticks * 10)
}

// --- the edge ---

/// Hands what one connection of a pair says to the other, by mail as a router does.
#[derive(Default)]
struct Relay {
    waiting: HashMap<[u8; HELLO], ConnectionId>,
    spare: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Pair {
    other: Option<ConnectionId>,
}

enum Mail {
    Meet(ConnectionId),
    Bytes(Vec<u8>),
}

impl Protocol for Relay {
    type Connection = Pair;
    type Mail = Mail;

    fn open(&mut self, _: &mut Io<'_, Mail>, _: &Peer) -> Option<Pair> {
        Some(Pair::default())
    }

    fn bytes(&mut self, io: &mut Io<'_, Mail>, pair: &mut Pair, bytes: &[u8]) -> usize {
        if let Some(other) = pair.other {
            let mut buffer = self.spare.pop().unwrap_or_default();
            buffer.extend_from_slice(bytes);
            // A full queue would lose the message; the load keeps far below that.
            let _ = io.send(other, Mail::Bytes(buffer));
            return bytes.len();
        }
        let Some((hello, _)) = bytes.split_first_chunk::<HELLO>() else { return 0 };
        match self.waiting.remove(hello) {
            None => {
                self.waiting.insert(*hello, io.id());
            }
            Some(other) => {
                pair.other = Some(other);
                let _ = io.send(other, Mail::Meet(io.id()));
            }
        }
        HELLO
    }

    fn mail(&mut self, io: &mut Io<'_, Mail>, pair: &mut Pair, mail: Mail) {
        match mail {
            Mail::Meet(other) => {
                pair.other = Some(other);
                io.write(|out| out.push(b'!'));
            }
            Mail::Bytes(mut bytes) => {
                io.write(|out| out.extend_from_slice(&bytes));
                bytes.clear();
                self.spare.push(bytes);
            }
        }
    }

    fn undelivered(&mut self, _: &mut WorkerIo<'_, Mail>, _: ConnectionId, _: Mail) {}

    fn closed(&mut self, _: &mut Io<'_, Mail>, _: &mut Pair, _: CloseReason) -> Fate {
        Fate::Free
    }
}

fn edge_relay(driver: DriverChoice, tls: bool) -> RunningEdge<Mail> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut config = EdgeConfig {
        driver,
        workers: 1,
        ..EdgeConfig::new(vec![ListenerConfig::new("relay", any)])
    };
    if tls {
        let made = rcgen::generate_simple_self_signed(["relay.example".to_owned()]);
        let made = made.expect("a certificate");
        let (pem, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let certificate = Certificate::from_pem(&pem, &key).expect("just made");
        config.tls = Some(TlsConfig::new(TlsSettings::new(certificate)).expect("settings"));
        config.listeners[0].tls = TlsMode::Direct;
    }
    Edge::start(config, |_, _| Relay::default()).expect("the edge starts")
}

// --- by hand ---

/// The least that a relay can do: wait, read, write to the other one. Its thread ends with its
/// last connection.
fn raw_relay() -> SocketAddr {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || relay_by_hand(listener).expect("it relays"));
    address
}

fn relay_by_hand(mut listener: TcpListener) -> std::io::Result<()> {
    const LISTENER: Token = Token(usize::MAX);
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut streams: Vec<(TcpStream, Option<usize>)> = Vec::new();
    let mut waiting: HashMap<[u8; HELLO], usize> = HashMap::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut open = 0;
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    let token = Token(streams.len());
                    poll.registry().register(&mut stream, token, Interest::READABLE)?;
                    streams.push((stream, None));
                    open += 1;
                }
                continue;
            }
            let Token(index) = event.token();
            let count = match streams[index].0.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Ok(0) | Err(_) => {
                    open -= 1;
                    if open == 0 {
                        return Ok(());
                    }
                    continue;
                }
                Ok(count) => count,
            };
            if let Some(other) = streams[index].1 {
                streams[other].0.write_all(&buffer[..count])?;
                continue;
            }
            let hello = *buffer.first_chunk::<HELLO>().expect("HELLO bytes");
            if let Some(other) = waiting.remove(&hello) {
                streams[index].1 = Some(other);
                streams[other].1 = Some(index);
                streams[other].0.write_all(b"!")?;
            } else {
                waiting.insert(hello, index);
            }
        }
    }
}

// --- the load ---

/// A connection of the load, with TLS or without.
struct Wire {
    stream: TcpStream,
    tls: Option<ClientConnection>,
}

impl Wire {
    /// Connects and says which pair it is of.
    fn connect(address: SocketAddr, hello: usize, tls: Option<&Arc<ClientConfig>>) -> Wire {
        let stream = std::net::TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a socket");
        let name = ServerName::try_from("relay.example").expect("a name");
        let tls = tls.map(|config| ClientConnection::new(Arc::clone(config), name));
        let tls = tls.transpose().expect("a client");
        let mut wire = Wire { stream: TcpStream::from_std(stream), tls };
        if let Some(tls) = &mut wire.tls {
            tls.complete_io(&mut wire.stream).expect("a handshake");
        }
        wire.write(&(hello as u32).to_be_bytes());
        wire
    }

    fn write(&mut self, bytes: &[u8]) {
        let Some(tls) = &mut self.tls else {
            return self.stream.write_all(bytes).expect("room");
        };
        tls.writer().write_all(bytes).expect("room");
        while tls.wants_write() {
            tls.write_tls(&mut self.stream).expect("room");
        }
    }

    /// What has come; 0 is nothing.
    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let Some(tls) = &mut self.tls else {
            return self.stream.read(buffer).unwrap_or(0);
        };
        let mut count = 0;
        while let Ok(1..) = tls.read_tls(&mut self.stream) {
            tls.process_new_packets().expect("good records");
            while let Ok(more @ 1..) = tls.reader().read(&mut buffer[count..]) {
                count += more;
            }
        }
        count
    }
}

struct Flow {
    from: Wire,
    to: Wire,
    received: usize,
}

#[allow(clippy::disallowed_methods)] // A measurement reads the clock.
fn run_load(load: Load, port: u16) {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let tls = load.tls.then(jackdaw_loadtest::tls::config);
    let mut poll = Poll::new().expect("epoll");
    let message = vec![b'm'; load.bytes];
    let mut flows: Vec<Flow> = (0..load.pairs)
        .map(|pair| {
            // The one who was first hears when they have met.
            let mut to = Wire::connect(address, pair, tls.as_ref());
            let from = Wire::connect(address, pair, tls.as_ref());
            let nonblocking = SockRef::from(&to.stream).set_nonblocking(true);
            nonblocking.expect("a socket");
            while to.read(&mut [0; 16]) == 0 {
                std::thread::yield_now();
            }
            let interest = Interest::READABLE;
            poll.registry().register(&mut to.stream, Token(pair), interest).expect("epoll");
            Flow { from, to, received: 0 }
        })
        .collect();
    for flow in &mut flows {
        for _ in 0..load.window {
            flow.from.write(&message);
        }
    }
    let mut buffer = vec![0; 256 * 1024];
    let mut events = Events::with_capacity(1024);
    let mut messages = 0u64;
    let end = Instant::now() + Duration::from_secs(load.seconds);
    while Instant::now() < end {
        poll.poll(&mut events, Some(Duration::from_secs(1))).expect("epoll");
        for event in &events {
            let flow = &mut flows[event.token().0];
            flow.received += flow.to.read(&mut buffer);
            let whole = flow.received / load.bytes;
            flow.received %= load.bytes;
            messages += whole as u64;
            if whole > 0 {
                flow.from.write(&message.repeat(whole));
            }
        }
    }
    println!("{messages}");
}
