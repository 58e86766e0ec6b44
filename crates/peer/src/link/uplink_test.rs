use std::time::{Duration, Instant};

use bytes::Bytes;

use super::*;
use crate::frame::{Entry, Generation, Origin, Range, Stanza};

const OWNER: Incarnation = Incarnation(7);

fn shard() -> Shard {
    Shard::new(3).expect("a shard")
}

fn tenure(epoch: u64) -> Tenure {
    Tenure { shard: shard(), epoch: Epoch(epoch) }
}

fn stanza(bytes: usize) -> Item {
    let session = Generation { epoch: Epoch(1), counter: 1 };
    let origin = Some(Origin { session, inbound: 1 });
    Item::Stanza(Stanza { origin, stanza: Bytes::from(vec![b'x'; bytes]) })
}

/// An uplink with one owner, a clock that is moved by hand, and one session.
struct Bench {
    uplink: Uplink,
    fence: Fence,
    now: Instant,
}

const SESSION: Local = Local(1);

impl Bench {
    fn new() -> Bench {
        Bench::bounded(SHARD_BYTES_MAX)
    }

    #[expect(clippy::disallowed_methods, reason = "an origin; nothing reads the clock after it")]
    fn bounded(shard_bytes_max: usize) -> Bench {
        let usual = UplinkConfig::new(Worker::default(), 1 << 30);
        let mut uplink = Uplink::new(UplinkConfig { shard_bytes_max, ..usual });
        let fence = Fence::default();
        uplink.assign(&fence, tenure(5), OWNER);
        uplink.handle_connected(OWNER);
        Bench { uplink, fence, now: Instant::now() }
    }

    fn send(&mut self, count: usize) {
        for _ in 0..count {
            self.uplink.send(shard(), Some(SESSION), stanza(10)).expect("room");
        }
    }

    /// What goes out: the first number, and how many.
    fn sent(&mut self) -> Vec<(u64, usize)> {
        let batch = self.uplink.poll_transmit(self.now, OWNER, usize::MAX);
        batch.iter().map(|sends| (sends.first, sends.entries.len())).collect()
    }

    fn receipt(&mut self, next: u64, missed: bool) -> Result<(), Violation> {
        let receipt = Receipt { tenure: tenure(5), worker: Worker::default(), next, missed };
        self.uplink.handle_receipt(self.now, OWNER, receipt, &self.fence)
    }

    fn accept(&mut self, first: u64, count: u64) -> Result<(), Violation> {
        self.accept_at(5, first, count)
    }

    fn accept_at(&mut self, epoch: u64, first: u64, count: u64) -> Result<(), Violation> {
        let ranges = vec![Range { first, count }];
        let accepts = Accepts { tenure: tenure(epoch), worker: Worker::default(), ranges };
        self.uplink.handle_accepts(self.now, OWNER, &accepts, &self.fence)
    }

    fn handled(&mut self) -> Vec<u64> {
        let events = std::iter::from_fn(|| self.uplink.poll_event());
        let handled = events.filter_map(|event| match event {
            UplinkEvent::Accepted { handled, .. } => Some(handled),
            UplinkEvent::Writable(_) => None,
        });
        handled.collect()
    }
}

#[test]
fn what_waits_goes_in_one_run() {
    let mut bench = Bench::new();
    bench.send(3);
    assert_eq!(bench.sent(), [(1, 3)]);
    bench.send(2);
    assert_eq!(bench.sent(), [(4, 2)]);
    assert_eq!(bench.sent(), []);
}

#[test]
fn h_takes_the_contiguous_prefix_of_its_session() {
    let mut bench = Bench::new();
    bench.send(3);
    bench.sent();
    bench.accept(2, 2).expect("sent");
    assert_eq!(bench.handled(), []);
    bench.accept(1, 1).expect("sent");
    assert_eq!(bench.handled(), [3]);
    assert!(bench.uplink.is_empty());
}

#[test]
fn a_prefix_runs_across_shards() {
    let mut bench = Bench::new();
    let other = Shard::new(4).expect("a shard");
    bench.uplink.send(other, Some(SESSION), stanza(1)).expect("room");
    bench.send(1);
    bench.sent();
    bench.accept(1, 1).expect("sent");
    assert_eq!(bench.handled(), [], "the stanza for the other shard came first");
}

#[test]
fn what_is_missed_is_sent_again_with_gaps_for_what_is_accepted() {
    let mut bench = Bench::new();
    bench.send(4);
    bench.sent();
    bench.accept(3, 1).expect("sent");
    bench.receipt(2, true).expect("sent");
    let batch = bench.uplink.poll_transmit(bench.now, OWNER, usize::MAX);
    assert_eq!((batch[0].floor, batch[0].first), (1, 2));
    let gaps: Vec<bool> =
        batch[0].entries.iter().map(|entry| matches!(entry, Entry::Gap(1))).collect();
    assert_eq!(gaps, [false, true, false]);
}

#[test]
fn silence_makes_it_send_again_ever_more_rarely() {
    let mut bench = Bench::new();
    bench.send(2);
    bench.sent();
    let mut waits = Vec::new();
    for _ in 0..6 {
        let when = bench.uplink.poll_timeout().expect("an answer is due");
        waits.push((when - bench.now).as_millis());
        bench.now = when;
        bench.uplink.handle_timeout(when);
        assert_eq!(bench.sent(), [(1, 2)]);
    }
    assert_eq!(waits, [500, 1000, 2000, 4000, 4000, 4000]);
}

#[test]
fn what_is_received_and_not_accepted_is_asked_for_and_not_sent_again() {
    let mut bench = Bench::new();
    bench.send(2);
    bench.sent();
    bench.receipt(3, false).expect("sent");
    bench.now += Duration::from_secs(10);
    bench.uplink.handle_timeout(bench.now);
    assert_eq!(bench.sent(), [(3, 0)]);
}

#[test]
fn a_new_owner_gets_what_is_not_received_and_can_ask_for_more() {
    let mut bench = Bench::new();
    bench.send(3);
    bench.sent();
    bench.receipt(3, false).expect("sent");
    let next = Incarnation(8);
    bench.uplink.handle_connected(next);
    let moved = Moved { tenure: tenure(9), owner: Some(next) };
    bench.uplink.handle_moved(moved, &bench.fence);
    let batch = bench.uplink.poll_transmit(bench.now, next, usize::MAX);
    assert_eq!((batch[0].first, batch[0].tenure.epoch), (3, Epoch(9)));
    let missed = Receipt { tenure: tenure(9), worker: Worker::default(), next: 1, missed: true };
    bench.uplink.handle_receipt(bench.now, next, missed, &bench.fence).expect("sent");
    assert_eq!(bench.uplink.poll_transmit(bench.now, next, usize::MAX)[0].entries.len(), 3);
}

#[test]
fn an_accept_of_a_lower_epoch_is_refused() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.sent();
    bench.fence.see(tenure(9));
    bench.accept(1, 1).expect("no violation");
    assert_eq!(bench.handled(), []);
    assert!(!bench.uplink.is_empty());
}

#[test]
fn an_assignment_of_a_lower_epoch_is_ignored() {
    let mut bench = Bench::new();
    bench.uplink.assign(&bench.fence, tenure(4), Incarnation(9));
    assert_eq!(bench.uplink.epoch(shard()), Some(Epoch(5)));
}

#[test]
fn a_session_at_its_bound_gets_its_stanza_back_until_half_is_free() {
    let mut bench = Bench::new();
    let mut count = 0;
    while bench.uplink.send(shard(), Some(SESSION), stanza(1000)).is_ok() {
        count += 1;
    }
    assert_eq!(count, (SESSION_BYTES_MAX / (1000 + ENTRY_BYTES)) as u64);
    bench.sent();
    bench.accept(1, count / 4).expect("sent");
    let writable = |bench: &mut Bench| {
        std::iter::from_fn(|| bench.uplink.poll_event())
            .any(|event| event == UplinkEvent::Writable(SESSION))
    };
    assert!(!writable(&mut bench));
    bench.accept(1 + count / 4, count / 2).expect("sent");
    assert!(writable(&mut bench));
}

#[test]
fn a_shard_at_its_bound_stops_all_who_write_to_it_and_nobody_else() {
    let mut bench = Bench::bounded(1000);
    let offer = |bench: &mut Bench, session| {
        bench.uplink.send(shard(), Some(Local(session)), stanza(500)).is_ok()
    };
    assert!(offer(&mut bench, 1));
    assert!(!offer(&mut bench, 2));
    assert!(!offer(&mut bench, 3));
    let other = Shard::new(4).expect("a shard");
    assert!(bench.uplink.send(other, Some(Local(2)), stanza(500)).is_ok());
    bench.sent();
    bench.accept(1, 1).expect("sent");
    let events: Vec<_> = std::iter::from_fn(|| bench.uplink.poll_event()).collect();
    for session in [2, 3] {
        assert!(events.contains(&UplinkEvent::Writable(Local(session))), "{events:?}");
    }
}

#[test]
fn an_evicted_session_leaves_gaps_and_no_bytes() {
    let mut bench = Bench::new();
    bench.send(3);
    bench.sent();
    bench.accept(1, 1).expect("sent");
    assert_eq!(bench.uplink.withdraw(SESSION), 1);
    assert!(bench.uplink.is_empty());
    assert_eq!(bench.handled(), [1]);
}

#[test]
fn answers_to_what_was_never_sent_are_violations() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.sent();
    assert_eq!(bench.receipt(3, false), Err(Violation::Unsent));
    assert_eq!(bench.accept(1, 2), Err(Violation::Unsent));
    assert_eq!(bench.accept(1, 0), Err(Violation::Ranges));
}
