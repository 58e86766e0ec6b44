//! Order through the spool (promise P5, and the offline races of the cluster's list): what is older
//! arrives first, once, however writes, reads, logins and live messages interleave.

mod support;

use jackdaw_router::spool::SPOOL;
use support::{Mode, World, chat};

const ROMEO: &str = "romeo@example.net/orchard";
const JULIET: &str = "juliet@example.net";

fn spool(world: &World) -> String {
    world.spool(JULIET)
}

#[test]
fn offline_messages_are_stamped_and_come_in_order() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    for id in ["1", "2", "3"] {
        world.send(&romeo, &chat(JULIET, id));
    }
    let juliet = world.connect("juliet@example.net/balcony");
    world.say_available(&juliet, -1);
    assert_eq!(world.messages(&juliet), "", "not with a negative priority");
    world.say_available(&juliet, 0);
    let got = world.xml(&juliet);
    assert_eq!(got.len(), 3);
    assert!(got[0].contains("<delay xmlns='urn:xmpp:delay' from='example.net' stamp='1970-"));
    world.say_available(&juliet, 1);
    assert_eq!(world.messages(&juliet), "", "once");
}

#[test]
fn a_row_that_is_written_during_a_login_is_not_stuck() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    world.engine.set(Mode::Hold);
    world.send(&romeo, &chat(JULIET, "1"));
    let juliet = world.online("juliet@example.net/balcony", 0);
    assert_eq!(world.messages(&juliet), "", "it is not committed");
    world.engine.release();
    world.run();
    assert_eq!(world.messages(&juliet), "1");
}

#[test]
fn a_live_message_does_not_overtake_one_that_is_being_written() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    world.engine.set(Mode::Hold);
    world.send(&romeo, &chat(JULIET, "1"));
    let juliet = world.online("juliet@example.net/balcony", 0);
    world.send(&romeo, &chat(JULIET, "2"));
    assert_eq!(world.messages(&juliet), "");
    world.engine.set(Mode::Through);
    world.engine.release();
    world.run();
    assert_eq!(world.messages(&juliet), "1 2");
    world.send(&romeo, &chat(JULIET, "3"));
    assert_eq!(world.messages(&juliet), "3", "the queue is over");
}

#[test]
fn a_live_message_does_not_overtake_a_flush() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    world.send(&romeo, &chat(JULIET, "1"));
    let juliet = world.connect("juliet@example.net/balcony");
    world.engine.set_reads_wait(true);
    world.say_available(&juliet, 0);
    world.send(&romeo, &chat(JULIET, "2"));
    assert_eq!(world.messages(&juliet), "");
    world.engine.set_reads_wait(false);
    world.run();
    assert_eq!(world.messages(&juliet), "1 2");
    world.send(&romeo, &chat(JULIET, "3"));
    assert_eq!(world.messages(&juliet), "3");
}

#[test]
fn a_live_message_that_queued_is_not_stamped_as_delayed() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    world.send(&romeo, &chat(JULIET, "1"));
    let juliet = world.connect("juliet@example.net/balcony");
    world.engine.set_reads_wait(true);
    world.say_available(&juliet, 0);
    world.send(&romeo, &chat(JULIET, "2"));
    world.engine.set_reads_wait(false);
    world.run();
    let stamped = world.xml(&juliet).iter().map(|xml| xml.contains("<delay")).collect::<Vec<_>>();
    assert_eq!(stamped, [true, false]);
}

#[test]
fn a_live_message_whose_row_is_written_after_the_flush_is_not_stamped_as_delayed() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    let juliet = world.connect("juliet@example.net/balcony");
    world.engine.set_reads_wait(true);
    world.say_available(&juliet, 0);
    world.engine.set(Mode::Hold);
    world.send(&romeo, &chat(JULIET, "1"));
    world.engine.set_reads_wait(false);
    world.run();
    assert_eq!(world.messages(&juliet), "", "the flush found nothing");
    world.engine.release();
    world.run();
    let got = world.xml(&juliet);
    assert!(matches!(&got[..], [xml] if !xml.contains("<delay")), "{got:?}");
}

#[test]
fn what_is_not_stored_does_not_wait_for_a_flush() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    world.send(&romeo, &chat(JULIET, "1"));
    let juliet = world.connect("juliet@example.net/balcony");
    world.engine.set_reads_wait(true);
    world.say_available(&juliet, 0);
    world.send(&romeo, &chat(JULIET, "2").replace("chat", "headline"));
    assert_eq!(world.messages(&juliet), "2");
    assert!(world.xml(&romeo).is_empty(), "and is not refused");
}

#[test]
fn a_message_that_queued_behind_a_flush_reaches_every_resource() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    world.send(&romeo, &chat(JULIET, "1"));
    let balcony = world.connect("juliet@example.net/balcony");
    let chamber = world.connect("juliet@example.net/chamber");
    world.engine.set_reads_wait(true);
    world.say_available(&balcony, 0);
    world.say_available(&chamber, 0);
    world.send(&romeo, &chat(JULIET, "2"));
    world.engine.set_reads_wait(false);
    world.run();
    assert_eq!(world.messages(&balcony), "1 2");
    assert_eq!(world.messages(&chamber), "2");
}

#[test]
fn two_resources_that_flush_share_the_rows() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    for id in 0..250 {
        world.send(&romeo, &chat(JULIET, &id.to_string()));
    }
    let balcony = world.connect("juliet@example.net/balcony");
    let chamber = world.connect("juliet@example.net/chamber");
    world.engine.set_reads_wait(true);
    world.say_available(&balcony, 0);
    world.say_available(&chamber, 0);
    world.engine.set_reads_wait(false);
    world.run();
    let (first, mut settles) = world.take_messages(&balcony);
    let (second, more) = world.take_messages(&chamber);
    let got = format!("{first} {second}");
    let expected: Vec<_> = (0..250).map(|id| id.to_string()).collect();
    assert_eq!(got.split_whitespace().collect::<Vec<_>>(), expected, "each once, in order");
    settles.extend(more);
    world.settle(&settles);
    assert_eq!(spool(&world), "");
    assert_eq!(world.router.spooling(), 0);
}

#[test]
fn rows_that_a_session_leaves_go_to_the_next_one() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    for id in ["1", "2", "3"] {
        world.send(&romeo, &chat(JULIET, id));
    }
    let balcony = world.managed("juliet@example.net/balcony");
    let mut left = world.take(&balcony);
    left.retain(|delivery| delivery.settle.is_some());
    let confirmed = left.remove(0);
    world.settle(&confirmed.settle.into_iter().collect::<Vec<_>>());
    let chamber = world.managed("juliet@example.net/chamber");
    assert_eq!(world.messages(&chamber), "", "they belong to the balcony");
    world.end(&balcony, left);
    assert_eq!(world.messages(&chamber), "2 3");
    assert_eq!(spool(&world), "2 3");
}

#[test]
fn a_message_left_by_a_session_keeps_its_place_before_later_ones() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    let juliet = world.managed("juliet@example.net/balcony");
    world.send(&romeo, &chat(JULIET, "1"));
    let left = world.take(&juliet);
    // The stream says that it is unavailable, and ends; a message comes in between.
    world.send(&juliet, "<presence type='unavailable'/>");
    world.send(&romeo, &chat(JULIET, "2"));
    world.end(&juliet, left);
    assert_eq!(spool(&world), "1 2");
}

#[test]
fn a_full_stream_gets_the_rest_when_it_has_room_again() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    for id in ["1", "2"] {
        world.send(&romeo, &chat(JULIET, id));
    }
    let juliet = world.connect("juliet@example.net/balcony");
    world.set_full(&juliet, true);
    world.say_available(&juliet, 0);
    world.run();
    assert_eq!(world.messages(&juliet), "");
    world.send(&romeo, &chat(JULIET, "3"));
    assert_eq!(spool(&world), "1 2 3", "live messages queue behind");
    let lists = world.engine.lists(SPOOL);
    world.pass(100);
    assert_eq!(world.engine.lists(SPOOL), lists, "it is not tried without pause");
    world.set_full(&juliet, false);
    world.pass(1000);
    let (ids, settles) = world.take_messages(&juliet);
    assert_eq!(ids, "1 2 3");
    world.settle(&settles);
    assert_eq!(spool(&world), "");
    assert_eq!(world.router.spooling(), 0);
}

#[test]
fn what_a_full_session_gives_back_does_not_come_to_it_at_once() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    let juliet = world.managed("juliet@example.net/balcony");
    world.send_numbered(&romeo, 1, &chat(JULIET, "1"));
    for delivery in world.take(&juliet) {
        world.router.undelivered(juliet.address(), delivery);
    }
    world.run();
    assert_eq!(world.messages(&juliet), "");
    assert_eq!((spool(&world).as_str(), world.accepted(&romeo)), ("1", vec![1]));
    world.send(&romeo, &chat(JULIET, "2"));
    // It gives them back a second time.
    world.pass(600);
    for delivery in world.take(&juliet) {
        world.router.undelivered(juliet.address(), delivery);
    }
    world.run();
    assert_eq!(world.messages(&juliet), "");
    world.pass(600);
    assert_eq!(world.messages(&juliet), "1 2");
    assert!(world.xml(&romeo).is_empty());
}

#[test]
fn what_a_full_session_gives_back_goes_to_another() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    let balcony = world.managed("juliet@example.net/balcony");
    world.send(&romeo, &chat("juliet@example.net/balcony", "1"));
    let chamber = world.managed("juliet@example.net/chamber");
    for delivery in world.take(&balcony) {
        world.router.undelivered(balcony.address(), delivery);
    }
    assert_eq!(world.messages(&balcony), "");
    assert_eq!(world.messages(&chamber), "1");
}

#[test]
fn a_message_to_a_stream_that_is_gone_is_not_lost() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    let juliet = world.online("juliet@example.net/balcony", 0);
    world.send(&romeo, &chat(JULIET, "1"));
    let mail = world.take(&juliet);
    world.end(&juliet, Vec::new());
    for delivery in mail {
        world.router.undelivered(juliet.address(), delivery);
    }
    world.run();
    assert_eq!(spool(&world), "1");
}

#[test]
fn a_damaged_row_stays_and_does_not_stop_the_others() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    let mut batch = jackdaw_store::Batch::new();
    let table = SPOOL;
    batch.put(table, &support::bare(JULIET), &1u64.to_be_bytes(), vec![9, 9]);
    let done: jackdaw_store::Done = Box::new(|done| done.expect("stored"));
    jackdaw_store::Engine::commit_then(
        &*world.engine,
        batch,
        jackdaw_store::Durability::Durable,
        done,
    );
    world.send(&romeo, &chat(JULIET, "1"));
    let juliet = world.online("juliet@example.net/balcony", 0);
    assert_eq!(world.messages(&juliet), "1");
}

#[test]
fn a_message_to_a_full_jid_does_not_overtake_one_that_waits_for_its_row() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    world.engine.set(Mode::Hold);
    world.send(&romeo, &chat(JULIET, "1"));
    let balcony = world.managed("juliet@example.net/balcony");
    let chamber = world.managed("juliet@example.net/chamber");
    world.send(&romeo, &chat("juliet@example.net/balcony", "2"));
    assert_eq!(world.messages(&balcony), "");
    world.engine.set(Mode::Through);
    world.engine.release();
    world.run();
    assert_eq!(world.messages(&balcony), "1 2");
    assert_eq!(world.messages(&chamber), "", "the second one names the other");
    world.send(&romeo, &chat("juliet@example.net/balcony", "3"));
    assert_eq!(world.messages(&balcony), "3", "the queue is over");
}

#[test]
fn a_message_that_named_a_resource_which_left_goes_to_another() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    let balcony = world.online("juliet@example.net/balcony", 0);
    let chamber = world.connect("juliet@example.net/chamber");
    // A flush that waits for the store.
    world.engine.set_reads_wait(true);
    world.say_available(&chamber, 0);
    world.send(&romeo, &chat("juliet@example.net/balcony", "1"));
    world.end(&balcony, Vec::new());
    world.engine.set_reads_wait(false);
    world.run();
    assert_eq!(world.messages(&chamber), "1");
}

#[test]
fn what_a_stream_refused_goes_before_what_came_after_it() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    let juliet = world.managed("juliet@example.net/balcony");
    world.send(&romeo, &chat(JULIET, "1"));
    let refused = world.take(&juliet);
    world.send(&romeo, &chat(JULIET, "2"));
    world.engine.set(Mode::Hold);
    for delivery in refused.into_iter().chain(world.take(&juliet)) {
        world.router.undelivered(juliet.address(), delivery);
    }
    // It has room by now, and takes what comes.
    world.send(&romeo, &chat(JULIET, "3"));
    world.send(&romeo, &chat("juliet@example.net/balcony", "4"));
    world.router.has_room(&juliet);
    world.pass(30);
    assert_eq!(world.messages(&juliet), "", "no row is written yet");
    world.engine.set(Mode::Through);
    world.engine.release();
    world.run();
    assert_eq!(world.messages(&juliet), "1 2 3 4");
}

#[test]
fn a_row_that_was_being_written_when_its_stream_refused_it_is_not_overtaken() {
    let world = World::new();
    let romeo = world.recorded(ROMEO);
    let juliet = world.managed("juliet@example.net/balcony");
    world.engine.set(Mode::Hold);
    world.send_numbered(&romeo, 1, &support::chat_once(JULIET, "1"));
    for delivery in world.take(&juliet) {
        world.router.undelivered(juliet.address(), delivery);
    }
    world.send_numbered(&romeo, 2, &support::chat_once(JULIET, "2"));
    world.router.has_room(&juliet);
    world.pass(30);
    assert_eq!(world.messages(&juliet), "");
    world.engine.set(Mode::Through);
    world.engine.release();
    world.run();
    assert_eq!(world.messages(&juliet), "1 2");
}

#[test]
fn a_client_without_stream_management_gets_again_what_its_socket_did_not_take() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    for id in ["1", "2"] {
        world.send(&romeo, &chat(JULIET, id));
    }
    let juliet = world.online("juliet@example.net/balcony", 0);
    let (ids, rows) = world.take_messages(&juliet);
    assert_eq!(ids, "1 2");
    world.settle(&rows[..1]);
    world.send(&romeo, &chat(JULIET, "3"));
    let live = world.take(&juliet);
    let at = juliet.address();
    world.end(&juliet, Vec::new());
    world.send(&romeo, &chat(JULIET, "4"));
    world.router.unsent(rows[1]);
    for delivery in live {
        world.router.undelivered(at, delivery);
    }
    world.run();
    assert_eq!(spool(&world), "2 3 4");
    world.assert_settled();
}

#[test]
fn a_flush_hands_out_a_page_and_waits_for_its_stream() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    let body = format!("<body>{}</body>", "o".repeat(100_000));
    for id in 0..7 {
        world.send(&romeo, &chat(JULIET, &id.to_string()).replace("<body>o</body>", &body));
    }
    let juliet = world.connect("juliet@example.net/balcony");
    world.say_available(&juliet, 0);
    assert_eq!(world.handed(&juliet), 3, "a quarter of a megabyte, and what passed it");
    assert_eq!(world.messages(&juliet), "0 1 2 3 4 5 6", "when it comes to each fence");
}

#[test]
fn a_flush_goes_on_with_another_session_when_its_own_ends() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    for id in 0..150 {
        world.send(&romeo, &chat(JULIET, &id.to_string()));
    }
    let balcony = world.managed("juliet@example.net/balcony");
    let chamber = world.managed("juliet@example.net/chamber");
    assert_eq!(world.handed(&balcony), 100);
    let left = world.take_unfenced(&balcony);
    world.end(&balcony, left);
    let expected: Vec<_> = (0..150).map(|id| id.to_string()).collect();
    let (ids, settles) = world.take_messages(&chamber);
    assert_eq!(ids.split(' ').collect::<Vec<_>>(), expected);
    world.settle(&settles);
    assert_eq!((spool(&world).as_str(), world.router.spooling()), ("", 0));
}

#[test]
fn a_session_that_takes_no_more_does_not_hold_up_another() {
    let world = World::new();
    let romeo = world.connect(ROMEO);
    let balcony = world.managed("juliet@example.net/balcony");
    let chamber = world.managed("juliet@example.net/chamber");
    world.send(&romeo, &chat(JULIET, "1"));
    for delivery in world.take(&balcony) {
        world.router.undelivered(balcony.address(), delivery);
    }
    world.send(&romeo, &chat(JULIET, "2"));
    assert_eq!(world.messages(&balcony), "");
    assert_eq!(world.messages(&chamber), "1 2");
    world.pass(600);
    world.send(&romeo, &chat(JULIET, "3"));
    assert_eq!(world.messages(&balcony), "3", "it is tried again");
}
