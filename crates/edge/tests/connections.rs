//! Life of a connection: mail, timers, what is kept, what is refused, what goes wrong.

mod support;

use std::io::{Read, Write};
use std::time::Duration;

use jackdaw_edge::*;
use support::*;

/// Echoes, and reports why it was closed.
fn mourned(lab: &Lab, io: &mut LabIo<'_>, state: &mut State, event: Event<'_>) -> usize {
    if let Event::Closed(reason) = event {
        lab.tell(format!("closed {} {reason:?}", show(io.id())));
        return 0;
    }
    echo(lab, io, state, event)
}

#[test]
fn mail_reaches_connections_of_every_worker_in_order() {
    on_every_driver(|driver| {
        // Bytes name a connection and what to tell it.
        let bench = Bench::start(config(driver, 3), |lab, io, state, event| match event {
            Event::Bytes(bytes) => {
                let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                for line in String::from_utf8_lossy(&bytes[..whole]).lines() {
                    let (to, mail) = line.split_once(' ').expect("two words");
                    io.send(id(to), format!("{mail};")).expect("room");
                }
                whole
            }
            event => echo(lab, io, state, event),
        });
        let mut ends: Vec<_> = (0..12).map(|_| bench.connect_known()).collect();
        let ids: Vec<ConnectionId> = ends.iter().map(|(_, id)| *id).collect();
        for (number, (stream, _)) in ends.iter_mut().enumerate() {
            for to in &ids {
                write!(stream, "{} {number}a\n{} {number}b\n", show(*to), show(*to)).expect("open");
            }
        }
        for (stream, _) in &mut ends {
            let expected: usize = (0..12).map(|number| format!("{number}a;{number}b;").len()).sum();
            let mut got = vec![0; expected];
            stream.read_exact(&mut got).expect("all mail");
            let got = String::from_utf8(got).expect("text");
            for number in 0..12 {
                let (a, b) = (got.find(&format!("{number}a;")), got.find(&format!("{number}b;")));
                assert!(a.is_some() && a < b, "{got}");
            }
        }
        drop(ends);
        bench.stop();
    });
}

#[test]
fn local_mail_is_delivered_in_the_same_turn() {
    on_every_driver(|driver| {
        let bench = Bench::start(config(driver, 1), |lab, io, state, event| match event {
            Event::Bytes(bytes) => {
                state.number = 7;
                io.send(io.id(), format!("{:?}", io.now())).expect("room");
                bytes.len()
            }
            Event::Mail(sent_at) => {
                // The clock is read once per turn.
                lab.tell(format!("{} {}", state.number, sent_at == format!("{:?}", io.now())));
                0
            }
            _ => 0,
        });
        let mut stream = bench.connect();
        stream.write_all(b"x").expect("open");
        assert_eq!(bench.hear(), "7 true");
        drop(stream);
        bench.stop();
    });
}

#[test]
fn mail_to_the_dead_comes_back() {
    on_every_driver(|driver| {
        let bench = Bench::start(config(driver, 1), mourned);
        let (stream, first) = bench.connect_known();
        drop(stream);
        assert_eq!(bench.hear(), format!("closed {} PeerClosed", show(first)));
        // The slot is used again; the old id must not reach the new connection.
        let (_second_stream, second) = bench.connect_known();
        assert_eq!((second.slot, second.generation), (first.slot, first.generation + 1));
        bench.send(first, "hello");
        assert_eq!(bench.hear(), format!("undelivered {} hello", show(first)));
        bench.await_stats(|total| total.undelivered == 1);
        bench.stop();
    });
}

#[test]
fn workers_get_mail_of_their_own() {
    on_every_driver(|driver| {
        let bench = Bench::start(config(driver, 2), echo);
        bench.edge.mailbox().send_worker(1, "hello".to_owned()).expect("room");
        assert_eq!(bench.hear(), "worker 1 hello");
        assert!(bench.edge.mailbox().send_worker(2, String::new()).is_err());
        bench.stop();
    });
}

#[test]
fn a_timer_fires_once_and_not_before_its_time() {
    on_every_driver(|driver| {
        const AFTER: Duration = Duration::from_millis(120);
        let bench = Bench::start(config(driver, 1), |_, io, state, event| match event {
            Event::Bytes(bytes) => {
                // Set too early, then moved back: only the last one counts.
                io.set_timer(Some(io.now() + Duration::from_millis(30)));
                io.set_timer(Some(io.now() + AFTER));
                bytes.len()
            }
            Event::Timeout => {
                state.number += 1;
                let number = state.number;
                io.write(|out| write!(out, "{number}").expect("memory"));
                0
            }
            _ => 0,
        });
        let mut stream = bench.connect();
        for expect in ["1", "2"] {
            let began = now();
            exchange(&mut stream, b"x", expect.as_bytes());
            assert!(began.elapsed() >= AFTER, "{:?}", began.elapsed());
        }
        drop(stream);
        bench.stop();
    });
}

#[test]
fn a_cleared_timer_stays_silent() {
    on_every_driver(|driver| {
        let bench = Bench::start(config(driver, 1), |lab, io, _, event| {
            match event {
                Event::Bytes(b"clear") => {
                    io.set_timer(Some(io.now() + Duration::from_millis(20)));
                    io.set_timer(None);
                }
                Event::Bytes(_) => io.set_timer(Some(io.now() + Duration::from_millis(60))),
                Event::Timeout => lab.tell(format!("timeout {}", show(io.id()))),
                _ => {}
            }
            5
        });
        let (mut cleared, _) = bench.connect_known();
        let (mut kept, id) = bench.connect_known();
        cleared.write_all(b"clear").expect("open");
        kept.write_all(b"later").expect("open");
        assert_eq!(bench.hear(), format!("timeout {}", show(id)));
        bench.stop();
    });
}

#[test]
fn a_kept_connection_lives_on_without_its_socket_until_freed() {
    on_every_driver(|driver| {
        let bench = Bench::start(config(driver, 1), |lab, io, state, event| match event {
            Event::Closed(reason) => {
                lab.tell(format!("closed {reason:?}"));
                state.number = 3;
                io.set_timer(Some(io.now() + Duration::from_millis(20)));
                KEEP
            }
            Event::Timeout => {
                lab.tell(format!("timeout {}", state.number));
                io.write(|out| out.extend_from_slice(b"to nobody"));
                0
            }
            Event::Mail(mail) => {
                lab.tell(format!("mail {mail} {}", io.pending_out()));
                if mail == "free" {
                    io.free();
                }
                0
            }
            _ => 0,
        });
        let (stream, id) = bench.connect_known();
        bench.send(id, "free");
        assert_eq!(bench.hear(), "mail free 0", "no effect while there is a socket");
        drop(stream);
        assert_eq!(bench.hear(), "closed PeerClosed");
        assert_eq!(bench.hear(), "timeout 3");
        bench.send(id, "one");
        assert_eq!(bench.hear(), "mail one 0");
        bench.send(id, "free");
        assert_eq!(bench.hear(), "mail free 0");
        bench.send(id, "two");
        assert_eq!(bench.hear(), format!("undelivered {} two", show(id)));
        bench.await_stats(|total| (total.connections, total.kept) == (0, 0));
        bench.stop();
    });
}

#[test]
fn what_is_kept_is_bounded() {
    on_every_driver(|driver| {
        let mut config = config(driver, 1);
        config.limits.kept_max = 1;
        let bench = Bench::start(config, |lab, io, _, event| {
            if let Event::Closed(_) = event {
                lab.tell(format!("closed {}", show(io.id())));
                return KEEP;
            }
            1
        });
        let (first, kept) = bench.connect_known();
        let (second, freed) = bench.connect_known();
        drop(first);
        assert_eq!(bench.hear(), format!("closed {}", show(kept)));
        drop(second);
        assert_eq!(bench.hear(), format!("closed {}", show(freed)));
        bench.send(freed, "hello");
        assert_eq!(bench.hear(), format!("undelivered {} hello", show(freed)));
        bench.stop();
    });
}

#[test]
fn closing_sends_what_was_written_and_ends_the_stream() {
    on_every_driver(|driver| {
        let bench = Bench::start(config(driver, 1), |lab, io, state, event| match event {
            Event::Bytes(_) => {
                io.write(|out| out.resize(3_000_000, b'.'));
                io.close();
                io.write(|out| out.extend_from_slice(b"too late"));
                1
            }
            event => mourned(lab, io, state, event),
        });
        let (mut stream, id) = bench.connect_known();
        stream.write_all(b"bye").expect("open");
        let mut got = Vec::new();
        stream.read_to_end(&mut got).expect("an orderly end");
        assert_eq!(got.len(), 3_000_000);
        drop(stream);
        assert_eq!(bench.hear(), format!("closed {} Closed", show(id)));
        bench.stop();
    });
}

#[test]
fn a_peer_that_never_closes_is_cut_off_after_the_linger_time() {
    on_every_driver(|driver| {
        let mut config = config(driver, 1);
        config.limits.linger = Duration::from_millis(100);
        let bench = Bench::start(config, |lab, io, state, event| match event {
            Event::Bytes(bytes) => {
                io.close();
                bytes.len()
            }
            event => mourned(lab, io, state, event),
        });
        let (mut stream, id) = bench.connect_known();
        stream.write_all(b"x").expect("open");
        expect_end(&mut stream);
        assert_eq!(bench.hear(), format!("closed {} Closed", show(id)));
        bench.stop();
    });
}

#[test]
fn output_without_progress_closes_the_connection() {
    on_every_driver(|driver| {
        let mut config = config(driver, 1);
        config.limits.stall = Duration::from_millis(100);
        config.limits.output_bytes_max = 40_000_000;
        let bench = Bench::start(config, |lab, io, state, event| match event {
            Event::Bytes(bytes) => {
                // More than the socket buffers of both ends hold.
                io.write(|out| out.resize(30_000_000, b'.'));
                bytes.len()
            }
            event => mourned(lab, io, state, event),
        });
        let (mut stream, id) = bench.connect_known();
        stream.write_all(b"x").expect("open");
        assert_eq!(bench.hear(), format!("closed {} Stalled", show(id)));
        bench.await_stats(|total| total.stalled == 1);
        drop(stream);
        bench.stop();
    });
}

#[test]
fn too_much_waiting_output_closes_the_connection() {
    on_every_driver(|driver| {
        let mut config = config(driver, 1);
        config.limits.output_bytes_max = 1000;
        let bench = Bench::start(config, |lab, io, state, event| match event {
            Event::Bytes(bytes) => {
                io.write(|out| out.resize(1001, b'.'));
                bytes.len()
            }
            event => mourned(lab, io, state, event),
        });
        let (mut stream, id) = bench.connect_known();
        stream.write_all(b"x").expect("open");
        assert_eq!(bench.hear(), format!("closed {} Overflow", show(id)));
        bench.stop();
    });
}

#[test]
fn a_panic_closes_its_connection_and_no_other() {
    on_every_driver(|driver| {
        let bench = Bench::start(config(driver, 1), |lab, io, state, event| match event {
            Event::Bytes(b"panic") => panic!("as the test asked"),
            event => mourned(lab, io, state, event),
        });
        let (mut healthy, _) = bench.connect_known();
        let (mut victim, id) = bench.connect_known();
        victim.write_all(b"panic").expect("open");
        expect_end(&mut victim);
        assert_eq!(bench.hear(), format!("closed {} Panicked", show(id)));
        exchange(&mut healthy, b"still here", b"still here");
        bench.await_stats(|total| total.panics == 1);
        drop(healthy);
        bench.stop();
    });
}

#[test]
fn one_address_may_have_only_so_many() {
    on_every_driver(|driver| {
        let mut config = config(driver, 1);
        config.limits.connections_per_address_max = 2;
        let bench = Bench::start(config, mourned);
        let (mut first, id) = bench.connect_known();
        let (second, _) = bench.connect_known();
        let mut third = bench.connect();
        expect_end(&mut third);
        exchange(&mut first, b"still here", b"still here");
        drop(first);
        assert_eq!(bench.hear(), format!("closed {} PeerClosed", show(id)));
        let (mut fourth, _) = bench.connect_known();
        exchange(&mut fourth, b"let in", b"let in");
        bench.await_stats(|total| total.refused_address == 1);
        drop(second);
        bench.stop();
    });
}

#[test]
fn a_full_house_lets_clients_wait_until_others_leave() {
    on_every_driver(|driver| {
        let mut config = config(driver, 1);
        config.limits.connections_max = 3;
        let bench = Bench::start(config, mourned);
        let mut inside: Vec<_> = (0..3).map(|_| bench.connect_known()).collect();
        // The kernel connects it; the edge does not look at it yet.
        let mut waiting = bench.connect();
        waiting.write_all(b"anybody?").expect("the kernel takes it");
        exchange(&mut inside[0].0, b"busy", b"busy");
        bench.await_stats(|total| total.connections == 3);
        inside.pop();
        expect_bytes(&mut waiting, b"anybody?");
        drop(inside);
        drop(waiting);
        bench.stop();
    });
}

#[test]
fn the_accept_rate_slows_a_flood_and_refuses_nobody() {
    on_every_driver(|driver| {
        let mut config = config(driver, 1);
        config.limits.accepts_per_second_max = 20;
        let bench = Bench::start(config, echo);
        let began = now();
        let mut streams: Vec<_> = (0..30).map(|_| bench.connect()).collect();
        for stream in &mut streams {
            exchange(stream, b"x", b"x");
        }
        assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
        drop(streams);
        bench.stop();
    });
}

#[test]
fn a_stopped_edge_accepts_nobody_and_keeps_who_is_there() {
    on_every_driver(|driver| {
        let bench = Bench::start(config(driver, 1), echo);
        let mut inside = bench.connect();
        exchange(&mut inside, b"one", b"one");
        bench.edge.stop_accepting();
        exchange(&mut inside, b"two", b"two");
        let _outside = bench.connect();
        exchange(&mut inside, b"three", b"three");
        bench.await_stats(|total| total.accepted == 1);
        drop(inside);
        bench.stop();
    });
}

#[test]
fn shutting_down_says_good_bye_and_waits_for_it() {
    on_every_driver(|driver| {
        let bench = Bench::start(config(driver, 2), |lab, io, state, event| match event {
            Event::ShuttingDown => {
                io.write(|out| out.extend_from_slice(b"good-bye"));
                io.close();
                0
            }
            event => mourned(lab, io, state, event),
        });
        let mut streams: Vec<_> = (0..10).map(|_| bench.connect_known().0).collect();
        let Bench { edge, reports } = bench;
        let stopping = std::thread::spawn(move || edge.shutdown(PATIENCE));
        for stream in &mut streams {
            expect_bytes(stream, b"good-bye");
            expect_end(stream);
        }
        drop(streams);
        stopping.join().expect("no panic");
        let closed = reports.try_iter().filter(|report| report.starts_with("closed ")).count();
        assert_eq!(closed, 10);
    });
}

#[test]
fn shutting_down_does_not_wait_longer_than_told() {
    on_every_driver(|driver| {
        // Never closes.
        let bench = Bench::start(config(driver, 1), |lab, io, state, event| match event {
            Event::ShuttingDown => 0,
            event => mourned(lab, io, state, event),
        });
        let (mut stream, id) = bench.connect_known();
        let Bench { edge, reports } = bench;
        edge.shutdown(Duration::from_millis(50));
        assert_eq!(reports.try_iter().last(), Some(format!("closed {} Shutdown", show(id))));
        expect_end(&mut stream);
    });
}

#[test]
fn behind_a_proxy_the_client_is_who_the_header_names() {
    on_every_driver(|driver| {
        let mut config = config(driver, 1);
        config.listeners[0].proxy_protocol = true;
        let bench = Bench::start(config, echo);
        let mut stream = bench.connect();
        for piece in [&b"PROXY TCP4 192.0.2.1 "[..], b"192.0.2.2 4096 5222\r", b"\nhello"] {
            stream.write_all(piece).expect("open");
        }
        expect_bytes(&mut stream, b"hello");
        let opened = bench.next();
        assert!(opened.ends_with(" 192.0.2.1:4096 192.0.2.2:5222"), "{opened}");
        drop(stream);
        bench.stop();
    });
}

#[test]
fn behind_a_proxy_clients_count_by_their_own_address() {
    on_every_driver(|driver| {
        let mut config = config(driver, 1);
        config.listeners[0].proxy_protocol = true;
        config.limits.connections_per_address_max = 1;
        let bench = Bench::start(config, echo);
        // All from one proxy, which is no client.
        let mut streams: Vec<_> = (0..3).map(|_| bench.connect()).collect();
        for (client, stream) in streams.iter_mut().enumerate() {
            let header = format!("PROXY TCP4 192.0.2.{client} 192.0.2.9 4096 5222\r\nhello");
            stream.write_all(header.as_bytes()).expect("open");
            expect_bytes(stream, b"hello");
        }
        let mut again = bench.connect();
        again.write_all(b"PROXY TCP4 192.0.2.1 192.0.2.9 4097 5222\r\n").expect("open");
        expect_end(&mut again);
        bench.await_stats(|total| total.refused_address == 1);
        drop(streams);
        bench.stop();
    });
}

#[test]
fn behind_a_proxy_nobody_comes_without_a_header() {
    on_every_driver(|driver| {
        let mut config = config(driver, 1);
        config.listeners[0].proxy_protocol = true;
        config.limits.proxy_header = Duration::from_millis(50);
        let bench = Bench::start(config, echo);
        let mut rude = bench.connect();
        rude.write_all(b"<stream:stream>").expect("open");
        let mut silent = bench.connect();
        // Cut off, without a word; unread bytes make it a reset.
        let mut byte = [0];
        assert!(matches!(rude.read(&mut byte), Ok(0) | Err(_)));
        expect_end(&mut silent);
        drop(rude);
        drop(silent);
        assert!(bench.reports.try_recv().is_err(), "the protocol heard nothing");
        bench.stop();
    });
}
