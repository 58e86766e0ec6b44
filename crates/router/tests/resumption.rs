//! A session on record comes back after the process was killed (XEP-0198 §5): with the `h` that was
//! durable, with what its client has not got, and with nothing twice.

mod support;

use std::sync::Arc;

use jackdaw_ext::Command;
use jackdaw_jid::FullJid;
use jackdaw_router::Taken;
use jackdaw_router::restore::{Back, Restoring};
use jackdaw_session::Session;
use jackdaw_stanza::Delivery;
use jackdaw_stream::c2s::Suspended;
use support::{GENERATION, Mode, World, chat, chat_once, sm_id};

const ROMEO: &str = "romeo@example.net/orchard";
const JULIET: &str = "juliet@example.net/balcony";
const JULIET_BARE: &str = "juliet@example.net";

#[track_caller]
fn back(world: &World, jid: &FullJid, session: &Session, h: u32) -> Back {
    match world.restore(jid, session.id(), h) {
        Restoring::Restored(back) => *back,
        Restoring::Live(_) | Restoring::NotFound { .. } => unreachable!("it is on record"),
    }
}

fn ids(deliveries: &[Delivery]) -> String {
    let ids: Vec<_> = deliveries.iter().map(|d| d.stanza.id().unwrap_or_default()).collect();
    ids.join(" ")
}

/// Juliet's session, to which Romeo has sent these, numbered from 1 on; his messages are accepted.
fn with_messages(world: &World, numbers: std::ops::RangeInclusive<u32>) -> Arc<Session> {
    let romeo = world.recorded(ROMEO);
    let juliet = world.recorded(JULIET);
    world.router.record(&juliet, 1);
    for number in numbers.clone() {
        world.send_numbered(&romeo, number, &chat_once(JULIET_BARE, &number.to_string()));
    }
    let settles = world.take_messages(&juliet).1;
    world.number(&juliet, 1, &settles);
    assert_eq!(world.accepted(&romeo), numbers.collect::<Vec<_>>());
    juliet
}

#[test]
fn what_the_client_had_not_handled_comes_again_in_order_and_the_rest_does_not() {
    for h in 0..=4 {
        let world = World::new();
        let juliet = with_messages(&world, 1..=4);
        let world = world.killed();
        let Back { session, unacknowledged, .. } = back(&world, juliet.jid(), &juliet, h);
        let expected: Vec<_> = (h + 1..=4).map(|number| number.to_string()).collect();
        assert_eq!(ids(&unacknowledged), expected.join(" "), "h={h}");
        assert_eq!(world.spool(JULIET_BARE), expected.join(" "));
        // Nothing of it is an offline message as well.
        world.router.returned(&session);
        world.run();
        assert_eq!(world.messages(&session), "");
        // Acknowledged, it is gone.
        let settles: Vec<_> = unacknowledged.iter().filter_map(|d| d.settle).collect();
        world.settle(&settles);
        assert_eq!(world.spool(JULIET_BARE), "");
        world.assert_settled();
    }
}

#[test]
fn numbers_go_on_without_a_gap_after_another_kill() {
    let world = World::new();
    let juliet = with_messages(&world, 1..=3);
    let world = world.killed();
    // Presence had taken a number of which nothing is known, so the client is ahead.
    let back_once = back(&world, juliet.jid(), &juliet, 1);
    assert_eq!(ids(&back_once.unacknowledged), "2 3");
    let world = world.killed();
    let back_twice = back(&world, juliet.jid(), &juliet, 2);
    assert_eq!(ids(&back_twice.unacknowledged), "3", "2 was sent again by its new number");
}

#[test]
fn a_message_whose_number_is_not_durable_was_not_sent_and_comes_behind_the_others() {
    let world = World::new();
    let romeo = world.recorded(ROMEO);
    let juliet = world.recorded(JULIET);
    world.router.record(&juliet, 1);
    world.send_numbered(&romeo, 1, &chat_once(JULIET_BARE, "1"));
    world.number(&juliet, 1, &world.take_messages(&juliet).1);
    assert!(world.was_told(&juliet, Command::Write(1)));
    world.send_numbered(&romeo, 2, &chat_once(JULIET_BARE, "2"));
    let settles = world.take_messages(&juliet).1;
    assert!(settles[0].is_held(), "its stream does not write it before it is told to");
    world.engine.set(Mode::Hold);
    world.number(&juliet, 2, &settles);
    assert!(!world.was_told(&juliet, Command::Write(2)));
    let world = world.killed();
    let Back { session, unacknowledged, .. } = back(&world, juliet.jid(), &juliet, 0);
    assert_eq!(ids(&unacknowledged), "1");
    world.router.returned(&session);
    world.run();
    assert_eq!(world.messages(&session), "2");
}

#[test]
fn h_after_the_kill_is_what_the_record_said() {
    let world = World::new();
    let romeo = world.recorded(ROMEO);
    assert!(!world.router.record(&romeo, 4));
    assert!(world.was_told(&romeo, Command::Recorded(4)));
    world.engine.set(Mode::Hold);
    assert!(!world.router.record(&romeo, 6));
    assert!(!world.was_told(&romeo, Command::Recorded(6)));
    let world = world.killed();
    assert_eq!(back(&world, romeo.jid(), &romeo, 0).handled, 4);
}

#[test]
fn a_message_that_was_accepted_beyond_h_is_recognised_when_it_comes_again() {
    let world = World::new();
    let romeo = world.recorded(ROMEO);
    // What had number 1 was not accepted in time: 2 and 3 were.
    for number in [2, 3] {
        let taken =
            world.send_numbered(&romeo, number, &chat_once(JULIET_BARE, &format!("{number}")));
        assert_eq!(taken, Taken::Later);
    }
    let world = world.killed();
    let Back { session, handled, .. } = back(&world, romeo.jid(), &romeo, 0);
    assert_eq!(handled, 0);
    for number in 1..=4 {
        world.send_numbered(&session, number, &chat_once(JULIET_BARE, &format!("{number}")));
    }
    assert_eq!(world.accepted(&session), [1, 2, 3, 4]);
    assert_eq!(world.spool(JULIET_BARE), "2 3 1 4");
    // And its record says so.
    let world = world.killed();
    assert_eq!(back(&world, romeo.jid(), &romeo, 0).handled, 4);
}

#[test]
fn a_client_that_sends_something_else_instead_loses_nothing() {
    let world = World::new();
    let romeo = world.recorded(ROMEO);
    world.send_numbered(&romeo, 2, &chat_once(JULIET_BARE, "2"));
    let world = world.killed();
    let session = back(&world, romeo.jid(), &romeo, 0).session;
    world.send_numbered(&session, 1, &chat_once(JULIET_BARE, "8"));
    world.send_numbered(&session, 2, &chat_once(JULIET_BARE, "9"));
    assert_eq!(world.spool(JULIET_BARE), "2 8 9");
    let world = world.killed();
    assert_eq!(back(&world, romeo.jid(), &romeo, 0).handled, 2);
}

#[test]
fn a_message_without_an_origin_id_keeps_lingering() {
    let world = World::new();
    let romeo = world.recorded(ROMEO);
    let juliet = world.recorded(JULIET);
    world.send_numbered(&romeo, 1, &chat(JULIET_BARE, "1"));
    let (_, settles) = world.take_messages(&juliet);
    assert!(!settles[0].is_held());
    assert_eq!(world.spool(JULIET_BARE), "");
    world.linger();
    assert!(world.was_told(&juliet, Command::Number(settles[0])), "its row is to have its number");
    world.number(&juliet, 1, &settles);
    let world = world.killed();
    assert_eq!(ids(&back(&world, juliet.jid(), &juliet, 0).unacknowledged), "1");
}

#[test]
fn a_session_that_is_back_once_is_not_restored_again() {
    let world = World::new();
    let juliet = with_messages(&world, 1..=1);
    let world = world.killed();
    let session = back(&world, juliet.jid(), &juliet, 0).session;
    let again = world.restore(juliet.jid(), juliet.id(), 0);
    assert!(matches!(again, Restoring::Live(live) if live.id() == session.id()));
}

#[test]
fn who_may_not_resume_is_told_nothing() {
    let world = World::new();
    let juliet = with_messages(&world, 1..=1);
    let world = world.killed();
    let jid = juliet.jid();
    let romeo = FullJid::parse(ROMEO).expect("a JID");
    let mut guessed = sm_id(juliet.id().0).to_bytes();
    guessed[23] ^= 1;
    let guessed = jackdaw_stream::c2s::SmId::from_bytes(&guessed).expect("24 bytes");
    let own = sm_id(juliet.id().0);
    for (name, outcome) in [
        ("another account", world.restore(&romeo, juliet.id(), 0)),
        ("a guessed id", world.restore_as(jid, guessed, GENERATION, 0)),
        ("a later account of that name", world.restore_as(jid, own, GENERATION + 1, 0)),
    ] {
        assert!(matches!(outcome, Restoring::NotFound { h: None }), "{name}");
    }
    back(&world, jid, &juliet, 0);
}

#[test]
fn a_session_that_waited_too_long_is_gone_but_its_h_is_told_until_it_is_swept_away() {
    let world = World::new();
    let juliet = with_messages(&world, 1..=2);
    world.router.record(&juliet, 5);
    let world = world.killed();
    world.pass(599_000);
    let phone = world.online("juliet@example.net/phone", 0);
    assert_eq!(world.messages(&phone), "", "they are numbered for a session that may come back");
    world.pass(2_000);
    let late = world.restore(juliet.jid(), juliet.id(), 0);
    assert!(matches!(late, Restoring::NotFound { h: Some(5) }));
    world.router.sweep_later();
    world.pass(600_000);
    assert_eq!(world.messages(&phone), "1 2", "nobody else gets them any more");
    let late = world.restore(juliet.jid(), juliet.id(), 0);
    assert!(matches!(late, Restoring::NotFound { h: None }));
}

#[test]
fn whoever_binds_the_resource_ends_the_session_that_had_it() {
    let world = World::new();
    let juliet = with_messages(&world, 1..=2);
    let world = world.killed();
    let newcomer = world.online(JULIET, 0);
    world.run();
    assert_eq!(world.messages(&newcomer), "1 2");
    let late = world.restore(juliet.jid(), juliet.id(), 0);
    assert!(matches!(late, Restoring::NotFound { h: None }));
}

#[test]
fn a_session_that_ended_cannot_be_resumed() {
    let world = World::new();
    let juliet = with_messages(&world, 1..=1);
    world.end(&juliet, Vec::new());
    let world = world.killed();
    let gone = world.restore(juliet.jid(), juliet.id(), 0);
    assert!(matches!(gone, Restoring::NotFound { h: None }));
}

#[test]
fn a_deleted_account_takes_its_sessions_with_it() {
    let world = World::new();
    let juliet = with_messages(&world, 1..=1);
    let router = Arc::clone(&world.router);
    let account = juliet.account().jid().clone();
    support::ready(Box::pin(async move { router.erase_account(&account).await })).expect("erased");
    world.register(JULIET_BARE);
    let world = world.killed();
    let gone = world.restore(juliet.jid(), juliet.id(), 0);
    assert!(matches!(gone, Restoring::NotFound { h: None }));
}

#[test]
fn presence_is_as_it_was_recorded_with_h() {
    let world = World::new();
    let juliet = world.recorded(JULIET);
    world.send(&juliet, "<presence><priority>7</priority></presence>");
    juliet.set_interested();
    world.router.record(&juliet, 1);
    let world = world.killed();
    let session = back(&world, juliet.jid(), &juliet, 0).session;
    assert!(session.is_interested());
    assert!(!session.is_available(), "nobody has heard of it yet");
    world.router.returned(&session);
    world.run();
    assert_eq!(session.priority(), Some(7));
}

#[test]
fn sessions_whose_every_stream_refuses_a_message_leave_no_row() {
    let world = World::new();
    let romeo = world.recorded(ROMEO);
    let juliet = world.recorded(JULIET);
    world.set_full(&juliet, true);
    world.engine.set(Mode::Hold);
    world.send_numbered(&romeo, 1, &chat_once(JULIET, "1"));
    world.engine.set(Mode::Through);
    world.engine.release();
    assert_eq!(world.accepted(&romeo), [1]);
    assert!(world.xml(&romeo).concat().contains("resource-constraint"));
    assert_eq!(world.spool(JULIET_BARE), "");
    world.assert_settled();
    assert_eq!(world.router.spooling(), 0);
}

#[test]
fn a_record_of_which_a_commit_failed_late_is_not_believed() {
    let world = World::new();
    let romeo = world.recorded(ROMEO);
    world.engine.set(Mode::Hold);
    world.send_numbered(&romeo, 1, &chat_once(JULIET, "1"));
    world.engine.set(Mode::Through);
    world.engine.fail(&jackdaw_store::StoreError::Full);
    world.send_numbered(&romeo, 2, &chat_once(JULIET, "2"));
    let world = world.killed();
    let gone = world.restore(romeo.jid(), romeo.id(), 0);
    assert!(matches!(gone, Restoring::NotFound { h: None }));
}

#[test]
fn a_message_that_the_store_refused_for_now_is_not_said_to_be_accepted_later() {
    let world = World::new();
    let romeo = world.recorded(ROMEO);
    let juliet = world.recorded(JULIET);
    world.engine.set(Mode::Fail(jackdaw_store::StoreError::Busy));
    world.send_numbered(&romeo, 1, &chat_once(JULIET, "1"));
    world.engine.set(Mode::Through);
    world.send_numbered(&romeo, 2, &chat_once(JULIET, "2"));
    assert_eq!(world.accepted(&romeo), [2]);
    assert_eq!(world.messages(&juliet), "1 2");
    let world = world.killed();
    let Back { session, handled, .. } = back(&world, romeo.jid(), &romeo, 0);
    assert_eq!(handled, 0);
    world.send_numbered(&session, 1, &chat_once(JULIET, "1"));
    world.send_numbered(&session, 2, &chat_once(JULIET, "2"));
    assert_eq!(world.spool(JULIET_BARE), "2 1");
}

#[test]
fn a_session_that_was_suspended_comes_back_with_what_lingered() {
    let world = World::new();
    let romeo = world.recorded(ROMEO);
    let juliet = world.recorded(JULIET);
    world.router.record(&juliet, 1);
    world.send_numbered(&romeo, 1, &chat_once(JULIET_BARE, "1"));
    world.send_numbered(&romeo, 2, &chat(JULIET_BARE, "2"));
    let mut unacknowledged = world.take(&juliet);
    unacknowledged.retain(|delivery| delivery.settle.is_some());
    assert_eq!(ids(&unacknowledged), "1 2");
    world.router.suspended(&juliet, Suspended { accepted: 3, first: 7, unacknowledged });
    assert_eq!(world.accepted(&romeo), [1, 2]);
    assert!(world.router.services().sessions.find(juliet.jid().as_jid_ref()).is_none());
    let world = world.killed();
    let Back { handled, unacknowledged, .. } = back(&world, juliet.jid(), &juliet, 7);
    assert_eq!(handled, 3);
    assert_eq!(ids(&unacknowledged), "2");
}
