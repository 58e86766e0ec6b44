//! Many clients that do everything at the wrong moment. What counts is what is left afterwards.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use jackdaw_edge::*;
use socket2::SockRef;
use support::*;

/// A small generator of reproducible mischief (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Connects and misbehaves, a few hundred times. Errors are part of it.
fn be_rude(address: SocketAddr, seed: u64) {
    let mut dice = Dice(seed);
    for _ in 0..150 {
        let Ok(mut stream) = TcpStream::connect(address) else { continue };
        let _ = stream.set_read_timeout(Some(Duration::from_millis(20)));
        for _ in 0..dice.roll(4) {
            let _ = match dice.roll(6) {
                0 => stream.write_all(b"starttls"),
                1 => stream.write_all(&vec![b'x'; dice.roll(200_000) as usize]),
                2 => stream.write_all(b"close"),
                3 => stream.write_all(b"panic"),
                4 => stream.shutdown(Shutdown::Write),
                _ => stream.read(&mut [0; 5000]).map(drop),
            };
        }
        if dice.roll(2) == 0 {
            // Leaves with a reset.
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
    }
}

fn suffer(lab: &Lab, io: &mut LabIo<'_>, state: &mut State, event: Event<'_>) -> usize {
    match event {
        Event::Bytes(bytes) if bytes.starts_with(b"starttls") => {
            io.start_tls();
            8
        }
        Event::Bytes(bytes) if bytes.starts_with(b"close") => {
            io.close();
            5
        }
        Event::Bytes(bytes) if bytes.starts_with(b"panic") => {
            std::panic::resume_unwind(Box::new("quietly"));
        }
        Event::Bytes(bytes) => {
            state.number += bytes.len();
            if state.number.is_multiple_of(3) {
                io.pause_reading();
                io.set_timer(Some(io.now() + Duration::from_millis(5)));
            }
            io.send(io.id(), "a word to myself".to_owned()).expect("room");
            io.write(|out| out.extend_from_slice(bytes));
            bytes.len()
        }
        Event::Mail(_) => 0,
        Event::Timeout => {
            io.resume_reading();
            0
        }
        Event::Closed(_) if state.number % 5 == 1 => {
            io.set_timer(Some(io.now() + Duration::from_millis(10)));
            state.number = 0;
            KEEP
        }
        event => echo(lab, io, state, event),
    }
}

#[test]
fn a_crowd_of_rude_clients_leaves_nothing_behind() {
    let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).expect("a pair");
    let certificate = Certificate::from_pem(&made.cert.pem(), &made.signing_key.serialize_pem());
    let tls = TlsConfig::new(TlsSettings::new(certificate.expect("just made"))).expect("settings");
    on_every_driver(|driver| {
        let mut config = config(driver, 2);
        config.listeners[0].tls = TlsMode::StartTls;
        config.tls = Some(tls.clone());
        // Few enough that the crowd goes over into other rings.
        config.uring.slots_per_ring = 4;
        config.uring.idle = Duration::from_millis(60);
        config.limits.stall = Duration::from_millis(200);
        config.limits.handshake = Duration::from_millis(200);
        // Without a socket, the second timeout frees it.
        let bench = Bench::start(config, |lab, io, state, event| match event {
            Event::Timeout if io.pending_out() == 0 && state.number == 0 => {
                io.free();
                0
            }
            event => suffer(lab, io, state, event),
        });
        let (mut healthy, _) = bench.connect_known();
        let address = bench.address();
        let crowd: Vec<_> =
            (1..=6).map(|seed| std::thread::spawn(move || be_rude(address, seed * 7919))).collect();
        while crowd.iter().any(|client| !client.is_finished()) {
            exchange(&mut healthy, b"still well", b"still well");
        }
        crowd.into_iter().for_each(|client| client.join().expect("no panic"));
        drop(healthy);
        bench.await_stats(|total| {
            let kept = (total.connections, total.kept, total.slots, total.timers);
            (kept, total.sockets, total.sending) == ((0, 0, 0, 0), 0, 0)
        });
        assert!(bench.edge.is_running());
        bench.stop();
    });
}

/// Comes, is answered, takes leave, and is gone before the other side has shut.
fn come_and_go(address: SocketAddr) {
    for _ in 0..400 {
        let mut stream = connect(address);
        exchange(&mut stream, b"hello", b"hello");
        exchange(&mut stream, b"bye", b"bye");
    }
}

#[test]
fn a_socket_is_not_shut_in_place_of_the_one_before_it() {
    on_every_driver(|driver| {
        // By length: a buffer of the ring may end in the middle of a word.
        let bench = Bench::start(config(driver, 1), |lab, io, state, event| {
            if let Event::Bytes(bytes) = &event {
                state.number += bytes.len();
            }
            let taken = echo(lab, io, state, event);
            if state.number == b"hello".len() + b"bye".len() {
                io.close();
            }
            taken
        });
        let address = bench.address();
        let crowd: Vec<_> =
            (0..8).map(|_| std::thread::spawn(move || come_and_go(address))).collect();
        crowd.into_iter().for_each(|client| client.join().expect("every greeting is answered"));
        bench.stop();
    });
}
