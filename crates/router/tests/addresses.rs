//! RFC 6120 §8.1, §8.2.3, §8.3.1 and §10: addresses, requests that are answered once, and errors
//! that cause none.

mod support;

use std::sync::Arc;

use jackdaw_ext::{At, Command, Direction, Flow, Registry, Reply, Roster};
use jackdaw_jid::JidRef;
use jackdaw_ownership::{Epoch, NodeId, Owner, Owners};
use jackdaw_router::{RouterConfig, Taken};
use jackdaw_stanza::{StanzaError, ns};
use jackdaw_xml::Element;
use support::{World, chat};

const ROMEO: &str = "romeo@example.net/orchard";
const PING: &str = "<ping xmlns='urn:xmpp:ping'/>";

/// Pings are answered by a host and by everybody's account; secrets by nobody; one answer is late.
fn answers(registry: &mut Registry) {
    for at in [At::Host, At::Account, At::Bare] {
        registry.iq_get(at, "urn:xmpp:ping", "ping", |_, _| async { Ok(Reply::empty()) });
    }
    registry.iq_get(At::Bare, "urn:example:secret", "query", |_, _| async {
        Err(StanzaError::forbidden())
    });
    registry.phase(2, Direction::Inbound, |_, stanza| {
        match stanza.to().is_some_and(|to| to.is_full())
            && stanza.has("urn:example:secret", "query")
        {
            true => Flow::Refuse(StanzaError::forbidden()),
            false => Flow::Continue,
        }
    });
    registry.order(&[], &[2]);
    registry.iq_get(At::Host, "urn:example:late", "query", |_, _| async {
        std::future::pending::<()>().await;
        Ok(Reply::new(Element::new("urn:example:late", "query")))
    });
}

fn world() -> World {
    World::with(answers, RouterConfig::default())
}

/// What Romeo gets when he sends this: each answer without its payload.
#[track_caller]
fn check(sent: &str, expected: &[&str]) {
    let world = world();
    let romeo = world.connect(ROMEO);
    world.send(&romeo, sent);
    world.run();
    let answers = world.xml(&romeo);
    assert_eq!(answers.len(), expected.len(), "{sent}: {answers:?}");
    for (answer, expected) in answers.iter().zip(expected) {
        for part in expected.split(" .. ") {
            assert!(answer.contains(part), "{sent}: {answer}, without {part}");
        }
    }
    world.assert_settled();
}

#[test]
fn a_request_without_an_address_is_answered_by_the_own_account() {
    for to in ["", " to='romeo@example.net'"] {
        let answer =
            "<iq from='romeo@example.net' to='romeo@example.net/orchard' type='result' id='1'/>";
        check(&format!("<iq type='get' id='1'{to}>{PING}</iq>"), &[answer]);
    }
}

#[test]
fn a_request_to_the_host_is_answered_by_the_host() {
    let answer = "<iq from='example.net' to='romeo@example.net/orchard' type='result' id='1'/>";
    check(&format!("<iq type='get' id='1' to='example.net'>{PING}</iq>"), &[answer]);
}

#[test]
fn a_message_without_an_address_is_for_the_own_account() {
    let world = world();
    let romeo = world.online(ROMEO, 0);
    world.take(&romeo);
    world.send(&romeo, "<message id='1'><body>o</body></message>");
    let got = "<message from='romeo@example.net/orchard' to='romeo@example.net' id='1'>";
    assert!(world.xml(&romeo).concat().starts_with(got));
}

#[test]
fn a_host_takes_no_messages_and_ignores_presence() {
    check(&chat("example.net", "1"), &["type='error' .. service-unavailable"]);
    check(&chat("example.net/somewhere", "1"), &["type='error' .. service-unavailable"]);
    check("<presence to='example.net'/>", &[]);
    check("<iq type='result' id='1' to='example.net'/>", &[]);
}

#[test]
fn what_is_for_a_domain_out_of_reach_bounces_once() {
    let bounced = "from='mercutio@verona.example' to='romeo@example.net/orchard' type='error'";
    let bounced = format!("{bounced} .. remote-server-not-found");
    let to = "to='mercutio@verona.example'";
    check(&chat("mercutio@verona.example", "1"), &[&bounced]);
    check(&format!("<iq type='get' id='1' {to}>{PING}</iq>"), &[&bounced]);
    check(&format!("<presence {to}/>"), &[&bounced]);
    check(&format!("<presence type='subscribe' {to}/>"), &[&bounced]);
}

#[test]
fn presence_that_nobody_directed_at_a_domain_out_of_reach_vanishes() {
    let to = "to='mercutio@verona.example'";
    for kind in ["unavailable", "probe", "subscribed", "unsubscribe", "unsubscribed", "error"] {
        check(&format!("<presence type='{kind}' {to}/>"), &[]);
    }
    check(&format!("<iq type='error' id='1' {to}/>"), &[]);
    check(&format!("<message type='error' id='1' {to}/>"), &[]);
}

#[test]
fn an_address_that_is_none_is_answered_with_jid_malformed() {
    let answer = "to='romeo@example.net/orchard' type='error' id='1' .. jid-malformed";
    for to in ["@example.net", "juliet@", "juliet@example.net/"] {
        check(&chat(to, "1"), &[answer]);
        check(&format!("<iq type='set' id='1' to='{to}'>{PING}</iq>"), &[answer]);
        check(&format!("<iq type='result' id='1' to='{to}'/>"), &[]);
        check(&format!("<message type='error' id='1' to='{to}'/>"), &[]);
    }
}

#[test]
fn a_stanza_from_somebody_else_ends_the_stream() {
    for from in ["juliet@example.net", "romeo@example.net/balcony", "example.net", "@"] {
        let world = world();
        let romeo = world.connect(ROMEO);
        let juliet = world.online("juliet@example.net/balcony", 0);
        world.take(&juliet);
        let message =
            chat("juliet@example.net", "1").replacen(" to=", &format!(" from='{from}' to="), 1);
        assert_eq!(world.send_numbered(&romeo, 1, &message), Taken::Hold, "nothing more is read");
        assert!(world.was_told(&romeo, Command::Close("invalid-from")), "{from}");
        assert!(!world.was_told(&romeo, Command::Release));
        assert_eq!(world.messages(&juliet), "");
        assert!(world.accepted(&romeo).is_empty());
    }
}

#[test]
fn the_own_bare_jid_is_no_forgery() {
    let world = world();
    let romeo = world.connect(ROMEO);
    let juliet = world.online("juliet@example.net/balcony", 0);
    world.take(&juliet);
    for (id, from) in [("1", "romeo@example.net"), ("2", ROMEO)] {
        let message =
            chat("juliet@example.net", id).replacen(" to=", &format!(" from='{from}' to="), 1);
        world.send(&romeo, &message);
        let got = world.xml(&juliet).concat();
        assert!(got.contains(&format!("from='{ROMEO}' to='juliet@example.net'")), "{got}");
    }
}

#[test]
fn a_request_has_exactly_one_payload_and_an_id() {
    for to in ["", " to='example.net'", " to='romeo@example.net'"] {
        let bad = ["type='error' .. bad-request"];
        check(&format!("<iq type='get' id='1'{to}/>"), &bad);
        check(&format!("<iq type='set' id='1'{to}>{PING}{PING}</iq>"), &bad);
        check(&format!("<iq type='get'{to}>{PING}</iq>"), &bad);
        check(&format!("<iq type='get' id=''{to}><a xmlns='b'/></iq>"), &["service-unavailable"]);
    }
}

#[test]
fn a_request_that_nobody_knows_is_refused() {
    for to in ["", " to='example.net'", " to='juliet@example.net'"] {
        let unknown = "<query xmlns='urn:example:unknown'/>";
        check(&format!("<iq type='get' id='1'{to}>{unknown}</iq>"), &["service-unavailable"]);
        check(&format!("<iq type='set' id='1'{to}>{PING}</iq>"), &["service-unavailable"]);
    }
}

#[test]
fn strangers_cannot_tell_an_account_that_exists_from_one_that_does_not() {
    let requests = [
        "<query xmlns='urn:example:secret'/>".to_owned(),
        "<query xmlns='urn:example:unknown'/>".to_owned(),
        format!("{PING}{PING}"),
        String::new(),
    ];
    for request in requests {
        let ask = |to: &str| {
            let world = world();
            let romeo = world.connect(ROMEO);
            world.send(&romeo, &format!("<iq type='get' id='1' to='{to}'>{request}</iq>"));
            world.run();
            world.xml(&romeo).concat().replace(to, "(to)")
        };
        let answer = ask("juliet@example.net");
        assert!(answer.contains("type='error'"), "{answer}");
        assert_eq!(answer, ask("rosaline@example.net"));
        assert_eq!(ask("juliet@example.net/balcony"), ask("rosaline@example.net/balcony"));
    }
}

#[test]
fn the_own_account_hears_why_a_request_failed() {
    let world = world();
    let romeo = world.connect(ROMEO);
    world.send(&romeo, "<iq type='get' id='1'><query xmlns='urn:example:secret'/></iq>");
    assert!(world.xml(&romeo).concat().contains("service-unavailable"), "no handler for it there");
    world.send(&romeo, &format!("<iq type='get' id='2'>{PING}{PING}</iq>"));
    assert!(world.xml(&romeo).concat().contains("bad-request"));
}

#[test]
fn a_handler_that_waits_holds_the_stream_until_it_answered() {
    let world = world();
    let romeo = world.connect(ROMEO);
    let late = "<iq type='get' id='1' to='example.net'><query xmlns='urn:example:late'/></iq>";
    assert_eq!(world.send_numbered(&romeo, 1, late), Taken::Hold);
    assert!(!world.was_told(&romeo, Command::Release), "it has not answered");
}

#[test]
fn a_job_that_waits_accepts_and_releases_at_its_end() {
    // What a hook causes waits, while the message itself is delivered in place.
    let register = |registry: &mut Registry| {
        registry.phase(1, Direction::Inbound, |ctx, _| {
            let mut is_first = true;
            let job = std::future::poll_fn(move |_| match std::mem::take(&mut is_first) {
                true => std::task::Poll::Pending,
                false => std::task::Poll::Ready(()),
            });
            ctx.effect(jackdaw_ext::Effect::Later(Box::pin(job)));
            Flow::Continue
        });
        registry.order(&[], &[1]);
    };
    let world = World::with(register, RouterConfig::default());
    let romeo = world.connect(ROMEO);
    let juliet = world.online("juliet@example.net/balcony", 0);
    let taken = world.send_numbered(&romeo, 1, &chat("juliet@example.net", "1"));
    assert_eq!((taken, world.messages(&juliet).as_str()), (Taken::Hold, "1"));
    assert!(world.accepted(&romeo).is_empty());
    world.run();
    assert_eq!(world.accepted(&romeo), [1]);
    assert!(world.was_told(&romeo, Command::Release));
}

#[test]
fn what_a_hook_causes_by_presence_is_done() {
    for presence in ["<presence/>", "<presence to='juliet@example.net'/>"] {
        let register = |registry: &mut Registry| {
            registry.phase(1, Direction::Outbound, |ctx, _| {
                let session = ctx.session.expect("a session's");
                let note = support::parse("<message type='headline' id='note'/>");
                ctx.effect(jackdaw_ext::Effect::Deliver(Arc::clone(session), note));
                Flow::Continue
            });
            registry.order(&[1], &[]);
        };
        let world = World::with(register, RouterConfig::default());
        let romeo = world.connect(ROMEO);
        world.send(&romeo, presence);
        assert_eq!(world.messages(&romeo), "note", "{presence}");
    }
}

#[test]
fn presence_for_who_is_not_there_costs_no_look_at_the_store() {
    let register = |registry: &mut Registry| {
        registry.account_state(|_, account| async move {
            assert_ne!(account.as_str(), "juliet@example.net", "nobody asked for her");
            Ok(None::<Roster>)
        });
    };
    let world = World::with(register, RouterConfig::default());
    let romeo = world.connect(ROMEO);
    for kind in ["", " type='unavailable'", " type='error'"] {
        world.send(&romeo, &format!("<presence to='juliet@example.net'{kind}/>"));
        world.send(&romeo, &format!("<presence to='juliet@example.net/balcony'{kind}/>"));
    }
    assert!(world.xml(&romeo).is_empty());
}

/// Juliet is another node's.
struct Two;

impl Owners for Two {
    fn owner_of(&self, account: JidRef<'_>) -> Owner {
        match account.local() {
            Some("juliet") => Owner::Node(NodeId(2), Epoch(7)),
            _ => Owner::Here(Epoch(7)),
        }
    }
}

#[test]
fn what_is_for_an_owner_out_of_reach_is_refused_for_now() {
    let world = World::owned_by(Arc::new(Two), answers, RouterConfig::default());
    let romeo = world.connect(ROMEO);
    world.send_numbered(&romeo, 1, &chat("juliet@example.net", "1"));
    assert!(world.xml(&romeo).concat().contains("<error type='wait'><resource-constraint"));
    assert_eq!(world.accepted(&romeo), [1]);
    world.send(&romeo, "<message to='juliet@example.net' type='error' id='2'/>");
    assert!(world.xml(&romeo).is_empty(), "an error causes none");
}

#[test]
fn a_forged_carbon_copy_is_kept_like_any_message() {
    let world = world();
    let romeo = world.connect(ROMEO);
    let juliet = world.online("juliet@example.net/balcony", 0);
    let payload = format!("<received xmlns='{}'/>", ns::CARBONS);
    let to = "to='juliet@example.net/balcony'";
    world.send(&romeo, &format!("<message {to} type='chat' id='1'>{payload}</message>"));
    let deliveries = world.take(&juliet);
    world.end(&juliet, deliveries);
    assert_eq!(world.spool("juliet@example.net"), "1");
}
