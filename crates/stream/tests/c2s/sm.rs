//! Stream management: acknowledgements and what they promise (XEP-0198 §3, §4, promise P1).

use crate::pair::{Pair, config, each_cut, message};
use expect_test::{Expect, expect};
use jackdaw_stanza::Settle;
use std::time::Duration;

const ENABLE: &str = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>";
const R: &str = "<r xmlns='urn:xmpp:sm:3'/>";
const PRESENCE: &str = "<presence/>";

fn managed(cut: crate::pair::Cut) -> Pair {
    let mut pair = Pair::established(cut, config());
    pair.client(ENABLE);
    pair.log();
    pair
}

fn check(script: impl Fn(&mut Pair), expected: Expect) {
    let log = each_cut(|cut| {
        let mut pair = managed(cut);
        script(&mut pair);
        pair.log()
    });
    expected.assert_eq(&log);
}

#[test]
fn enabling_gives_an_id_and_a_second_time_fails() {
    let log = each_cut(|cut| {
        let mut pair = Pair::established(cut, config());
        pair.client(ENABLE).client(ENABLE);
        assert!(pair.c2s.is_sm_enabled() && pair.c2s.is_resumable());
        pair.log()
    });
    expect![[r#"
        <enabled xmlns='urn:xmpp:sm:3' id='AAAAAAAAAAceTXWHeSUE00Vhh1R8nNPc' resume='true' max='600'/>
        * managed, resumable: true
        <failed xmlns='urn:xmpp:sm:3'>
          <unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>
          </failed>
    "#]].assert_eq(&log);
}

#[test]
fn a_session_is_resumable_only_if_asked_and_as_long_as_the_client_likes() {
    let log = each_cut(|cut| {
        [
            "<enable xmlns='urn:xmpp:sm:3'/>",
            "<enable xmlns='urn:xmpp:sm:3' resume='1' max='30'/>",
            "<enable xmlns='urn:xmpp:sm:3' resume='true' max='99999'/>",
            "<enable xmlns='urn:xmpp:sm:3' resume='true' max='-1'/>",
        ]
        .map(|enable| {
            let mut pair = Pair::established(cut, config());
            pair.client(enable);
            pair.log()
        })
        .concat()
    });
    expect![[r#"
        <enabled xmlns='urn:xmpp:sm:3'/>
        * managed, resumable: false
        <enabled xmlns='urn:xmpp:sm:3' id='AAAAAAAAAAceTXWHeSUE00Vhh1R8nNPc' resume='true' max='30'/>
        * managed, resumable: true
        <enabled xmlns='urn:xmpp:sm:3' id='AAAAAAAAAAceTXWHeSUE00Vhh1R8nNPc' resume='true' max='600'/>
        * managed, resumable: true
        <enabled xmlns='urn:xmpp:sm:3' id='AAAAAAAAAAceTXWHeSUE00Vhh1R8nNPc' resume='true' max='600'/>
        * managed, resumable: true
    "#]].assert_eq(&log);
}

#[test]
fn stream_management_without_having_been_enabled_fails() {
    let log = each_cut(|cut| {
        let mut pair = Pair::established(cut, config());
        pair.client(R).client("<a xmlns='urn:xmpp:sm:3' h='0'/>");
        pair.client("<resume xmlns='urn:xmpp:sm:3' previd='a' h='0'/>");
        pair.log()
    });
    expect![[r#"
        <failed xmlns='urn:xmpp:sm:3'>
          <unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>
          </failed>
        <failed xmlns='urn:xmpp:sm:3'>
          <unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>
          </failed>
        <failed xmlns='urn:xmpp:sm:3'>
          <unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>
          </failed>
    "#]]
    .assert_eq(&log);
}

#[test]
fn a_request_is_answered_at_once_if_all_is_accepted() {
    check(
        |pair| {
            pair.client(R).client(PRESENCE).client(PRESENCE).client(R);
        },
        expect![[r#"
            <a xmlns='urn:xmpp:sm:3' h='0'/>
            * stanza 1: <presence/>
            * stanza 2: <presence/>
            <a xmlns='urn:xmpp:sm:3' h='2'/>
        "#]],
    );
}

#[test]
fn h_waits_for_what_is_not_accepted_yet() {
    check(
        |pair| {
            pair.answers.accept = false;
            pair.client(PRESENCE).client(PRESENCE).client(R);
            pair.accept(2).accept(1);
        },
        expect![[r#"
            * stanza 1: <presence/>
            * stanza 2: <presence/>
            <a xmlns='urn:xmpp:sm:3' h='2'/>
        "#]],
    );
}

#[test]
fn an_answer_waits_a_second_at_most_and_the_rest_follows_unasked() {
    check(
        |pair| {
            pair.answers.accept = false;
            pair.client(PRESENCE).client(PRESENCE).client(R);
            pair.accept(1).wait(Duration::from_secs(2)).accept(2);
        },
        expect![[r#"
            * stanza 1: <presence/>
            * stanza 2: <presence/>
            <a xmlns='urn:xmpp:sm:3' h='1'/>
            <a xmlns='urn:xmpp:sm:3' h='2'/>
        "#]],
    );
}

#[test]
fn reading_stops_while_too_much_is_not_accepted() {
    let log = each_cut(|cut| {
        let mut pair = managed(cut);
        pair.answers.accept = false;
        for _ in 0..130 {
            pair.client(PRESENCE);
        }
        assert_eq!(pair.log().lines().count(), 128);
        assert!(pair.c2s.is_paused());
        pair.accept(2);
        pair.read_on();
        assert_eq!(pair.log(), "");
        pair.accept(1);
        pair.read_on();
        pair.log()
    });
    expect![[r#"
        * stanza 129: <presence/>
        * stanza 130: <presence/>
    "#]]
    .assert_eq(&log);
}

#[test]
fn deliveries_are_settled_when_the_client_acknowledges_them() {
    check(
        |pair| {
            for number in 1..=3 {
                pair.deliver_tracked(message("Ay me!"), Some(Settle(number)));
            }
            pair.client("<a xmlns='urn:xmpp:sm:3' h='2'/>");
            pair.client("<a xmlns='urn:xmpp:sm:3' h='2'/><a xmlns='urn:xmpp:sm:3' h='1'/>");
            pair.client("<a xmlns='urn:xmpp:sm:3' h='3'/>");
        },
        expect![[r#"
            <message from='romeo@example.org/orchard' to='juliet@example.org/balcony' type='chat'>
              <body>Ay me!</body>
              </message>
              <r xmlns='urn:xmpp:sm:3'/>
            <message from='romeo@example.org/orchard' to='juliet@example.org/balcony' type='chat'>
              <body>Ay me!</body>
              </message>
            <message from='romeo@example.org/orchard' to='juliet@example.org/balcony' type='chat'>
              <body>Ay me!</body>
              </message>
            <r xmlns='urn:xmpp:sm:3'/>
            * settled 1
            * settled 2
            * settled 3
        "#]],
    );
}

#[test]
fn without_stream_management_a_delivery_is_settled_when_it_is_written() {
    let log = each_cut(|cut| {
        let mut pair = Pair::established(cut, config());
        pair.deliver_tracked(message("Ay me!"), Some(Settle(1)));
        pair.log()
    });
    expect![[r#"
        <message from='romeo@example.org/orchard' to='juliet@example.org/balcony' type='chat'>
          <body>Ay me!</body>
          </message>
    "#]]
    .assert_eq(&log);
}

#[test]
fn acknowledgements_are_requested_once_a_burst_and_every_few_stanzas() {
    check(
        |pair| {
            for _ in 1..=7 {
                pair.deliver(message("Ay me!"));
            }
            let log = pair.log();
            let kinds = log.lines().filter_map(|line| line.trim().get(..2));
            let kinds: Vec<_> = kinds.filter(|kind| matches!(*kind, "<m" | "<r")).collect();
            assert_eq!(kinds.concat(), "<m<r<m<m<m<m<m<r<m");
            pair.client("<a xmlns='urn:xmpp:sm:3' h='6'/>");
        },
        expect![[r#"
            <r xmlns='urn:xmpp:sm:3'/>
        "#]],
    );
}

#[test]
fn a_client_that_acknowledges_nothing_gets_no_more() {
    check(
        |pair| {
            for _ in 1..=20 {
                pair.deliver(message("Ay me!"));
            }
            pair.log();
            pair.deliver(message("One too many"));
        },
        expect![[r#"
            <message from='romeo@example.org/orchard' to='juliet@example.org/balcony' type='chat'>
              <body>One too many</body>
              </message>
              <r xmlns='urn:xmpp:sm:3'/>
        "#]],
    );
}

/// T22: values of `h` that nobody can have reached.
#[test]
fn an_h_that_cannot_be_ends_the_stream() {
    for (h, condition) in [
        ("h='2'", "undefined-condition"),
        ("h='4294967295'", "stale"),
        ("h='2147483647'", "undefined-condition"),
        ("h='4294967296'", "bad-format"),
        ("h='-1'", "bad-format"),
        ("h='+1'", "bad-format"),
        ("h='one'", "bad-format"),
        ("h=''", "bad-format"),
        ("h=' 1'", "bad-format"),
        ("", "bad-format"),
    ] {
        let log = each_cut(|cut| {
            let mut pair = managed(cut);
            pair.deliver(message("Ay me!"));
            pair.log();
            pair.client(&format!("<a xmlns='urn:xmpp:sm:3' {h}/>"));
            pair.log()
        });
        if condition == "stale" {
            assert_eq!(log, "", "{h}");
        } else {
            let wanted = format!("<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>");
            assert!(log.contains(&wanted), "{h}: {log}");
            assert!(log.ends_with("* ended\n* close\n"), "{log}");
        }
    }
}

#[test]
fn a_handled_count_too_high_says_both_counts() {
    check(
        |pair| {
            pair.client("<a xmlns='urn:xmpp:sm:3' h='5'/>");
        },
        expect![[r#"
            <stream:error>
              <undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>
              <handled-count-too-high xmlns='urn:xmpp:sm:3' h='5' send-count='0'/>
              </stream:error>
              </stream:stream>
            * ended
            * close
        "#]],
    );
}

#[test]
fn a_client_that_leaves_is_told_what_became_of_its_last_words() {
    check(
        |pair| {
            pair.answers.accept = false;
            pair.client(PRESENCE).client("</stream:stream>");
            pair.deliver(message("too late"));
            pair.accept(1);
        },
        expect![[r#"
            * stanza 1: <presence/>
            * refused
            <a xmlns='urn:xmpp:sm:3' h='1'/>
              </stream:stream>
            * ended
            * close
        "#]],
    );
}

#[test]
fn a_client_that_leaves_is_not_kept_waiting() {
    check(
        |pair| {
            pair.answers.accept = false;
            pair.client(PRESENCE).client(PRESENCE).client("</stream:stream>");
            pair.accept(1).wait(Duration::from_secs(1));
        },
        expect![[r#"
            * stanza 1: <presence/>
            * stanza 2: <presence/>
            <a xmlns='urn:xmpp:sm:3' h='1'/>
              </stream:stream>
            * ended
            * close
        "#]],
    );
}

#[test]
fn acks_are_understood_however_they_are_written() {
    check(
        |pair| {
            pair.deliver_tracked(message("Ay me!"), Some(Settle(1)));
            pair.log();
            pair.client("<sm:a xmlns:sm='urn:xmpp:sm:3' h='0'></sm:a>");
            pair.client("<a h=\"&#49;\" xmlns=\"urn:xmpp:sm:3\"> </a>");
            pair.client("<r xmlns='urn:xmpp:sm:3'></r>").client("<r xmlns='urn:xmpp:sm:3' a='b'/>");
        },
        expect![[r#"
            * settled 1
            <a xmlns='urn:xmpp:sm:3' h='0'/>
            <a xmlns='urn:xmpp:sm:3' h='0'/>
        "#]],
    );
}

#[test]
fn a_server_that_shuts_down_says_what_it_accepted() {
    check(
        |pair| {
            pair.client(PRESENCE).close(jackdaw_stream::StreamError::system_shutdown());
        },
        expect![[r#"
            * stanza 1: <presence/>
            <a xmlns='urn:xmpp:sm:3' h='1'/>
              <stream:error>
              <system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>
              </stream:error>
              </stream:stream>
            * ended
            * close
        "#]],
    );
}
