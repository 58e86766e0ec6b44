use jackdaw_jid::FullJid;

use super::*;
use crate::registry::{Counters, SessionName};

const OWNER: Incarnation = Incarnation(1);
const BACKUP: Incarnation = Incarnation(2);

fn tenure(epoch: u64) -> Tenure {
    Tenure { shard: ShardId::new(3).expect("a shard"), epoch: Epoch(epoch) }
}

fn known(count: u64, inbound: u64) -> Known {
    let generation = Generation::of(tenure(7), count);
    Known {
        tenure: tenure(7),
        jid: FullJid::parse(&format!("romeo@example.net/{count}")).expect("a JID"),
        session: SessionName(generation),
        generation,
        socket: None,
        is_resumable: true,
        counters: Counters { inbound, delivered: 0 },
    }
}

#[expect(clippy::disallowed_methods, reason = "an origin; nothing reads the clock after it")]
fn now() -> Instant {
    Instant::now()
}

fn mirror(now: Instant) -> Mirror {
    let mut mirror = Mirror::default();
    mirror.set_backup(now, Some(BACKUP));
    mirror
}

fn frames(mirror: &mut Mirror) -> Vec<Copy> {
    std::iter::from_fn(|| mirror.poll_transmit()).map(|(_, copy)| copy).collect()
}

fn kept(copies: &Copies) -> Vec<Known> {
    copies.known(&BTreeSet::from([tenure(7).shard]), Epoch(7), &Fence::default())
}

#[test]
fn a_state_is_held_when_the_backup_has_it_and_not_before() {
    let (now, fence) = (now(), Fence::default());
    let (mut mirror, mut copies) = (mirror(now), Copies::default());
    let state = known(1, 5);
    let version = mirror.put(now, state.clone());
    assert!(!mirror.is_held(state.generation, version));
    for copy in frames(&mut mirror) {
        let answer = copies.handle(OWNER, copy, &fence).expect("it is taken");
        mirror.handle_kept(now, BACKUP, answer);
    }
    assert!(mirror.is_held(state.generation, version));
    assert!(mirror.is_synced());
    assert_eq!(kept(&copies), [state]);
}

#[test]
fn changes_are_taken_once_and_in_order_whatever_is_lost_or_late() {
    let (mut now, fence) = (now(), Fence::default());
    let (mut mirror, mut copies) = (mirror(now), Copies::default());
    mirror.put(now, known(1, 5));
    let late = frames(&mut mirror);
    mirror.drop(now, known(1, 5).generation);
    drop(frames(&mut mirror));
    assert!(!mirror.is_synced());
    now += RESEND;
    mirror.handle_timeout(now);
    for copy in frames(&mut mirror).into_iter().chain(late) {
        let answer = copies.handle(OWNER, copy, &fence).expect("it is taken");
        mirror.handle_kept(now, BACKUP, answer);
    }
    assert!(mirror.is_synced());
    assert_eq!(kept(&copies), [], "what comes late brings nothing back");
}

#[test]
fn a_new_backup_gets_everything() {
    let (now, fence) = (now(), Fence::default());
    let mut mirror = mirror(now);
    for count in 1..=3 {
        mirror.put(now, known(count, 0));
    }
    drop(frames(&mut mirror));
    let other = Incarnation(9);
    mirror.set_backup(now, Some(other));
    let mut copies = Copies::default();
    for copy in frames(&mut mirror) {
        let answer = copies.handle(OWNER, copy, &fence).expect("it is taken");
        mirror.handle_kept(now, other, answer);
    }
    assert!(mirror.is_synced());
    assert_eq!(copies.len(), 3);
}

#[test]
fn a_backup_takes_nothing_of_an_epoch_that_is_over() {
    let (now, fence) = (now(), Fence::default());
    let (mut mirror, mut copies) = (mirror(now), Copies::default());
    fence.see(tenure(9));
    mirror.put(now, known(1, 5));
    let [copy] = &frames(&mut mirror)[..] else { panic!("one change") };
    let moved = Moved { tenure: tenure(9), owner: None };
    assert_eq!(copies.handle(OWNER, copy.clone(), &fence), Err(moved));
    // What waits behind it is not held up for ever.
    mirror.forget(now, tenure(7).shard);
    mirror.handle_timeout(now + RESEND);
    let [nothing] = &frames(&mut mirror)[..] else { panic!("one change") };
    let answer = copies.handle(OWNER, nothing.clone(), &fence).expect("nothing is taken");
    mirror.handle_kept(now, BACKUP, answer);
    assert!(mirror.is_synced() && copies.is_empty());
}

#[test]
fn copies_of_epochs_before_the_one_that_is_served_are_let_go() {
    let (now, fence) = (now(), Fence::default());
    let (mut mirror, mut copies) = (mirror(now), Copies::default());
    mirror.put(now, known(1, 5));
    for copy in frames(&mut mirror) {
        copies.handle(OWNER, copy, &fence).expect("it is taken");
    }
    copies.release(tenure(7));
    assert_eq!(copies.len(), 1);
    copies.release(tenure(9));
    assert!(copies.is_empty());
}

#[test]
fn many_changes_of_one_session_behind_the_window_are_one() {
    let now = now();
    let mut mirror = mirror(now);
    for count in 1..=MIRROR_WINDOW as u64 {
        mirror.put(now, known(count, 0));
    }
    drop(frames(&mut mirror));
    for inbound in 1..=1000 {
        mirror.put(now, known(1, inbound));
    }
    assert_eq!(frames(&mut mirror), []);
    mirror.handle_kept(now, BACKUP, Kept { sync: 1, next: 2 });
    let [Copy { change: Change::Keep(known), .. }] = &frames(&mut mirror)[..] else {
        panic!("one change")
    };
    assert_eq!(known.counters.inbound, 1000);
}
