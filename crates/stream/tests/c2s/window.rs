//! What a client may leave unacknowledged, and what becomes of the rest (promise P5: what a full
//! window refused is not overtaken).

use crate::pair::{Pair, config, each_cut, message};
use expect_test::{Expect, expect};
use jackdaw_stanza::{Builder, IqType, Settle};
use jackdaw_stream::c2s::Kept;

const ENABLE: &str = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>";

/// The window of [`config`].
const WINDOW: u64 = 20;

/// What the tests let wait for a socket; the machine refuses at less.
const MUCH: usize = 1024 * 1024;

fn acknowledge(pair: &mut Pair, h: u64) {
    pair.client(&format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>"));
}

/// A session under stream management whose window is full.
fn full(cut: crate::pair::Cut) -> Pair {
    let mut pair = Pair::established(cut, config());
    pair.client(ENABLE);
    for number in 1..=WINDOW {
        pair.deliver_tracked(message("x"), Some(Settle(number)));
    }
    pair.log();
    pair
}

fn check(script: impl Fn(&mut Pair), expected: Expect) {
    let log = each_cut(|cut| {
        let mut pair = full(cut);
        script(&mut pair);
        // Which of them were settled is not the question here.
        let log = pair.log();
        log.lines()
            .filter(|line| !line.starts_with("* settled"))
            .map(|line| format!("{line}\n"))
            .collect()
    });
    expected.assert_eq(&log);
}

#[test]
fn what_a_full_window_refused_is_not_overtaken() {
    check(
        |pair| {
            pair.deliver_tracked(message("21"), Some(Settle(21)));
            acknowledge(pair, WINDOW);
            pair.deliver_tracked(message("22"), Some(Settle(22)));
            pair.fence();
            pair.deliver_tracked(message("21"), Some(Settle(23)));
        },
        expect![[r#"
            * refused
            * room
            * refused
            * takes more: true
            <message from='romeo@example.org/orchard' to='juliet@example.org/balcony' type='chat'>
              <body>21</body>
              </message>
              <r xmlns='urn:xmpp:sm:3'/>
        "#]],
    );
}

#[test]
fn a_fence_does_not_open_a_window_that_is_full() {
    check(
        |pair| {
            pair.deliver_tracked(message("21"), Some(Settle(21)));
            pair.fence();
            acknowledge(pair, 5);
            acknowledge(pair, 11);
            pair.fence();
        },
        expect![[r#"
            * refused
            * takes more: false
            * room
            * takes more: true
        "#]],
    );
}

#[test]
fn a_fence_before_anything_is_refused_says_whether_there_is_room() {
    check(
        |pair| {
            pair.fence();
            acknowledge(pair, 1);
            pair.deliver_tracked(message("21"), Some(Settle(21)));
            acknowledge(pair, WINDOW);
            pair.fence();
        },
        expect![[r#"
            * takes more: false
            * refused
            * room
            * takes more: true
        "#]],
    );
}

#[test]
fn an_answer_passes_a_full_window() {
    check(
        |pair| {
            let answer = Builder::iq(IqType::Result).id("ping").build();
            pair.deliver(answer);
        },
        expect![[r#"
            <iq type='result' id='ping'/>
              <r xmlns='urn:xmpp:sm:3'/>
        "#]],
    );
}

#[test]
fn a_session_that_acknowledges_nothing_ends_when_too_much_passed_its_window() {
    check(
        |pair| {
            for _ in 0..WINDOW * 7 {
                pair.deliver(Builder::presence().build());
            }
            assert!(pair.c2s.is_established());
            pair.log();
            pair.deliver(Builder::presence().build());
        },
        expect![[r#"
            <stream:error>
              <resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>
              </stream:error>
              </stream:stream>
            * ended
            * close
            * refused
        "#]],
    );
}

#[test]
fn a_client_that_acknowledges_nothing_and_reads_slowly_is_handed_no_more_messages() {
    let log = each_cut(|cut| {
        let mut pair = Pair::established(cut, config());
        pair.deliver_tracked(message("1"), Some(Settle(1)));
        pair.drain_to(MUCH);
        pair.deliver_tracked(message("2"), Some(Settle(2)));
        pair.deliver(Builder::iq(IqType::Result).id("ping").build());
        pair.drain_to(0);
        pair.deliver_tracked(message("3"), Some(Settle(3)));
        pair.fence();
        pair.deliver_tracked(message("2"), Some(Settle(4)));
        pair.log()
    });
    expect![[r#"
        <message from='romeo@example.org/orchard' to='juliet@example.org/balcony' type='chat'>
          <body>1</body>
          </message>
        * refused
        <iq type='result' id='ping'/>
        * room
        * refused
        * takes more: true
        <message from='romeo@example.org/orchard' to='juliet@example.org/balcony' type='chat'>
          <body>2</body>
          </message>
    "#]]
    .assert_eq(&log);
}

#[test]
fn a_client_on_record_may_leave_when_what_it_acknowledged_is_durable() {
    let log = each_cut(|cut| {
        let mut pair = Pair::established(cut, config());
        pair.answers.kept = Kept::Durably;
        pair.client(ENABLE);
        pair.deliver_tracked(message("x"), Some(Settle(1)));
        pair.log();
        pair.client("<a xmlns='urn:xmpp:sm:3' h='1'/></stream:stream>");
        assert!(pair.c2s.take_unacknowledged().is_empty());
        let before = pair.log();
        pair.call(|c2s, cx| c2s.left(cx));
        before + "--\n" + &pair.log()
    });
    expect![[r#"
        * settled 1
        * leaving
        --
        </stream:stream>
        * ended
        * close
    "#]]
    .assert_eq(&log);
}
