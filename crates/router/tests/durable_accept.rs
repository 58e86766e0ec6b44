//! Promise P1: `h` passes a message only when it is acknowledged by its recipients, committed to
//! the spool, or bounced. What a session leaves unacknowledged is neither lost nor sent twice.

mod support;

use jackdaw_router::spool::SPOOL;
use jackdaw_router::{RouterConfig, Taken};
use jackdaw_store::StoreError;
use support::{Mode, World, chat};

const ROMEO: &str = "romeo@example.net/orchard";
const JULIET: &str = "juliet@example.net";

fn spool(world: &World) -> String {
    world.spool(JULIET)
}

/// An error of this condition is what the sender was handed, and nothing else.
#[track_caller]
fn assert_bounced(world: &World, sender: &jackdaw_session::Session, condition: &str) {
    let answers = world.xml(sender);
    assert_eq!(answers.len(), 1, "{answers:?}");
    let answer = answers.concat();
    assert!(answer.contains("type='error'") && answer.contains(condition), "{answer}");
}

#[test]
fn a_message_for_who_is_away_is_accepted_when_its_row_is_committed() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    world.engine.set(Mode::Hold);
    assert_eq!(world.send_numbered(&romeo, 1, &chat(JULIET, "1")), Taken::Later);
    world.run();
    assert!(world.accepted(&romeo).is_empty(), "nothing is committed");
    world.engine.release();
    assert_eq!(world.accepted(&romeo), [1]);
    assert_eq!(spool(&world), "1");
}

#[test]
fn a_message_that_the_store_refuses_bounces_and_is_accepted() {
    for error in [StoreError::Busy, StoreError::Full, StoreError::Failed("disk".into())] {
        let world = World::new();
        let romeo = world.connect(ROMEO);
        world.engine.set(Mode::Fail(error));
        world.send_numbered(&romeo, 1, &chat(JULIET, "1"));
        world.run();
        assert_eq!(world.accepted(&romeo), [1]);
        assert_bounced(&world, &romeo, "resource-constraint");
        assert_eq!(spool(&world), "");
    }
}

#[test]
fn a_message_to_a_client_without_stream_management_is_accepted_when_it_is_handed_over() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    let juliet = world.online("juliet@example.net/balcony", 0);
    world.engine.set(Mode::Hold);
    assert_eq!(world.send_numbered(&romeo, 1, &chat(JULIET, "1")), Taken::Done);
    assert_eq!(world.messages(&juliet), "1");
    world.assert_settled();
}

#[test]
fn a_message_is_accepted_when_its_recipient_has_acknowledged_it() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    let juliet = world.managed("juliet@example.net/balcony");
    assert_eq!(world.send_numbered(&romeo, 1, &chat(JULIET, "1")), Taken::Later);
    assert!(world.accepted(&romeo).is_empty());
    let (ids, settles) = world.take_messages(&juliet);
    assert_eq!(ids, "1");
    world.settle(&settles);
    assert_eq!(world.accepted(&romeo), [1]);
    world.linger();
    assert_eq!(spool(&world), "", "it is never written");
    world.assert_settled();
}

#[test]
fn a_message_that_is_not_acknowledged_in_time_is_accepted_by_its_row() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    let juliet = world.managed("juliet@example.net/balcony");
    world.engine.set(Mode::Hold);
    world.send_numbered(&romeo, 1, &chat(JULIET, "1"));
    world.linger();
    assert!(world.accepted(&romeo).is_empty(), "the row is not committed");
    world.engine.release();
    assert_eq!(world.accepted(&romeo), [1]);
    assert_eq!(spool(&world), "1");
    // The acknowledgement takes the row away, and accepts nothing twice.
    world.engine.set(Mode::Through);
    world.settle(&world.take_messages(&juliet).1);
    assert!(world.accepted(&romeo).is_empty());
    assert_eq!(spool(&world), "");
    world.assert_settled();
    assert_eq!(world.router.spooling(), 0);
}

#[test]
fn an_acknowledgement_while_the_row_is_written_accepts_and_deletes_it_afterwards() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    let juliet = world.managed("juliet@example.net/balcony");
    world.engine.set(Mode::Hold);
    world.send_numbered(&romeo, 1, &chat(JULIET, "1"));
    world.linger();
    world.settle(&world.take_messages(&juliet).1);
    assert_eq!(world.accepted(&romeo), [1]);
    world.engine.set(Mode::Through);
    world.engine.release();
    assert_eq!(spool(&world), "");
    assert!(world.accepted(&romeo).is_empty(), "once");
    world.assert_settled();
    assert_eq!(world.router.spooling(), 0);
}

#[test]
fn a_row_that_cannot_be_written_leaves_it_to_the_client() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    let juliet = world.managed("juliet@example.net/balcony");
    world.engine.set(Mode::Fail(StoreError::Busy));
    world.send_numbered(&romeo, 1, &chat(JULIET, "1"));
    world.linger();
    assert!(world.accepted(&romeo).is_empty());
    world.settle(&world.take_messages(&juliet).1);
    assert_eq!(world.accepted(&romeo), [1]);
    world.assert_settled();
}

#[test]
fn a_row_that_found_no_room_is_written_when_there_is_some() {
    for error in [StoreError::Busy, StoreError::Full] {
        let world = World::new();
        let romeo = world.connect(ROMEO);
        let _juliet = world.managed("juliet@example.net/balcony");
        world.engine.set(Mode::Fail(error));
        world.send_numbered(&romeo, 1, &chat(JULIET, "1"));
        world.linger();
        assert!(world.accepted(&romeo).is_empty());
        world.engine.set(Mode::Through);
        world.pass(1_000);
        assert_eq!(world.accepted(&romeo), [1]);
        assert_eq!(spool(&world), "1");
    }
}

#[test]
fn a_row_of_which_nothing_is_known_is_written_again_before_anything_is_said_of_it() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    let juliet = world.managed("juliet@example.net/balcony");
    world.engine.set(Mode::Hold);
    world.send_numbered(&romeo, 1, &chat(JULIET, "1"));
    world.linger();
    // It was written, and the answer was lost.
    world.engine.lose();
    assert_eq!(spool(&world), "1");
    assert!(world.accepted(&romeo).is_empty());
    world.settle(&world.take_messages(&juliet).1);
    assert_eq!(world.accepted(&romeo), [1], "who has it has said so");
    world.engine.set(Mode::Fail(StoreError::Busy));
    world.pass(1_000);
    assert_eq!(spool(&world), "1", "the database is away: still nothing is known");
    world.engine.set(Mode::Through);
    world.pass(1_000);
    assert_eq!(spool(&world), "", "it does not come again");
    world.assert_settled();
    assert_eq!(world.router.spooling(), 0);
}

#[test]
fn a_message_for_who_is_away_of_which_nothing_is_known_is_neither_accepted_nor_refused() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    world.engine.set(Mode::Fail(StoreError::Unavailable));
    world.send_numbered(&romeo, 1, &chat(JULIET, "1"));
    for error in [StoreError::Busy, StoreError::Unavailable] {
        world.engine.set(Mode::Fail(error));
        world.pass(1_000);
        assert!(world.accepted(&romeo).is_empty());
        assert!(world.xml(&romeo).is_empty());
    }
    world.engine.set(Mode::Through);
    world.pass(1_000);
    assert_eq!(world.accepted(&romeo), [1]);
    assert_eq!(spool(&world), "1");
    assert!(world.xml(&romeo).is_empty());
}

#[test]
fn an_acknowledged_row_is_deleted_when_the_database_is_back() {
    for error in [StoreError::Busy, StoreError::Unavailable] {
        let world = World::new();
        let romeo = world.connect(ROMEO);
        let juliet = world.managed("juliet@example.net/balcony");
        world.send(&romeo, &chat(JULIET, "1"));
        world.linger();
        assert_eq!(spool(&world), "1");
        world.engine.set(Mode::Fail(error));
        world.settle(&world.take_messages(&juliet).1);
        world.pass(1_000);
        world.engine.set(Mode::Through);
        world.pass(1_000);
        assert_eq!(spool(&world), "");
        assert_eq!(world.router.spooling(), 0);
    }
}

#[test]
fn every_client_must_acknowledge_before_the_message_is_accepted() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    let balcony = world.managed("juliet@example.net/balcony");
    let chamber = world.managed("juliet@example.net/chamber");
    world.send_numbered(&romeo, 1, &chat(JULIET, "1"));
    world.settle(&world.take_messages(&balcony).1);
    assert!(world.accepted(&romeo).is_empty());
    world.settle(&world.take_messages(&chamber).1);
    assert_eq!(world.accepted(&romeo), [1]);
    world.assert_settled();
}

#[test]
fn what_a_session_leaves_unacknowledged_becomes_offline_messages() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    let juliet = world.managed("juliet@example.net/balcony");
    world.send_numbered(&romeo, 1, &chat(JULIET, "1"));
    world.send_numbered(&romeo, 2, &chat(JULIET, "2"));
    world.engine.set(Mode::Hold);
    world.end(&juliet, world.take(&juliet));
    assert!(world.accepted(&romeo).is_empty(), "nothing is committed");
    world.engine.release();
    assert_eq!(world.accepted(&romeo), [1, 2]);
    assert_eq!(spool(&world), "1 2");
    world.engine.set(Mode::Through);
    let juliet = world.managed("juliet@example.net/balcony");
    let (ids, settles) = world.take_messages(&juliet);
    assert_eq!(ids, "1 2");
    world.settle(&settles);
    assert_eq!(spool(&world), "");
    world.assert_settled();
}

#[test]
fn what_was_written_while_it_was_unacknowledged_stays_as_it_is() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    let juliet = world.managed("juliet@example.net/balcony");
    world.send_numbered(&romeo, 1, &chat(JULIET, "1"));
    world.linger();
    world.end(&juliet, world.take(&juliet));
    assert_eq!(spool(&world), "1", "one row, not two");
    let juliet = world.managed("juliet@example.net/balcony");
    assert_eq!(world.messages(&juliet), "1");
    assert_eq!(world.accepted(&romeo), [1]);
}

#[test]
fn a_session_that_ends_while_the_row_is_written_leaves_one_row() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    let juliet = world.managed("juliet@example.net/balcony");
    world.engine.set(Mode::Hold);
    world.send_numbered(&romeo, 1, &chat(JULIET, "1"));
    world.linger();
    world.end(&juliet, world.take(&juliet));
    world.engine.release();
    world.run();
    world.engine.release();
    assert_eq!(world.accepted(&romeo), [1]);
    assert_eq!(spool(&world), "1");
    world.assert_settled();
    assert_eq!(world.router.spooling(), 0);
}

#[test]
fn a_session_that_ends_while_the_write_fails_sends_its_message_elsewhere() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    let juliet = world.managed("juliet@example.net/balcony");
    world.engine.set(Mode::Hold);
    world.send_numbered(&romeo, 1, &chat(JULIET, "1"));
    world.linger();
    world.end(&juliet, world.take(&juliet));
    world.engine.set(Mode::Through);
    world.engine.fail(&StoreError::Busy);
    world.run();
    assert_eq!(world.accepted(&romeo), [1]);
    assert_eq!(spool(&world), "1");
}

#[test]
fn what_a_session_leaves_goes_to_a_resource_that_does_not_have_it() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    let balcony = world.managed("juliet@example.net/balcony");
    let chamber = world.online("juliet@example.net/chamber", 0);
    world.send_numbered(&romeo, 1, &chat("juliet@example.net/balcony", "1"));
    world.end(&balcony, world.take(&balcony));
    let (ids, settles) = world.take_messages(&chamber);
    assert_eq!(ids, "1");
    assert!(world.accepted(&romeo).is_empty(), "its socket has not got it");
    world.settle(&settles);
    assert_eq!(world.accepted(&romeo), [1]);
    assert_eq!(spool(&world), "");
    world.assert_settled();
}

#[test]
fn what_another_resource_has_already_is_not_sent_again() {
    for is_managed in [true, false] {
        let world = World::new();
        let romeo = world.connect(ROMEO);
        let balcony = world.managed("juliet@example.net/balcony");
        let chamber = world.online("juliet@example.net/chamber", 0);
        if is_managed {
            chamber.set_managed();
        }
        world.send_numbered(&romeo, 1, &chat(JULIET, "1"));
        let (ids, settles) = world.take_messages(&chamber);
        assert_eq!(ids, "1");
        world.settle(&settles);
        world.end(&balcony, world.take(&balcony));
        assert_eq!(world.accepted(&romeo), [1]);
        assert_eq!(world.messages(&chamber), "");
        assert_eq!(spool(&world), "");
        world.assert_settled();
    }
}

#[test]
fn what_another_resource_may_still_acknowledge_waits_for_it() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    let balcony = world.managed("juliet@example.net/balcony");
    let chamber = world.managed("juliet@example.net/chamber");
    world.send_numbered(&romeo, 1, &chat(JULIET, "1"));
    world.end(&balcony, world.take(&balcony));
    assert!(world.accepted(&romeo).is_empty());
    world.end(&chamber, world.take(&chamber));
    assert_eq!(world.accepted(&romeo), [1]);
    assert_eq!(spool(&world), "1", "nobody had it");
}

#[test]
fn what_must_not_be_stored_is_acknowledged_or_bounces() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    let juliet = world.managed("juliet@example.net/balcony");
    let secret = |id: &str| {
        let hint = "<no-store xmlns='urn:xmpp:hints'/></message>";
        chat(JULIET, id).replace("</message>", hint)
    };
    world.send_numbered(&romeo, 1, &secret("1"));
    world.linger();
    assert_eq!(spool(&world), "");
    world.settle(&world.take_messages(&juliet).1);
    assert_eq!(world.accepted(&romeo), [1]);
    world.send_numbered(&romeo, 2, &secret("2"));
    world.linger();
    world.end(&juliet, world.take(&juliet));
    assert_eq!(world.accepted(&romeo), [2]);
    assert_bounced(&world, &romeo, "service-unavailable");
    assert_eq!(spool(&world), "");
}

#[test]
fn a_stream_that_takes_nothing_makes_messages_bounce() {
    for is_managed in [true, false] {
        let world = World::new();
        let romeo = world.connect(ROMEO);
        let juliet = world.online("juliet@example.net/balcony", 0);
        if is_managed {
            juliet.set_managed();
        }
        world.set_full(&juliet, true);
        assert_eq!(world.send_numbered(&romeo, 1, &chat(JULIET, "1")), Taken::Done);
        assert!(world.accepted(&romeo).is_empty(), "the caller was told already");
        assert_bounced(&world, &romeo, "resource-constraint");
        world.linger();
        assert_eq!(spool(&world), "");
        world.assert_settled();
    }
}

#[test]
fn a_resource_that_takes_nothing_does_not_hold_up_the_others() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    let balcony = world.managed("juliet@example.net/balcony");
    let chamber = world.managed("juliet@example.net/chamber");
    world.set_full(&balcony, true);
    assert_eq!(world.send_numbered(&romeo, 1, &chat(JULIET, "1")), Taken::Later);
    world.settle(&world.take_messages(&chamber).1);
    assert_eq!(world.accepted(&romeo), [1]);
    assert!(world.xml(&romeo).is_empty());
    world.assert_settled();
}

#[test]
fn a_request_that_its_client_never_got_is_answered_with_an_error() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    let juliet = world.managed("juliet@example.net/balcony");
    let to = "to='juliet@example.net/balcony'";
    world.send(&romeo, &format!("<iq type='get' id='1' {to}><ping xmlns='urn:xmpp:ping'/></iq>"));
    world.send(&romeo, &format!("<iq type='result' id='2' {to}/>"));
    world.send(&romeo, &format!("<presence {to}/>"));
    world.end(&juliet, world.take(&juliet));
    assert_bounced(&world, &romeo, "service-unavailable");
}

#[test]
fn a_full_spool_refuses_and_counts_only_once() {
    let config = RouterConfig { offline_messages_max: 3, ..RouterConfig::default() };
    let world = World::with(|_| {}, config);
    let romeo = world.connect(ROMEO);
    for number in 1..=3 {
        world.send_numbered(&romeo, number, &chat(JULIET, &number.to_string()));
    }
    assert_eq!(world.accepted(&romeo), [1, 2, 3]);
    assert_eq!(world.engine.lists(SPOOL), 1, "the spool is listed once");
    world.send_numbered(&romeo, 4, &chat(JULIET, "4"));
    assert_eq!(world.accepted(&romeo), [4]);
    assert_bounced(&world, &romeo, "service-unavailable");
    assert_eq!(spool(&world), "1 2 3");
    // Who reads them makes room.
    let juliet = world.online("juliet@example.net/balcony", 0);
    world.settle(&world.take_messages(&juliet).1);
    world.end(&juliet, Vec::new());
    world.send_numbered(&romeo, 5, &chat(JULIET, "5"));
    assert_eq!(spool(&world), "5");
    assert!(world.xml(&romeo).is_empty());
}

#[test]
fn messages_that_come_while_the_rows_are_counted_keep_order_and_bound() {
    let config = RouterConfig { offline_messages_max: 2, ..RouterConfig::default() };
    let world = World::with(|_| {}, config);
    let romeo = world.connect(ROMEO);
    world.engine.set_reads_wait(true);
    for number in 1..=3 {
        let taken = world.send_numbered(&romeo, number, &chat(JULIET, &number.to_string()));
        assert_eq!(taken, Taken::Later);
    }
    assert!(world.accepted(&romeo).is_empty());
    world.engine.set_reads_wait(false);
    world.run();
    assert_eq!(world.accepted(&romeo), [1, 2, 3]);
    assert_eq!(spool(&world), "1 2");
    assert_bounced(&world, &romeo, "service-unavailable");
}

#[test]
fn a_write_that_failed_does_not_count() {
    let config = RouterConfig { offline_messages_max: 1, ..RouterConfig::default() };
    let world = World::with(|_| {}, config);
    let romeo = world.connect(ROMEO);
    world.engine.set(Mode::Fail(StoreError::Busy));
    world.send_numbered(&romeo, 1, &chat(JULIET, "1"));
    world.engine.set(Mode::Through);
    world.send_numbered(&romeo, 2, &chat(JULIET, "2"));
    assert_eq!(spool(&world), "2");
}
