use std::time::Duration;

use super::*;

const LEASE: Duration = Duration::from_millis(4_750);

fn at(milliseconds: u64) -> Boottime {
    Boottime(Duration::from_millis(milliseconds))
}

/// Both clocks go alike.
fn reading(milliseconds: u64) -> Reading {
    Reading { boottime: at(milliseconds), wall: Duration::from_millis(1_000_000 + milliseconds) }
}

fn holder() -> Holder {
    Holder::new(LeaseParameters::default(), reading(0))
}

/// Its first renewal was sent at 0 and is acknowledged.
fn held() -> Holder {
    let mut holder = holder();
    let number = holder.poll_renewal(at(0)).expect("it asks at once");
    holder.handle_acknowledged(number);
    holder
}

#[test]
fn nothing_is_held_before_the_first_yes() {
    let mut holder = holder();
    assert!(holder.poll_renewal(at(0)).is_some());
    assert!(!holder.is_valid(at(0)));
}

#[test]
fn it_counts_from_when_it_asked() {
    let mut holder = holder();
    let number = holder.poll_renewal(at(0)).expect("it asks at once");
    holder.handle_acknowledged(number);
    assert_eq!(holder.valid_until(), Some(at(0) + LEASE));
    assert!(holder.is_valid(at(4_749)));
    assert!(!holder.is_valid(at(4_750)));
}

#[test]
fn it_asks_every_half_second() {
    let mut holder = held();
    assert_eq!(holder.poll_renewal(at(499)), None);
    assert!(holder.poll_renewal(at(500)).is_some());
    assert_eq!(holder.poll_renewal(at(999)), None);
}

#[test]
fn an_older_yes_that_comes_late_takes_nothing_back() {
    let mut holder = holder();
    let first = holder.poll_renewal(at(0)).expect("due");
    let second = holder.poll_renewal(at(500)).expect("due");
    holder.handle_acknowledged(second);
    holder.handle_acknowledged(first);
    holder.handle_acknowledged(RenewalNumber(77));
    assert_eq!(holder.valid_until(), Some(at(500) + LEASE));
}

#[test]
fn a_lease_that_lapsed_goes_on_when_it_is_renewed() {
    let mut holder = held();
    assert!(!holder.is_valid(at(9_000)));
    let number = holder.poll_renewal(at(9_000)).expect("due");
    holder.handle_acknowledged(number);
    assert!(holder.is_valid(at(9_001)));
}

#[test]
fn who_was_away_stops_first_and_asks_later() {
    let mut holder = held();
    let before = holder.poll_renewal(at(500)).expect("due");
    assert!(!holder.handle_wakeup(reading(500)));
    assert!(holder.handle_wakeup(reading(1_001)));
    assert!(!holder.is_valid(at(1_001)));
    holder.handle_acknowledged(before);
    assert!(!holder.is_valid(at(1_001)), "what was asked before does not count");
    let after = holder.poll_renewal(at(1_001)).expect("it asks at once");
    holder.handle_acknowledged(after);
    assert!(holder.is_valid(at(1_001)));
}

#[test]
fn a_jump_of_the_wall_clock_counts_as_having_been_away() {
    let mut holder = held();
    holder.handle_wakeup(reading(100));
    assert!(holder.is_valid(at(100)));
    let jump = Duration::from_millis(600);
    let jumped = Reading { wall: reading(200).wall + jump, ..reading(200) };
    holder.handle_wakeup(jumped);
    assert!(!holder.is_valid(at(200)));
}

#[test]
fn a_wall_clock_set_back_means_nothing() {
    let mut holder = held();
    holder.handle_wakeup(Reading { wall: Duration::ZERO, ..reading(100) });
    assert!(holder.is_valid(at(100)));
}

#[test]
fn what_is_given_back_is_over() {
    let mut holder = held();
    let number = holder.poll_renewal(at(500)).expect("due");
    holder.give_back();
    holder.handle_acknowledged(number);
    assert!(!holder.is_valid(at(501)));
    assert_eq!(holder.poll_renewal(at(5_000)), None);
}

#[test]
fn it_wakes_often_enough_not_to_take_its_own_sleep_for_having_been_away() {
    let mut holder = held();
    let mut now = 0;
    for _ in 0..15 {
        let next = holder.poll_timeout().0.as_millis() as u64;
        assert!(next > now, "it would spin at {now}");
        now = next;
        holder.handle_wakeup(reading(now));
        holder.poll_renewal(at(now));
    }
    assert!(holder.is_valid(at(now)), "{now}");
}

#[test]
fn unanswered_requests_do_not_pile_up() {
    let mut holder = holder();
    for n in 0..100 {
        assert!(holder.poll_renewal(at(n * 500)).is_some());
    }
    assert!(holder.asked.len() <= ASKED_MAX);
}
