use bytes::Bytes;

use super::*;
use crate::frame::{Accepts, Entry, Receipt, Stanza, Worker};

const SENDER: LinkId = LinkId { incarnation: Incarnation(2), worker: Worker::FIRST };

fn shard() -> Shard {
    Shard::new(3).expect("a shard")
}

fn tenure(epoch: u64) -> Tenure {
    Tenure { shard: shard(), epoch: Epoch(epoch) }
}

fn item() -> Entry {
    Entry::Item(Item::Stanza(Stanza { origin: None, stanza: Bytes::from_static(b"<message/>") }))
}

/// An owner at epoch 5.
struct Bench {
    intake: Intake,
    fence: Fence,
}

impl Bench {
    fn new() -> Bench {
        let mut bench = Bench { intake: Intake::default(), fence: Fence::default() };
        bench.claim(5, Vec::new());
        bench
    }

    fn claim(&mut self, epoch: u64, handed: Vec<LinkState>) {
        self.intake.claim(&self.fence, tenure(epoch), handed).expect("sound states");
    }

    fn send(&mut self, epoch: u64, floor: u64, first: u64, entries: Vec<Entry>) {
        let sends = Sends { tenure: tenure(epoch), floor, first, entries };
        self.intake.handle_sends(SENDER, sends, &self.fence).expect("no violation");
    }

    fn taken(&mut self) -> Vec<u64> {
        let events = std::iter::from_fn(|| self.intake.poll_event());
        let numbers = events.map(|event| match event {
            IntakeEvent::Taken { number, .. } => number,
            IntakeEvent::Deposed(_) => 0,
        });
        numbers.collect()
    }

    fn accept(&mut self, number: u64) -> bool {
        self.intake.accept(&self.fence, tenure(5), SENDER, number)
    }

    /// Receipts as numbers, negative if missed; accepts as their ranges; moves as the epoch.
    fn answers(&mut self) -> String {
        let frames = self.intake.poll_answers(SENDER.incarnation, 99);
        let words = frames.iter().map(|frame| match frame {
            Control::Receipt(Receipt { next, missed: false, .. }) => format!("next {next}"),
            Control::Receipt(Receipt { next, .. }) => format!("missed {next}"),
            Control::Accepts(Accepts { ranges, .. }) => {
                let ranges = ranges.iter().map(|range| format!("{}+{}", range.first, range.count));
                format!("accepted {}", ranges.collect::<Vec<_>>().join(","))
            }
            Control::Moved(moved) => {
                format!("moved {} {:?}", moved.tenure.epoch.0, moved.owner.map(|owner| owner.0))
            }
            other => format!("{other:?}"),
        });
        words.collect::<Vec<_>>().join("; ")
    }
}

#[test]
fn only_the_next_number_is_taken_and_a_gap_is_asked_for_once() {
    let mut bench = Bench::new();
    bench.send(5, 1, 1, vec![item(), item()]);
    bench.send(5, 1, 4, vec![item()]);
    bench.send(5, 1, 5, vec![item()]);
    assert_eq!(bench.taken(), [1, 2]);
    assert_eq!(bench.answers(), "missed 3");
    bench.send(5, 1, 6, vec![item()]);
    assert_eq!(bench.answers(), "");
}

#[test]
fn accepts_go_out_of_order_and_together() {
    let mut bench = Bench::new();
    bench.send(5, 1, 1, vec![item(), item(), item()]);
    assert_eq!(bench.answers(), "next 4");
    assert!(bench.accept(3) && bench.accept(1));
    assert!(!bench.accept(3) && !bench.accept(4));
    assert_eq!(bench.answers(), "accepted 1+1,3+1");
    assert_eq!(bench.answers(), "");
}

#[test]
fn who_sends_again_hears_again_what_is_accepted() {
    let mut bench = Bench::new();
    bench.send(5, 1, 1, vec![item(), item()]);
    bench.accept(2);
    bench.answers();
    bench.send(5, 1, 1, vec![item()]);
    assert_eq!(bench.taken(), [1, 2]);
    assert_eq!(bench.answers(), "next 3; accepted 2+1");
    bench.send(5, 1, 3, vec![]);
    assert_eq!(bench.answers(), "next 3; accepted 2+1");
}

#[test]
fn a_new_control_stream_tells_everything_that_is_not_known_to_have_come() {
    let mut bench = Bench::new();
    bench.send(5, 1, 1, vec![item(), item(), item()]);
    bench.accept(1);
    bench.accept(3);
    bench.answers();
    bench.send(5, 2, 4, vec![item()]);
    bench.answers();
    bench.intake.handle_connected(SENDER.incarnation);
    assert_eq!(bench.answers(), "next 5; accepted 3+1");
}

#[test]
fn a_lower_epoch_is_told_the_higher_one() {
    let mut bench = Bench::new();
    bench.send(4, 1, 1, vec![item()]);
    assert_eq!((bench.taken(), bench.answers()), (vec![], "moved 5 None".into()));
}

#[test]
fn a_higher_epoch_ends_the_ownership() {
    let mut bench = Bench::new();
    bench.send(5, 1, 1, vec![item()]);
    bench.send(9, 1, 1, vec![item()]);
    assert_eq!(bench.taken(), [1, 0]);
    assert!(!bench.accept(1), "an accept under the old epoch would be a promise of nobody");
    assert_eq!(bench.intake.owns(shard()), None);
}

#[test]
fn an_epoch_seen_in_another_role_ends_it_too() {
    let mut bench = Bench::new();
    bench.send(5, 1, 1, vec![item()]);
    bench.fence.see(tenure(9));
    assert!(!bench.accept(1));
}

#[test]
fn a_sealed_shard_takes_nothing_and_says_who_does() {
    let mut bench = Bench::new();
    bench.send(5, 1, 1, vec![item()]);
    bench.answers();
    bench.intake.seal(shard(), Moved { tenure: tenure(9), owner: Some(Incarnation(8)) });
    assert_eq!(bench.answers(), "moved 9 Some(8)");
    bench.fence.see(tenure(9));
    bench.send(5, 1, 2, vec![item()]);
    assert_eq!((bench.taken(), bench.answers()), (vec![1], "moved 9 Some(8)".into()));
    assert!(bench.accept(1), "what it took is its to accept");
    let states = bench.intake.hand_over(shard());
    assert_eq!(
        (states[0].next, states[0].accepted.as_slice()),
        (2, &[Range { first: 1, count: 1 }][..])
    );
}

#[test]
fn the_next_owner_goes_on_where_the_last_one_was() {
    let mut bench = Bench::new();
    let accepted = vec![Range { first: 2, count: 1 }];
    bench.claim(9, vec![LinkState { link: SENDER, next: 4, floor: 1, accepted }]);
    assert_eq!(bench.answers(), "missed 4; accepted 2+1");
    bench.send(9, 1, 3, vec![item(), item()]);
    assert_eq!(bench.taken(), [4]);
}

#[test]
fn who_came_too_early_is_told_to_begin() {
    let mut bench = Bench::new();
    bench.send(9, 6, 8, vec![item()]);
    assert_eq!((bench.taken(), bench.answers()), (vec![0], String::new()));
    bench.claim(9, Vec::new());
    assert_eq!(bench.answers(), "missed 6");
}

#[test]
fn an_owner_that_recovers_starts_at_the_senders_floor() {
    let mut bench = Bench::new();
    bench.claim(9, Vec::new());
    bench.send(9, 6, 8, vec![item()]);
    assert_eq!(bench.answers(), "missed 6");
    bench.send(9, 6, 6, vec![item(), Entry::Gap(1), item()]);
    assert_eq!((bench.taken(), bench.answers()), (vec![6, 8], "next 9".into()));
}

#[test]
fn states_that_are_not_sound_are_not_installed() {
    let mut bench = Bench::new();
    let unsound =
        [(4, 5, vec![]), (4, 1, vec![(2, 3)]), (9, 3, vec![(2, 3)]), (9, 1, vec![(1, 0)])];
    for (next, floor, accepted) in unsound {
        let accepted = accepted.iter().map(|&(first, count)| Range { first, count }).collect();
        let state = LinkState { link: SENDER, next, floor, accepted };
        assert!(bench.intake.claim(&bench.fence, tenure(9), vec![state]).is_err());
    }
    assert_ne!(bench.intake.owns(shard()), Some(Epoch(9)));
}
