use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::frame::{Control, Epoch, Worker};
use crate::link::Arrivals;

const OWNER: Incarnation = Incarnation(1);
const SOCKET: LinkId = LinkId { incarnation: Incarnation(2), worker: Worker::FIRST };
const SESSION: Generation = Generation { epoch: Epoch(5), counter: 1 };

fn tenure(epoch: u64) -> Tenure {
    Tenure { shard: Shard::new(3).expect("a shard"), epoch: Epoch(epoch) }
}

/// An owner and a socket node with nothing between them, and a session.
struct Bench {
    downlink: Downlink,
    arrivals: Arrivals,
    fences: [Fence; 2],
    now: Instant,
}

impl Bench {
    #[expect(clippy::disallowed_methods, reason = "an origin; nothing reads the clock after it")]
    fn new() -> Bench {
        let (mut downlink, mut arrivals) = (Downlink::default(), Arrivals::default());
        let fences = [Fence::default(), Fence::default()];
        downlink.open(&fences[0], tenure(5), SESSION, SOCKET, 1);
        downlink.handle_connected(SOCKET);
        arrivals.open(tenure(5).shard, SESSION, 1);
        Bench { downlink, arrivals, fences, now: Instant::now() }
    }

    fn deliver(&mut self, text: &'static str) {
        let stanza = Bytes::from_static(text.as_bytes());
        let parcel = Parcel { stanza, origin: None, origin_hash: 0, settle: 0 };
        self.downlink.deliver(SESSION, parcel).expect("room");
    }

    fn transmit(&mut self) -> Vec<Deliveries> {
        self.downlink.poll_transmit(self.now, SOCKET, usize::MAX, &self.fences[0])
    }

    /// What of these the socket node hands to the session.
    fn arrive(&mut self, batch: Vec<Deliveries>) -> String {
        for deliveries in batch {
            let handled = self.arrivals.handle_deliveries(OWNER, deliveries, &self.fences[1]);
            handled.expect("no violation");
        }
        let events = std::iter::from_fn(|| self.arrivals.poll_event());
        let texts = events.map(|event| String::from_utf8_lossy(&event.parcel.stanza).into_owned());
        texts.collect()
    }

    /// Carries the answers of the socket node.
    fn answer(&mut self) {
        for frame in self.arrivals.poll_answers(OWNER, 99, &self.fences[1]) {
            let from = SOCKET.incarnation;
            match frame {
                Control::DeliveryReceipt(receipt) => {
                    let handled =
                        self.downlink.handle_receipt(self.now, from, receipt, &self.fences[0]);
                    handled.expect("no violation");
                }
                Control::Gone(gone) => self.downlink.handle_gone(from, gone, &self.fences[0]),
                Control::Moved(moved) => drop(self.fences[0].see(moved.tenure)),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn a_session_takes_its_deliveries_once_and_in_order() {
    let mut bench = Bench::new();
    bench.deliver("a");
    let first = bench.transmit();
    bench.deliver("b");
    let second = bench.transmit();
    assert_eq!(bench.arrive(second.clone()), "");
    assert_eq!(bench.arrive(first), "a");
    assert_eq!(bench.arrive(second.clone()), "b");
    assert_eq!(bench.arrive(second), "");
    bench.answer();
    assert_eq!(bench.downlink.bytes(), 0);
}

#[test]
fn what_was_lost_is_sent_again() {
    let mut bench = Bench::new();
    bench.deliver("a");
    drop(bench.transmit());
    bench.now += Duration::from_secs(1);
    bench.downlink.handle_timeout(bench.now);
    let again = bench.transmit();
    assert_eq!(bench.arrive(again), "a");
}

#[test]
fn a_cut_stream_starts_from_the_first_unreceived() {
    let mut bench = Bench::new();
    bench.deliver("a");
    let batch = bench.transmit();
    bench.arrive(batch);
    bench.answer();
    bench.deliver("b");
    drop(bench.transmit());
    bench.downlink.handle_disconnected(SOCKET);
    assert!(bench.transmit().is_empty());
    bench.downlink.handle_connected(SOCKET);
    let batch = bench.transmit();
    assert_eq!(batch[0].first, 2);
    assert_eq!(bench.arrive(batch), "b");
}

#[test]
fn a_session_that_is_not_there_is_gone() {
    let mut bench = Bench::new();
    bench.arrivals.close(SESSION);
    bench.deliver("a");
    let batch = bench.transmit();
    assert_eq!(bench.arrive(batch), "");
    bench.answer();
    assert_eq!(bench.downlink.poll_event(), Some(DownlinkEvent::Gone(SESSION)));
    assert_eq!(bench.downlink.close(SESSION).len(), 1, "it is given back");
}

#[test]
fn a_socket_node_that_knows_a_higher_epoch_deposes_the_owner() {
    let mut bench = Bench::new();
    bench.fences[1].see(tenure(9));
    bench.deliver("a");
    let batch = bench.transmit();
    assert_eq!(bench.arrive(batch), "");
    bench.answer();
    bench.deliver("b");
    assert!(bench.transmit().is_empty());
    assert_eq!(bench.downlink.poll_event(), Some(DownlinkEvent::Deposed(SESSION)));
}

#[test]
fn the_next_owner_goes_on_with_the_same_numbers() {
    let mut bench = Bench::new();
    bench.deliver("a");
    let batch = bench.transmit();
    bench.deliver("b");
    assert_eq!(bench.arrive(batch), "a");
    let states = bench.downlink.hand_over(tenure(5).shard);
    for state in states {
        bench.downlink.install(&bench.fences[0], tenure(9), state);
    }
    let batch = bench.transmit();
    assert_eq!((batch[0].first, batch[0].tenure.epoch), (1, Epoch(9)));
    assert_eq!(bench.arrive(batch), "b");
}

#[test]
fn a_session_at_its_bound_gives_the_stanza_back() {
    let mut bench = Bench::new();
    let stanza = Bytes::from(vec![b'x'; 100_000]);
    let parcel = Parcel { stanza, origin: None, origin_hash: 0, settle: 0 };
    assert_eq!(bench.downlink.deliver(SESSION, parcel.clone()), Ok(1));
    assert_eq!(bench.downlink.deliver(SESSION, parcel.clone()), Ok(2));
    assert_eq!(bench.downlink.deliver(SESSION, parcel.clone()), Err(Box::new(parcel)));
}
