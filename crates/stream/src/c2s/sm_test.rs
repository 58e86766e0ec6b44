use super::super::ids::{Ids, Seed};
use super::*;

fn id() -> SmId {
    SmId::new(1, &mut Ids::new(Seed([0; 32])))
}

fn outgoing(settle: u64) -> Outgoing {
    Outgoing::written(b"<message/>", Some(Settle(settle)))
}

/// Both counters start where a wrap is near, and where it is not.
const STARTS: [u32; 4] = [0, 41, u32::MAX - 2, u32::MAX];

#[test]
fn h_is_the_highest_number_up_to_which_all_are_accepted() {
    for start in STARTS {
        let mut inbound = Sm::at(id(), start, 0).inbound;
        let numbers: Vec<_> = (0..5).map(|_| inbound.receive()).collect();
        assert_eq!(numbers, (1..=5).map(|n| start.wrapping_add(n)).collect::<Vec<_>>());
        let mut heights = Vec::new();
        for index in [1, 0, 4, 3, 2] {
            let _ = inbound.accept(numbers[index]);
            heights.push(inbound.handled().wrapping_sub(start));
        }
        assert_eq!(heights, [0, 2, 2, 2, 5], "from {start}");
        assert!(inbound.is_caught_up());
    }
}

#[test]
fn numbers_that_are_not_waiting_change_nothing() {
    for start in STARTS {
        let mut inbound = Sm::at(id(), start, 0).inbound;
        let number = inbound.receive();
        for other in [number.wrapping_add(1), number.wrapping_sub(1), number.wrapping_add(1 << 31)]
        {
            assert_eq!(inbound.accept(other), Step::Nothing);
            assert_eq!(inbound.handled(), start);
        }
        let _ = inbound.accept(number);
        let _ = inbound.accept(number);
        assert_eq!(inbound.handled(), number);
    }
}

#[test]
fn a_window_of_stanzas_that_are_not_accepted_is_full() {
    let mut inbound = Sm::at(id(), u32::MAX - 60, 0).inbound;
    let first = inbound.receive();
    for _ in 1..ACCEPT_WINDOW {
        assert!(!inbound.is_full());
        inbound.receive();
    }
    assert!(inbound.is_full());
    for number in (1..ACCEPT_WINDOW).rev() {
        let _ = inbound.accept(first.wrapping_add(number));
    }
    assert!(inbound.is_full());
    let _ = inbound.accept(first);
    assert!(inbound.is_caught_up());
    assert!(!inbound.is_full());
}

#[test]
fn a_request_is_answered_once_what_came_before_it_is_accepted() {
    for start in STARTS {
        let mut inbound = Sm::at(id(), start, 0).inbound;
        assert_eq!(inbound.ask(), Step::Tell, "nothing is waiting");
        let (one, two, three) = (inbound.receive(), inbound.receive(), inbound.receive());
        assert_eq!(inbound.ask(), Step::Nothing);
        let four = inbound.receive();
        assert_eq!(inbound.accept(two), Step::Nothing);
        assert_eq!(inbound.accept(one), Step::Nothing);
        assert_eq!(inbound.accept(three), Step::Tell, "from {start}");
        assert_eq!(inbound.accept(four), Step::Nothing, "nobody asked about it");
    }
}

#[test]
fn two_requests_are_answered_as_far_as_each_asked() {
    let mut inbound = Inbound::default();
    inbound.receive();
    assert_eq!(inbound.ask(), Step::Nothing);
    inbound.receive();
    inbound.receive();
    assert_eq!(inbound.ask(), Step::Nothing);
    let told: Vec<_> = (1..=3).map(|number| inbound.accept(number)).collect();
    assert_eq!(told, [Step::Tell, Step::Nothing, Step::Tell]);
}

#[test]
fn after_an_early_answer_the_rest_is_told_unasked() {
    let mut inbound = Inbound::default();
    inbound.receive();
    inbound.receive();
    assert_eq!(inbound.ask(), Step::Nothing);
    assert_eq!(inbound.accept(1), Step::Nothing);
    inbound.answer_now();
    assert!(!inbound.owes_answer());
    assert_eq!(inbound.accept(2), Step::Tell);
    inbound.receive();
    assert_eq!(inbound.accept(3), Step::Nothing);
}

#[test]
fn a_resumed_client_sends_again_by_the_same_numbers() {
    let mut inbound = Sm::at(id(), u32::MAX, 0).inbound;
    let (one, two, three) = (inbound.receive(), inbound.receive(), inbound.receive());
    let _ = inbound.accept(one);
    let _ = inbound.accept(three);
    inbound.rewind();
    assert_eq!(inbound.handled(), one);
    assert_eq!(inbound.accept(two), Step::Nothing, "the first copy is forgotten");
    assert_eq!((inbound.receive(), inbound.receive()), (two, three));
    let _ = inbound.accept(two);
    assert_eq!(inbound.handled(), two);
}

#[test]
fn acknowledged_stanzas_leave_the_queue_in_order() {
    for start in STARTS {
        let mut outbound = Sm::at(id(), 0, start).outbound;
        (1..=5).for_each(|settle| outbound.push_written(outgoing(settle)));
        let mut settled = Vec::new();
        for count in [2, 2, 3, 5] {
            outbound.acknowledge(start.wrapping_add(count), |s| settled.push(s.0)).expect("sent");
        }
        assert_eq!(settled, [1, 2, 3, 4, 5], "from {start}");
        assert_eq!((outbound.stanzas(), outbound.bytes()), (0, 0));
        assert_eq!(outbound.sent(), start.wrapping_add(5));
    }
}

#[test]
fn more_than_was_sent_cannot_be_acknowledged() {
    for start in STARTS {
        let mut outbound = Sm::at(id(), 0, start).outbound;
        outbound.push_written(outgoing(1));
        let h = start.wrapping_add(2);
        let error = outbound.acknowledge(h, |_| ()).expect_err("too high");
        assert_eq!(error, TooHigh { h, send_count: start.wrapping_add(1) });
        assert_eq!(outbound.stanzas(), 1);
    }
}

#[test]
fn an_acknowledgement_that_goes_back_says_nothing() {
    for start in STARTS {
        let mut outbound = Sm::at(id(), 0, start).outbound;
        (1..=3).for_each(|settle| outbound.push_written(outgoing(settle)));
        outbound.acknowledge(start.wrapping_add(2), |_| ()).expect("sent");
        outbound.acknowledge(start.wrapping_add(1), |_| ()).expect("stale");
        assert_eq!(outbound.stanzas(), 1);
        assert_eq!(outbound.sent(), start.wrapping_add(3));
    }
}

#[test]
fn an_acknowledgement_is_requested_once_a_burst_and_once_a_round_trip() {
    for start in STARTS {
        let mut outbound = Sm::at(id(), 0, start).outbound;
        let mut asked = Vec::new();
        for settle in 1..=7 {
            outbound.push_written(outgoing(settle));
            asked.push(outbound.should_ask(3));
        }
        assert_eq!(asked, [true, false, false, true, false, false, true], "from {start}");
        outbound.acknowledge(start.wrapping_add(4), |_| ()).expect("sent");
        assert!(!outbound.should_ask(3), "the last request is still open");
        outbound.push_written(outgoing(8));
        outbound.acknowledge(start.wrapping_add(7), |_| ()).expect("sent");
        assert!(outbound.should_ask(3), "one was not covered by it");
        outbound.acknowledge(start.wrapping_add(8), |_| ()).expect("sent");
        assert!(!outbound.should_ask(3), "nothing is missing");
    }
}

#[test]
fn an_idle_queue_keeps_little() {
    let mut outbound = Outbound::default();
    (1..=500).for_each(|settle| outbound.push_written(outgoing(settle)));
    outbound.acknowledge(500, |_| ()).expect("sent");
    assert!(outbound.queue.capacity() <= QUEUE_SLOTS_KEPT);
}

/// A session on record, with so many stanzas received.
fn on_record(received: u32) -> Inbound {
    let mut inbound = Inbound { record: Record::Idle, ..Inbound::default() };
    (0..received).for_each(|_| {
        inbound.receive();
    });
    inbound
}

#[test]
fn on_record_h_is_told_when_the_record_says_it() {
    let mut inbound = on_record(2);
    assert_eq!(inbound.accept(1), Step::Nothing, "nobody asks");
    assert_eq!(inbound.ask(), Step::Nothing, "the second is not accepted");
    assert_eq!(inbound.accept(2), Step::Record(2));
    assert_eq!(inbound.handled(), 0);
    assert_eq!(inbound.recorded(2), Step::Tell);
    assert_eq!(inbound.tell(), 2);
}

#[test]
fn while_a_record_is_written_more_is_gathered_for_the_next() {
    let mut inbound = on_record(3);
    let _ = inbound.accept(1);
    let _ = inbound.accept(2);
    let _ = inbound.accept(3);
    assert_eq!(inbound.ask(), Step::Record(3));
    inbound.receive();
    assert_eq!(inbound.ask(), Step::Nothing);
    assert_eq!(inbound.accept(4), Step::Nothing, "one is under way");
    assert_eq!(inbound.recorded(3), Step::Tell);
    inbound.receive();
    assert_eq!(inbound.accept(5), Step::Record(5), "the second request still waits");
    assert_eq!(inbound.recorded(5), Step::Tell);
}

#[test]
fn a_record_that_could_not_be_written_is_tried_again_when_it_is_next_wanted() {
    let mut inbound = on_record(1);
    let _ = inbound.accept(1);
    assert_eq!(inbound.ask(), Step::Record(1));
    assert_eq!(inbound.recorded(0), Step::Nothing, "at once it would fail again");
    assert_eq!(inbound.handled(), 0);
    assert_eq!(inbound.ask(), Step::Record(1));
}

#[test]
fn a_client_that_never_asks_is_on_record_nearly_up_to_date() {
    let mut inbound = on_record(RECORD_EVERY);
    let steps: Vec<_> = (1..=RECORD_EVERY).map(|number| inbound.accept(number)).collect();
    assert_eq!(steps.last(), Some(&Step::Record(RECORD_EVERY)));
    assert!(steps[..steps.len() - 1].iter().all(|step| *step == Step::Nothing));
}

#[test]
fn what_stands_behind_a_held_stanza_waits_with_it() {
    for start in STARTS {
        let mut outbound = Sm::at(id(), 0, start).outbound;
        let at = |n: u32| start.wrapping_add(n);
        outbound.push_written(outgoing(1));
        assert!(!outbound.is_open(Some(Settle(2).held())));
        let held = Outgoing::written(b"<held/>", Some(Settle(2).held()));
        assert_eq!(outbound.push(held), at(2));
        assert!(!outbound.is_open(None), "it would overtake");
        assert_eq!(outbound.push(outgoing(3)), at(3));
        let mut out = Vec::new();
        outbound.write_on(&mut out);
        assert!(out.is_empty());
        assert_eq!(outbound.sent(), at(1));
        assert_eq!(outbound.check(at(2)), Err(TooHigh { h: at(2), send_count: at(1) }));
        outbound.release(at(2));
        outbound.write_on(&mut out);
        assert_eq!(out, b"<held/><message/>", "from {start}");
        assert_eq!(outbound.number_of(Settle(2)), Some(at(2)));
        outbound.acknowledge(at(3), |_| ()).expect("sent");
        assert_eq!((outbound.stanzas(), outbound.bytes()), (0, 0));
        outbound.release(at(2));
        assert!(outbound.is_open(None));
    }
}
