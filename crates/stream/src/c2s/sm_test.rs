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
            inbound.accept(numbers[index]);
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
            assert!(!inbound.accept(other));
            assert_eq!(inbound.handled(), start);
        }
        inbound.accept(number);
        inbound.accept(number);
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
        inbound.accept(first.wrapping_add(number));
    }
    assert!(inbound.is_full());
    inbound.accept(first);
    assert!(inbound.is_caught_up());
    assert!(!inbound.is_full());
}

#[test]
fn a_request_is_answered_once_what_came_before_it_is_accepted() {
    for start in STARTS {
        let mut inbound = Sm::at(id(), start, 0).inbound;
        assert!(inbound.ask(), "nothing is waiting");
        let (one, two, three) = (inbound.receive(), inbound.receive(), inbound.receive());
        assert!(!inbound.ask());
        let four = inbound.receive();
        assert!(!inbound.accept(two));
        assert!(!inbound.accept(one));
        assert!(inbound.accept(three), "from {start}");
        assert!(!inbound.accept(four), "nobody asked about it");
    }
}

#[test]
fn two_requests_are_answered_as_far_as_each_asked() {
    let mut inbound = Inbound::default();
    inbound.receive();
    assert!(!inbound.ask());
    inbound.receive();
    inbound.receive();
    assert!(!inbound.ask());
    let told: Vec<_> = (1..=3).map(|number| inbound.accept(number)).collect();
    assert_eq!(told, [true, false, true]);
}

#[test]
fn after_an_early_answer_the_rest_is_told_unasked() {
    let mut inbound = Inbound::default();
    inbound.receive();
    inbound.receive();
    assert!(!inbound.ask());
    assert!(!inbound.accept(1));
    inbound.answer_now();
    assert!(!inbound.owes_answer());
    assert!(inbound.accept(2));
    inbound.receive();
    assert!(!inbound.accept(3));
}

#[test]
fn a_resumed_client_sends_again_by_the_same_numbers() {
    let mut inbound = Sm::at(id(), u32::MAX, 0).inbound;
    let (one, two, three) = (inbound.receive(), inbound.receive(), inbound.receive());
    inbound.accept(one);
    inbound.accept(three);
    inbound.rewind();
    assert_eq!(inbound.handled(), one);
    assert!(!inbound.accept(two), "the first copy is forgotten");
    assert_eq!((inbound.receive(), inbound.receive()), (two, three));
    inbound.accept(two);
    assert_eq!(inbound.handled(), two);
}

#[test]
fn acknowledged_stanzas_leave_the_queue_in_order() {
    for start in STARTS {
        let mut outbound = Sm::at(id(), 0, start).outbound;
        (1..=5).for_each(|settle| outbound.push(outgoing(settle)));
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
        outbound.push(outgoing(1));
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
        (1..=3).for_each(|settle| outbound.push(outgoing(settle)));
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
            outbound.push(outgoing(settle));
            asked.push(outbound.should_ask(3));
        }
        assert_eq!(asked, [true, false, false, true, false, false, true], "from {start}");
        outbound.acknowledge(start.wrapping_add(4), |_| ()).expect("sent");
        assert!(!outbound.should_ask(3), "the last request is still open");
        outbound.push(outgoing(8));
        outbound.acknowledge(start.wrapping_add(7), |_| ()).expect("sent");
        assert!(outbound.should_ask(3), "one was not covered by it");
        outbound.acknowledge(start.wrapping_add(8), |_| ()).expect("sent");
        assert!(!outbound.should_ask(3), "nothing is missing");
    }
}

#[test]
fn an_idle_queue_keeps_little() {
    let mut outbound = Outbound::default();
    (1..=500).for_each(|settle| outbound.push(outgoing(settle)));
    outbound.acknowledge(500, |_| ()).expect("sent");
    assert!(outbound.queue.capacity() <= QUEUE_SLOTS_KEPT);
}
