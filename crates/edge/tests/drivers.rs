//! What differs between drivers: choosing one, several rings, sockets that fall idle.

mod support;

use std::io::Write;
use std::time::Duration;

use jackdaw_edge::*;
use support::*;

/// More receive buffers than the kernel allows in a ring, so that setting it up fails.
fn impossible() -> UringConfig {
    UringConfig { buffers_per_ring: u16::MAX, ..UringConfig::default() }
}

#[test]
fn where_io_uring_cannot_be_set_up_epoll_serves_and_says_why() {
    let config = EdgeConfig { uring: impossible(), ..config(DriverChoice::Auto, 2) };
    let bench = Bench::start(config, echo);
    let mut stream = bench.connect();
    exchange(&mut stream, b"hello", b"hello");
    let stats = bench.edge.stats();
    assert_eq!(stats.drivers, [DriverKind::Epoll; 2]);
    assert!(stats.fallback.is_some());
    bench.stop();
}

#[test]
fn where_io_uring_is_demanded_its_failure_is_an_error() {
    let config = EdgeConfig { uring: impossible(), ..config(DriverChoice::IoUring, 2) };
    let started = Edge::start(config, |_, _| -> Lab { unreachable!("it does not start") });
    let error = started.err();
    assert!(matches!(error, Some(EdgeError::Driver { driver: DriverKind::IoUring, .. })));
}

#[test]
fn each_choice_gets_its_driver() {
    for (choice, kind) in [
        (DriverChoice::Auto, DriverKind::IoUring),
        (DriverChoice::IoUring, DriverKind::IoUring),
        (DriverChoice::Epoll, DriverKind::Epoll),
    ] {
        let bench = Bench::start(config(choice, 1), echo);
        let stats = bench.edge.stats();
        assert_eq!((stats.drivers, stats.fallback), (vec![kind], None));
        bench.stop();
    }
}

#[test]
fn a_worker_whose_table_is_full_opens_another_ring() {
    let uring = UringConfig { slots_per_ring: 40, ..UringConfig::default() };
    let config = EdgeConfig { uring, ..config(DriverChoice::IoUring, 1) };
    let bench = Bench::start(config, echo);
    let mut streams: Vec<_> = (0..200).map(|_| bench.connect()).collect();
    for round in 0..20 {
        for (number, stream) in streams.iter_mut().enumerate() {
            write!(stream, "{round}:{number};").expect("the edge reads");
        }
        for (number, stream) in streams.iter_mut().enumerate() {
            expect_bytes(stream, format!("{round}:{number};").as_bytes());
        }
    }
    // One at a time: the worker sleeps between them, whichever ring they are in.
    for stream in &mut streams {
        exchange(stream, b"wake up", b"wake up");
    }
    // What is free in a ring is used again before there is a new one.
    streams.drain(..100).for_each(drop);
    bench.await_stats(|total| total.connections == 100);
    streams.extend((0..100).map(|_| bench.connect()));
    for stream in &mut streams {
        exchange(stream, b"still there", b"still there");
    }
    drop(streams);
    bench.await_stats(|total| total.connections == 0);
    bench.stop();
}

#[test]
fn a_full_table_lets_clients_wait() {
    let uring = UringConfig { rings_max: 1, slots_per_ring: 4, ..UringConfig::default() };
    let config = EdgeConfig { uring, ..config(DriverChoice::IoUring, 1) };
    let bench = Bench::start(config, echo);
    let mut inside: Vec<_> = (0..4).map(|_| bench.connect_known()).collect();
    let mut waiting = bench.connect();
    waiting.write_all(b"anybody?").expect("the kernel takes it");
    for (stream, _) in &mut inside {
        exchange(stream, b"busy", b"busy");
    }
    bench.await_stats(|total| (total.connections, total.accept_errors) == (4, 0));
    inside.pop();
    expect_bytes(&mut waiting, b"anybody?");
    drop((inside, waiting));
    bench.stop();
}

#[test]
fn idle_sockets_wake_up_again_and_again() {
    let uring = UringConfig { idle: Duration::from_millis(60), ..UringConfig::default() };
    let config = EdgeConfig { uring, ..config(DriverChoice::IoUring, 1) };
    // Answers every byte after a pause in which the socket falls idle.
    let bench = Bench::start(config, |_, io, _, event| {
        match event {
            Event::Bytes(bytes) => {
                io.set_timer(Some(io.now() + Duration::from_millis(200)));
                return bytes.len();
            }
            Event::Timeout => io.write(|out| out.push(b'!')),
            _ => {}
        }
        0
    });
    let mut streams: Vec<_> = (0..20).map(|_| bench.connect()).collect();
    for _ in 0..3 {
        for stream in &mut streams {
            stream.write_all(b"x").expect("the edge reads");
        }
        for stream in &mut streams {
            expect_bytes(stream, b"!");
        }
    }
    drop(streams);
    bench.await_stats(|total| total.connections == 0);
    bench.stop();
}

#[test]
fn sockets_that_come_and_go_leave_nothing_behind() {
    on_every_driver(|driver| {
        let mut config = config(driver, 1);
        config.uring.slots_per_ring = 8;
        let bench = Bench::start(config, echo);
        for round in 0..300u32 {
            let mut stream = bench.connect();
            match round % 3 {
                0 => {}
                1 => exchange(&mut stream, b"hello", b"hello"),
                // Leaves with an answer under way.
                _ => stream.write_all(&[b'x'; 100_000]).expect("the edge reads"),
            }
        }
        bench.await_stats(|total| (total.connections, total.accepted) == (0, 300));
        let (_, id) = bench.connect_known();
        assert!(id.slot < 300, "slots are used again: {id:?}");
        bench.stop();
    });
}

#[test]
fn a_send_that_is_cut_off_gives_its_place_back() {
    let mut config = config(DriverChoice::IoUring, 1);
    config.uring.slots_per_ring = 1;
    config.limits.output_bytes_max = 64 << 20;
    let bench = Bench::start(config, |_, io, _, event| match event {
        Event::Bytes(bytes) => {
            // More than the peer, who does not read, will take.
            io.write(|out| out.resize(32 << 20, b'.'));
            io.set_timer(Some(io.now() + Duration::from_millis(30)));
            bytes.len()
        }
        Event::Timeout => {
            io.abort();
            0
        }
        _ => 0,
    });
    for _ in 0..5 {
        let (mut stream, _) = bench.connect_known();
        stream.write_all(b"x").expect("the edge reads");
        bench.await_stats(|total| total.connections == 0);
    }
    bench.stop();
}

/// Fewer buffers than clients that write at once, and fewer places for completions than there are
/// completions: receives end with ENOBUFS, the completion queue overflows, requests wait.
#[test]
fn a_ring_that_is_too_small_is_slow_and_loses_nothing() {
    let uring =
        UringConfig { buffers_per_ring: 1, completions_per_ring: 1, ..UringConfig::default() };
    let config = EdgeConfig { uring, ..config(DriverChoice::IoUring, 1) };
    let bench = Bench::start(config, echo);
    let mut streams: Vec<_> = (0..1_500).map(|_| bench.connect()).collect();
    for round in 0..3u8 {
        let text: Vec<u8> = (0..9_000u32).map(|at| (at as u8).wrapping_add(round)).collect();
        for stream in &mut streams {
            stream.write_all(&text).expect("the kernel takes it");
        }
        for stream in &mut streams {
            expect_bytes(stream, &text);
        }
    }
    drop(streams);
    bench.await_stats(|total| total.connections == 0);
    bench.stop();
}
