//! Bytes in, bytes out: the part of the contract that every connection uses.

mod support;

use std::io::{Read, Write};
use std::net::Shutdown;

use jackdaw_edge::Limits;
use support::*;

#[test]
fn what_comes_in_pieces_is_echoed_whole() {
    on_every_driver(|driver| {
        let bench = Bench::start(config(driver, 1), echo);
        let mut stream = bench.connect();
        for piece in [&b"a"[..], b"bc", b"", b"defghi", &[b'x'; 5000], &[b'y'; 300_000]] {
            exchange(&mut stream, piece, piece);
        }
        bench.stop();
    });
}

#[test]
fn output_before_the_peers_end_is_still_sent() {
    on_every_driver(|driver| {
        let bench = Bench::start(config(driver, 1), echo);
        let mut stream = bench.connect();
        stream.write_all(&[b'z'; 100_000]).expect("the edge reads");
        stream.shutdown(Shutdown::Write).expect("connected");
        let mut got = Vec::new();
        stream.read_to_end(&mut got).expect("an orderly end");
        assert_eq!(got.len(), 100_000);
        bench.stop();
    });
}

#[test]
fn two_thousand_connections_are_served_at_once() {
    on_every_driver(|driver| {
        let bench = Bench::start(config(driver, 2), echo);
        let mut streams: Vec<_> = (0..2000).map(|_| bench.connect()).collect();
        for round in 0..3 {
            for (number, stream) in streams.iter_mut().enumerate() {
                write!(stream, "{round}:{number};").expect("the edge reads");
            }
            for (number, stream) in streams.iter_mut().enumerate() {
                expect_bytes(stream, format!("{round}:{number};").as_bytes());
            }
        }
        bench.await_stats(|total| (total.connections, total.accepted) == (2000, 2000));
        drop(streams);
        bench.stop();
    });
}

#[test]
fn a_reader_that_pauses_gets_the_rest_when_it_resumes() {
    on_every_driver(|driver| {
        // Consumes three bytes, then nothing until mail comes.
        let bench = Bench::start(config(driver, 1), |lab, io, state, event| match event {
            Event::Bytes(bytes) if state.number == 0 => {
                state.number = 1;
                lab.tell(format!("first {}", String::from_utf8_lossy(&bytes[..3])));
                io.pause_reading();
                3
            }
            Event::Bytes(bytes) => {
                io.write(|out| out.extend_from_slice(bytes));
                bytes.len()
            }
            Event::Mail(_) => {
                io.resume_reading();
                0
            }
            _ => 0,
        });
        let (mut stream, id) = bench.connect_known();
        stream.write_all(b"abcdef").expect("the edge reads");
        assert_eq!(bench.hear(), "first abc");
        stream.write_all(b"ghi").expect("the kernel has room");
        bench.send(id, "go on");
        expect_bytes(&mut stream, b"defghi");
        stream.shutdown(Shutdown::Both).expect("connected");
        bench.stop();
    });
}

#[test]
fn bytes_left_over_without_a_pause_are_offered_with_the_next() {
    on_every_driver(|driver| {
        // Understands whole lines only.
        let bench = Bench::start(config(driver, 1), |lab, io, state, event| match event {
            Event::Bytes(bytes) => {
                let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                io.write(|out| out.extend_from_slice(&bytes[..whole]));
                whole
            }
            event => echo(lab, io, state, event),
        });
        let mut stream = bench.connect();
        exchange(&mut stream, b"one\ntw", b"one\n");
        exchange(&mut stream, b"o\nthr", b"two\n");
        exchange(&mut stream, b"ee\n", b"three\n");
        drop(stream);
        bench.stop();
    });
}

#[test]
fn input_nobody_consumes_closes_the_connection() {
    on_every_driver(|driver| {
        let bench = Bench::start(config(driver, 1), |lab, _, _, event| {
            if let Event::Closed(reason) = event {
                lab.tell(format!("closed {reason:?}"));
            }
            0
        });
        let mut stream = bench.connect();
        // The edge may close while we still write.
        let _ = stream.write_all(&vec![b'x'; 4 << 20]);
        assert_eq!(bench.hear(), "closed Overflow");
        bench.stop();
    });
}

#[test]
fn a_slow_reader_holds_the_writer_back_and_misses_nothing() {
    const TOTAL: usize = 20 << 20;
    on_every_driver(|driver| {
        // Writes until the high mark, goes on when told.
        let bench = Bench::start(config(driver, 1), |_, io, state, event| match event {
            Event::Bytes(_) | Event::Writable => {
                let high = Limits::default().output_high;
                while state.number < TOTAL && io.pending_out() <= high {
                    let piece = 10_000.min(TOTAL - state.number);
                    io.write(|out| out.resize(out.len() + piece, b'w'));
                    state.number += piece;
                }
                if state.number == TOTAL {
                    io.close();
                }
                1
            }
            _ => 0,
        });
        let mut stream = bench.connect();
        stream.write_all(b"!").expect("the edge reads");
        let mut got = 0;
        let mut buffer = vec![0; 50_000];
        loop {
            match stream.read(&mut buffer).expect("more in time") {
                0 => break,
                count => got += count,
            }
        }
        assert_eq!(got, TOTAL);
        drop(stream);
        bench.stop();
    });
}

#[test]
fn a_protocol_hears_when_the_kernel_has_taken_its_output_and_not_before() {
    /// More than a socket takes whose peer does not read, and less than is cut off.
    const MUCH: usize = 7 << 20;
    const LITTLE: usize = 10;
    on_every_driver(|driver| {
        let bench = Bench::start(config(driver, 1), |lab, io, _, event| match event {
            Event::Bytes(bytes) => {
                let size = if bytes.starts_with(b"much") { MUCH } else { LITTLE };
                io.write(|out| out.resize(out.len() + size, b'w'));
                lab.tell(format!("{size} in send {}", io.tell_when_sent()));
                bytes.len()
            }
            Event::Sent(send) => {
                lab.tell(format!("send {send}"));
                0
            }
            Event::Closed(_) => {
                lab.tell("closed");
                0
            }
            _ => 0,
        });
        let ask = |stream: &mut std::net::TcpStream, size: &str, expected: &str| {
            stream.write_all(size.as_bytes()).expect("the edge reads");
            assert_eq!(bench.hear(), expected);
        };
        let mut reads = bench.connect();
        ask(&mut reads, "little", "10 in send 1");
        assert_eq!(bench.hear(), "send 1");
        ask(&mut reads, "much", "7340032 in send 2");
        ask(&mut reads, "little", "10 in send 3");
        expect_bytes(&mut reads, &vec![b'w'; MUCH + 2 * LITTLE]);
        assert_eq!([bench.hear(), bench.hear()], ["send 2", "send 3"]);
        drop(reads);
        assert_eq!(bench.hear(), "closed");
        let mut leaves = bench.connect();
        ask(&mut leaves, "much", "7340032 in send 1");
        ask(&mut leaves, "little", "10 in send 2");
        drop(leaves);
        assert_eq!(bench.hear(), "closed", "and nothing was sent");
        bench.stop();
    });
}

#[test]
fn a_flood_into_a_paused_connection_waits_and_is_not_cut_off() {
    const TOTAL: usize = 4 << 20;
    on_every_driver(|driver| {
        // Takes one byte at first, then all there is, and pauses each time.
        let bench = Bench::start(config(driver, 1), |lab, io, state, event| match event {
            Event::Bytes(bytes) => {
                io.pause_reading();
                io.set_timer(Some(io.now() + std::time::Duration::from_millis(3)));
                let taken = if state.number == 0 { 1 } else { bytes.len() };
                state.number += taken;
                if state.number == TOTAL {
                    lab.tell("all");
                }
                taken
            }
            Event::Timeout => {
                io.resume_reading();
                0
            }
            Event::Closed(reason) => {
                lab.tell(format!("closed {reason:?}"));
                0
            }
            _ => 0,
        });
        let mut stream = bench.connect();
        stream.write_all(&vec![b'f'; TOTAL]).expect("the edge reads");
        assert_eq!(bench.hear(), "all");
        drop(stream);
        assert_eq!(bench.hear(), "closed PeerClosed");
        bench.stop();
    });
}
