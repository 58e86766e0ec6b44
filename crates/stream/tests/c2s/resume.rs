//! Resumption (XEP-0198 §5): on the same terms, from another stream, by nobody else.

use crate::pair::{BIND, Cut, HEADER, Pair, config, each_cut, message, secure};
use expect_test::expect;
use jackdaw_stanza::Settle;
use jackdaw_stream::StreamError;
use jackdaw_stream::c2s::Disconnected;
use std::time::Duration;

const ENABLE: &str = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>";
const PRESENCE: &str = "<presence/>";

/// A managed session that was sent three messages and acknowledged one; its id.
fn old(cut: Cut) -> (Pair, String) {
    let mut pair = Pair::established(cut, config());
    pair.client(ENABLE);
    let id = pair.log().split('\'').nth(3).expect("an id").to_owned();
    pair.client(PRESENCE);
    for (settle, body) in ["one", "two", "three"].into_iter().enumerate() {
        pair.deliver_tracked(message(body), Some(Settle(settle as u64)));
    }
    pair.client("<a xmlns='urn:xmpp:sm:3' h='1'/>");
    pair.log();
    (pair, id)
}

fn lost(cut: Cut) -> (Pair, String) {
    let (mut pair, id) = old(cut);
    assert_eq!(pair.c2s.handle_disconnect(pair.now), Disconnected::Resumable);
    (pair, id)
}

/// An authenticated stream that knows of the old one.
fn new(cut: Cut, old: Pair) -> Pair {
    let mut pair = Pair::seeded(cut, config(), secure(), 2);
    pair.authenticate();
    pair.answers.old = Some(Box::new(old));
    pair.log();
    pair
}

fn resume(id: &str, h: &str) -> String {
    format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='{h}'/>")
}

#[test]
fn a_resumed_session_gets_what_it_missed_and_goes_on_counting() {
    let log = each_cut(|cut| {
        let (mut old, id) = lost(cut);
        old.deliver_tracked(message("four"), Some(Settle(9)));
        assert_eq!(old.log(), "", "nothing is written to nobody");
        let mut pair = new(cut, old);
        pair.client(&resume(&id, "2"));
        assert_eq!(pair.c2s.jid().expect("a JID").as_str(), "juliet@example.org/balcony");
        pair.client(PRESENCE).client("<r xmlns='urn:xmpp:sm:3'/>");
        pair.client("<a xmlns='urn:xmpp:sm:3' h='4'/>");
        pair.log().replace(&id, "ID")
    });
    expect![[r#"
        * resume juliet@example.org h=2
        <resumed xmlns='urn:xmpp:sm:3' previd='ID' h='1'/>
          <message from='romeo@example.org/orchard' to='juliet@example.org/balcony' type='chat'>
          <body>three</body>
          </message>
          <message from='romeo@example.org/orchard' to='juliet@example.org/balcony' type='chat'>
          <body>four</body>
          </message>
          <r xmlns='urn:xmpp:sm:3'/>
        * settled 1
        * stanza 2: <presence/>
        <a xmlns='urn:xmpp:sm:3' h='2'/>
        * settled 2
        * settled 9
    "#]]
    .assert_eq(&log);
}

#[test]
fn a_socket_that_is_still_open_is_closed_with_conflict() {
    let log = each_cut(|cut| {
        let (old, id) = old(cut);
        let mut pair = new(cut, old);
        pair.client(&resume(&id, "3"));
        let old = pair.answers.old.as_mut().expect("the old stream");
        assert_eq!(old.c2s.handle_disconnect(old.now), Disconnected::Over);
        assert!(old.c2s.take_unacknowledged().is_empty());
        old.log() + &pair.log().replace(&id, "ID")
    });
    expect![[r#"
        <stream:error>
          <conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>
          </stream:error>
          </stream:stream>
        * close
        * resume juliet@example.org h=3
        <resumed xmlns='urn:xmpp:sm:3' previd='ID' h='1'/>
        * settled 1
        * settled 2
    "#]]
    .assert_eq(&log);
}

#[test]
fn what_was_received_but_not_accepted_is_waited_for() {
    let log = each_cut(|cut| {
        let (mut old, id) = old(cut);
        old.answers.accept = false;
        old.client(PRESENCE);
        old.log();
        let mut pair = new(cut, old);
        pair.client(&resume(&id, "3"));
        assert!(!pair.c2s.is_established());
        pair.deliver(message("meanwhile"));
        pair.accept(2);
        pair.log().replace(&id, "ID")
    });
    expect![[r#"
        * resume juliet@example.org h=3
        * settled 1
        * settled 2
        <resumed xmlns='urn:xmpp:sm:3' previd='ID' h='2'/>
          <message from='romeo@example.org/orchard' to='juliet@example.org/balcony' type='chat'>
          <body>meanwhile</body>
          </message>
          <r xmlns='urn:xmpp:sm:3'/>
    "#]]
    .assert_eq(&log);
}

#[test]
fn what_is_not_accepted_in_time_the_client_sends_again() {
    let log = each_cut(|cut| {
        let (mut old, id) = old(cut);
        old.answers.accept = false;
        old.client(PRESENCE).client(PRESENCE);
        old.accept(3);
        old.log();
        let mut pair = new(cut, old);
        pair.answers.accept = false;
        pair.client(&resume(&id, "3"));
        pair.wait(Duration::from_secs(1));
        pair.client(PRESENCE).client(PRESENCE).client("<r xmlns='urn:xmpp:sm:3'/>");
        pair.accept(2).accept(3);
        pair.log().replace(&id, "ID")
    });
    expect![[r#"
        * resume juliet@example.org h=3
        * settled 1
        * settled 2
        <resumed xmlns='urn:xmpp:sm:3' previd='ID' h='1'/>
        * stanza 2: <presence/>
        * stanza 3: <presence/>
        <a xmlns='urn:xmpp:sm:3' h='3'/>
    "#]]
    .assert_eq(&log);
}

#[test]
fn a_session_that_nobody_resumes_ends_with_what_is_left() {
    let (mut pair, _) = lost(Cut::Whole);
    pair.wait(Duration::from_secs(599));
    assert_eq!(pair.log(), "");
    pair.wait(Duration::from_secs(1));
    assert_eq!(pair.log(), "* ended\n");
    let left = pair.c2s.take_unacknowledged();
    let bodies: Vec<_> = left
        .iter()
        .map(|delivery| {
            (delivery.settle, String::from_utf8_lossy(&delivery.stanza.to_bytes()).into_owned())
        })
        .collect();
    assert_eq!(bodies.len(), 2);
    assert!(bodies[0].1.contains("two") && bodies[1].1.contains("three"), "{bodies:?}");
    assert_eq!((bodies[0].0, bodies[1].0), (Some(Settle(1)), Some(Settle(2))));
    assert!(pair.c2s.take_unacknowledged().is_empty());
    assert_eq!(pair.c2s.next_timeout(), None);
}

#[test]
fn the_unread_is_given_back_however_the_session_ends() {
    type End = fn(&mut Pair);
    let ends: [(&str, End); 4] = [
        ("closed by the client", |pair| {
            pair.client("</stream:stream>");
        }),
        ("closed by us", |pair| {
            pair.close(StreamError::system_shutdown());
        }),
        ("broken by the client", |pair| {
            pair.client("<message></presence>");
        }),
        ("ended while detached", |pair| {
            pair.c2s.handle_disconnect(pair.now);
            pair.close(StreamError::system_shutdown());
        }),
    ];
    for (name, end) in ends {
        let (mut pair, _) = old(Cut::Whole);
        end(&mut pair);
        let log = pair.log();
        assert_eq!(log.matches("* ended").count(), 1, "{name}: {log}");
        assert_eq!(pair.c2s.take_unacknowledged().len(), 2, "{name}");
        assert_eq!(pair.c2s.handle_disconnect(pair.now), Disconnected::Over, "{name}");
        assert_eq!(pair.c2s.next_timeout(), None, "{name}");
    }
}

/// T22.
#[test]
fn whoever_does_not_own_the_session_finds_nothing() {
    let log = each_cut(|cut| {
        let (old, id) = lost(cut);
        let mut other = id.clone();
        other.replace_range(31.., if id.ends_with('A') { "Q" } else { "A" });
        let mut pair = new(cut, old);
        for id in [other.as_str(), "", "nonsense", &id[1..]] {
            pair.client(&resume(id, "2"));
        }
        // After a failure the client may bind.
        pair.client(BIND);
        assert!(pair.c2s.is_established());
        let old = pair.answers.old.as_ref().expect("the old stream");
        assert!(old.c2s.is_resumable());
        pair.log()
    });
    expect![[r#"
        * resume juliet@example.org h=2
        <failed xmlns='urn:xmpp:sm:3'>
          <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>
          </failed>
        <failed xmlns='urn:xmpp:sm:3'>
          <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>
          </failed>
        <failed xmlns='urn:xmpp:sm:3'>
          <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>
          </failed>
        <failed xmlns='urn:xmpp:sm:3'>
          <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>
          </failed>
        * bind juliet@example.org/balcony, carbons: Off
        <iq type='result' id='b1'>
          <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>
          <jid>juliet@example.org/balcony</jid>
          </bind>
          </iq>
    "#]]
    .assert_eq(&log);
}

/// T22: the right id, by another account.
#[test]
fn another_account_finds_nothing_by_the_right_id() {
    let (mut old, id) = lost(Cut::Whole);
    let mut resume = jackdaw_stream::c2s::Resume {
        account: jackdaw_jid::BareJid::parse("romeo@example.org").expect("a JID"),
        id: jackdaw_stream::c2s::SmId::parse(&id).expect("an id"),
        h: 2,
    };
    let failed = old.call(|c2s, cx| c2s.detach(cx, &resume)).expect_err("not his");
    assert_eq!(failed, jackdaw_stream::c2s::ResumeFailed::NotFound { h: None });
    resume.account = jackdaw_jid::BareJid::parse("juliet@example.org").expect("a JID");
    assert!(old.call(|c2s, cx| c2s.detach(cx, &resume)).is_ok());
}

/// T22: of two that resume at once one gets it.
#[test]
fn a_session_is_resumed_once() {
    let log = each_cut(|cut| {
        let (old, id) = lost(cut);
        let mut first = new(cut, old);
        first.client(&resume(&id, "2"));
        assert!(first.c2s.is_established());
        let old = first.answers.old.take().expect("the old stream");
        let mut second = new(cut, *old);
        second.client(&resume(&id, "2"));
        second.log()
    });
    expect![[r#"
        * resume juliet@example.org h=2
        <failed xmlns='urn:xmpp:sm:3'>
          <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>
          </failed>
    "#]]
    .assert_eq(&log);
}

/// T22.
#[test]
fn a_resumption_with_an_h_that_cannot_be_leaves_the_session_alone() {
    for (h, expected) in [
        ("4", "<handled-count-too-high xmlns='urn:xmpp:sm:3' h='4' send-count='3'/>"),
        ("0", "<failed xmlns='urn:xmpp:sm:3' h='1'>"),
        ("4294967295", "<failed xmlns='urn:xmpp:sm:3' h='1'>"),
        ("-1", "<bad-format "),
        ("4294967296", "<bad-format "),
        ("many", "<bad-format "),
    ] {
        let log = each_cut(|cut| {
            let (old, id) = lost(cut);
            let mut pair = new(cut, old);
            pair.client(&resume(&id, h));
            let old = pair.answers.old.as_ref().expect("the old stream");
            assert!(old.c2s.is_resumable(), "{h}");
            pair.log()
        });
        assert!(log.contains(expected), "{h}: {log}");
    }
}

#[test]
fn a_resumption_before_authentication_is_refused() {
    let log = each_cut(|cut| {
        let (_, id) = lost(cut);
        let mut pair = Pair::new(cut, config(), secure());
        pair.client(HEADER);
        pair.log();
        pair.client(&resume(&id, "2"));
        pair.log()
    });
    expect![[r#"
        <stream:error>
          <unsupported-stanza-type xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>
          </stream:error>
          </stream:stream>
        * close
    "#]]
    .assert_eq(&log);
}

#[test]
fn a_client_that_fell_silent_can_come_back() {
    let log = each_cut(|cut| {
        let (mut old, id) = old(cut);
        old.wait(Duration::from_secs(60));
        assert!(old.log().contains("<connection-timeout "));
        assert!(!old.c2s.is_established() && old.c2s.is_resumable());
        assert_eq!(old.c2s.handle_disconnect(old.now), Disconnected::Resumable);
        let mut pair = new(cut, old);
        pair.client(&resume(&id, "3"));
        pair.log().replace(&id, "ID")
    });
    expect![[r#"
        * resume juliet@example.org h=3
        <resumed xmlns='urn:xmpp:sm:3' previd='ID' h='1'/>
        * settled 1
        * settled 2
    "#]]
    .assert_eq(&log);
}

#[test]
fn a_resumption_that_comes_too_late_for_its_stream_is_not_lost() {
    let (old, id) = lost(Cut::Whole);
    let mut pair = new(Cut::Whole, old);
    pair.answers.at_once = false;
    pair.client(&resume(&id, "2"));
    assert_eq!(pair.c2s.handle_disconnect(pair.now), Disconnected::Over);
    pair.answer_next();
    assert!(pair.c2s.is_resumable());
    pair.wait(Duration::from_secs(600));
    assert!(pair.log().ends_with("* ended\n"));
    assert_eq!(pair.c2s.take_unacknowledged().len(), 2);
}

/// A bind that nobody waits for any more must not stay in the session table.
#[test]
fn a_bind_that_comes_too_late_ends_at_once() {
    let mut pair = Pair::new(Cut::Whole, config(), secure());
    pair.authenticate();
    pair.answers.at_once = false;
    pair.client(BIND);
    assert_eq!(pair.c2s.handle_disconnect(pair.now), Disconnected::Over);
    pair.log();
    pair.answer_next();
    assert_eq!(pair.log(), "* bind juliet@example.org/balcony, carbons: Off\n* ended\n");
}
