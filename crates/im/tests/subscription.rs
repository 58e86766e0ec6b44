//! Subscriptions between accounts (RFC 6121 §3), as everybody sees them.

mod support;

use expect_test::expect;
use support::{START, World};

const ROMEO: &str = "romeo@example.net";
const JULIET: &str = "juliet@example.com";

fn world() -> World {
    World::new(&[ROMEO, JULIET])
}

#[test]
fn a_request_is_approved_and_presence_begins() {
    let mut world = world();
    let romeo = world.online("romeo@example.net/orchard");
    let juliet = world.online("juliet@example.com/balcony");
    world.send(&romeo, "<presence id='a' to='juliet@example.com/old' type='subscribe'/>");
    expect![[r#"
        romeo@example.net/orchard: <iq to='romeo@example.net/orchard' type='set' id='push-1000'><query xmlns='jabber:iq:roster' ver='1000'><item jid='juliet@example.com' subscription='none' ask='subscribe'/></query></iq>
        juliet@example.com/balcony: <presence from='romeo@example.net' to='juliet@example.com' id='a' type='subscribe'/>
    "#]].assert_eq(&world.transcript());
    world.send(&juliet, "<presence id='b' to='romeo@example.net' type='subscribed'/>");
    expect![[r#"
        juliet@example.com/balcony: <iq to='juliet@example.com/balcony' type='set' id='push-1000'><query xmlns='jabber:iq:roster' ver='1000'><item jid='romeo@example.net' subscription='from'/></query></iq>
        romeo@example.net/orchard: <presence from='juliet@example.com' to='romeo@example.net' id='b' type='subscribed'/>
        romeo@example.net/orchard: <iq to='romeo@example.net/orchard' type='set' id='push-1001'><query xmlns='jabber:iq:roster' ver='1001'><item jid='juliet@example.com' subscription='to'/></query></iq>
        romeo@example.net/orchard: <presence from='juliet@example.com/balcony' to='romeo@example.net'/>
    "#]].assert_eq(&world.transcript());
}

#[test]
fn a_request_waits_with_all_it_says_until_it_is_answered() {
    let mut world = world();
    let romeo = world.online("romeo@example.net/orchard");
    world.send(
        &romeo,
        "<presence to='juliet@example.com' type='subscribe'>\
         <nick xmlns='http://jabber.org/protocol/nick'>Romeo</nick></presence>",
    );
    world.send(&romeo, "<presence to='juliet@example.com' type='subscribe'/>");
    world.transcript();
    // Deliver it to every resource that becomes available, once.
    let balcony = world.connect("juliet@example.com/balcony");
    world.send(&balcony, "<presence/>");
    expect![[r#"
        juliet@example.com/balcony: <presence from='juliet@example.com/balcony' to='juliet@example.com/balcony'/>
        juliet@example.com/balcony: <presence from='romeo@example.net' to='juliet@example.com' type='subscribe'><nick xmlns='http://jabber.org/protocol/nick'>Romeo</nick></presence>
        juliet@example.com/balcony: (offline messages)
    "#]].assert_eq(&world.transcript());
    let chamber = world.connect("juliet@example.com/chamber");
    world.send(&chamber, "<presence><priority>-1</priority></presence>");
    expect![[r#"
        juliet@example.com/balcony: <presence from='juliet@example.com/chamber' to='juliet@example.com/balcony'><priority>-1</priority></presence>
        juliet@example.com/chamber: <presence from='juliet@example.com/chamber' to='juliet@example.com/chamber'><priority>-1</priority></presence>
        juliet@example.com/chamber: <presence from='juliet@example.com/balcony' to='juliet@example.com/chamber'/>
        juliet@example.com/chamber: <presence from='romeo@example.net' to='juliet@example.com' type='subscribe'><nick xmlns='http://jabber.org/protocol/nick'>Romeo</nick></presence>
    "#]].assert_eq(&world.transcript());
    // She says no; nobody asks her again.
    world.send(&chamber, "<presence to='romeo@example.net' type='unsubscribed'/>");
    expect![[r#"
        romeo@example.net/orchard: <presence from='juliet@example.com' to='romeo@example.net' type='unsubscribed'/>
        romeo@example.net/orchard: <iq to='romeo@example.net/orchard' type='set' id='push-1001'><query xmlns='jabber:iq:roster' ver='1001'><item jid='juliet@example.com' subscription='none'/></query></iq>
    "#]].assert_eq(&world.transcript());
    world.end(&balcony);
    world.transcript();
    let again = world.connect("juliet@example.com/balcony");
    world.send(&again, "<presence/>");
    expect![[r#"
        juliet@example.com/chamber: <presence from='juliet@example.com/balcony' to='juliet@example.com/chamber'/>
        juliet@example.com/balcony: <presence from='juliet@example.com/balcony' to='juliet@example.com/balcony'/>
        juliet@example.com/balcony: <presence from='juliet@example.com/chamber' to='juliet@example.com/balcony'><priority>-1</priority></presence>
        juliet@example.com/balcony: (offline messages)
    "#]].assert_eq(&world.transcript());
}

#[test]
fn a_request_survives_a_restart() {
    let engine = std::sync::Arc::new(jackdaw_store::MemoryEngine::new());
    let mut before = World::over(engine.clone(), &[ROMEO, JULIET]);
    let romeo = before.online("romeo@example.net/orchard");
    before.send(&romeo, "<presence to='juliet@example.com' type='subscribe'/>");
    drop(before);
    let mut after = World::over(engine, &[]);
    let juliet = after.connect("juliet@example.com/balcony");
    after.send(&juliet, "<presence/>");
    expect![[r#"
        juliet@example.com/balcony: <presence from='juliet@example.com/balcony' to='juliet@example.com/balcony'/>
        juliet@example.com/balcony: <presence from='romeo@example.net' to='juliet@example.com' type='subscribe'/>
        juliet@example.com/balcony: (offline messages)
    "#]].assert_eq(&after.transcript());
    let romeo = after.connect("romeo@example.net/orchard");
    after.send(&romeo, "<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>");
    expect![[r#"
        romeo@example.net/orchard: <iq from='romeo@example.net' to='romeo@example.net/orchard' type='result' id='1'><query xmlns='jabber:iq:roster' ver='1000'><item jid='juliet@example.com' subscription='none' ask='subscribe'/></query></iq>
    "#]].assert_eq(&after.transcript());
}

#[test]
fn cancelling_hides_presence_before_it_says_so() {
    let mut world = world();
    let romeo = world.online("romeo@example.net/orchard");
    let juliet = world.online("juliet@example.com/balcony");
    world.befriend(&romeo, &juliet);
    world.send(&juliet, "<presence to='romeo@example.net' type='unsubscribed'/>");
    expect![[r#"
        juliet@example.com/balcony: <iq to='juliet@example.com/balcony' type='set' id='push-1003'><query xmlns='jabber:iq:roster' ver='1003'><item jid='romeo@example.net' subscription='to'/></query></iq>
        romeo@example.net/orchard: <presence from='juliet@example.com/balcony' to='romeo@example.net' type='unavailable'/>
        romeo@example.net/orchard: <presence from='juliet@example.com' to='romeo@example.net' type='unsubscribed'/>
        romeo@example.net/orchard: <iq to='romeo@example.net/orchard' type='set' id='push-1003'><query xmlns='jabber:iq:roster' ver='1003'><item jid='juliet@example.com' subscription='from'/></query></iq>
    "#]].assert_eq(&world.transcript());
}

#[test]
fn unsubscribing_is_shown_and_presence_ends() {
    let mut world = world();
    let romeo = world.online("romeo@example.net/orchard");
    let juliet = world.online("juliet@example.com/balcony");
    world.befriend(&romeo, &juliet);
    world.send(&romeo, "<presence to='juliet@example.com' type='unsubscribe'/>");
    expect![[r#"
        romeo@example.net/orchard: <iq to='romeo@example.net/orchard' type='set' id='push-1003'><query xmlns='jabber:iq:roster' ver='1003'><item jid='juliet@example.com' subscription='from'/></query></iq>
        juliet@example.com/balcony: <presence from='romeo@example.net' to='juliet@example.com' type='unsubscribe'/>
        juliet@example.com/balcony: <iq to='juliet@example.com/balcony' type='set' id='push-1003'><query xmlns='jabber:iq:roster' ver='1003'><item jid='romeo@example.net' subscription='to'/></query></iq>
        romeo@example.net/orchard: <presence from='juliet@example.com/balcony' to='romeo@example.net' type='unavailable'/>
    "#]].assert_eq(&world.transcript());
}

#[test]
fn a_pre_approved_request_is_approved_in_the_users_name() {
    let mut world = world();
    let romeo = world.online("romeo@example.net/orchard");
    let juliet = world.online("juliet@example.com/balcony");
    world.send(&juliet, "<presence to='romeo@example.net' type='subscribed'/>");
    expect![[r#"
        juliet@example.com/balcony: <iq to='juliet@example.com/balcony' type='set' id='push-1000'><query xmlns='jabber:iq:roster' ver='1000'><item jid='romeo@example.net' subscription='none' approved='true'/></query></iq>
    "#]].assert_eq(&world.transcript());
    world.send(&romeo, "<presence id='a' to='juliet@example.com' type='subscribe'/>");
    expect![[r#"
        romeo@example.net/orchard: <iq to='romeo@example.net/orchard' type='set' id='push-1000'><query xmlns='jabber:iq:roster' ver='1000'><item jid='juliet@example.com' subscription='none' ask='subscribe'/></query></iq>
        juliet@example.com/balcony: <iq to='juliet@example.com/balcony' type='set' id='push-1001'><query xmlns='jabber:iq:roster' ver='1001'><item jid='romeo@example.net' subscription='from'/></query></iq>
        romeo@example.net/orchard: <presence from='juliet@example.com' to='romeo@example.net' type='subscribed' id='a'/>
        romeo@example.net/orchard: <iq to='romeo@example.net/orchard' type='set' id='push-1001'><query xmlns='jabber:iq:roster' ver='1001'><item jid='juliet@example.com' subscription='to'/></query></iq>
        romeo@example.net/orchard: <presence from='juliet@example.com/balcony' to='romeo@example.net'/>
    "#]].assert_eq(&world.transcript());
}

#[test]
fn a_pre_approval_can_be_taken_back() {
    let mut world = world();
    let juliet = world.online("juliet@example.com/balcony");
    world.send(&juliet, "<presence to='romeo@example.net' type='subscribed'/>");
    world.transcript();
    world.send(&juliet, "<presence to='romeo@example.net' type='unsubscribed'/>");
    expect![[r#"
        juliet@example.com/balcony: <iq to='juliet@example.com/balcony' type='set' id='push-1001'><query xmlns='jabber:iq:roster' ver='1001'><item jid='romeo@example.net' subscription='none'/></query></iq>
    "#]].assert_eq(&world.transcript());
}

#[test]
fn an_approval_that_nobody_asked_for_is_ignored() {
    let mut world = world();
    let _romeo = world.online("romeo@example.net/orchard");
    world.receive("<presence from='a@remote.org' to='romeo@example.net' type='subscribed'/>");
    world.receive("<presence from='a@remote.org' to='romeo@example.net' type='unsubscribed'/>");
    world.receive("<presence from='a@remote.org' to='romeo@example.net' type='unsubscribe'/>");
    assert_eq!(world.transcript(), "");
}

#[test]
fn a_request_to_nobody_is_answered_like_a_refusal() {
    let mut world = world();
    let romeo = world.online("romeo@example.net/orchard");
    world.send(&romeo, "<presence id='a' to='nobody@example.com' type='subscribe'/>");
    expect![[r#"
        romeo@example.net/orchard: <iq to='romeo@example.net/orchard' type='set' id='push-1000'><query xmlns='jabber:iq:roster' ver='1000'><item jid='nobody@example.com' subscription='none' ask='subscribe'/></query></iq>
        romeo@example.net/orchard: <presence from='nobody@example.com' to='romeo@example.net' type='unsubscribed' id='a'/>
        romeo@example.net/orchard: <iq to='romeo@example.net/orchard' type='set' id='push-1001'><query xmlns='jabber:iq:roster' ver='1001'><item jid='nobody@example.com' subscription='none'/></query></iq>
    "#]].assert_eq(&world.transcript());
    for kind in ["subscribed", "unsubscribe", "unsubscribed"] {
        world.receive(&format!(
            "<presence from='a@remote.org' to='nobody@example.com' type='{kind}'/>"
        ));
        assert_eq!(world.transcript(), "", "{kind}");
    }
}

#[test]
fn a_contact_that_lost_its_subscription_is_told_again() {
    let mut world = world();
    let juliet = world.online("juliet@example.com/balcony");
    world.send(&juliet, "<presence to='a@remote.org' type='subscribed'/>");
    world.receive("<presence from='a@remote.org' to='juliet@example.com' type='subscribe'/>");
    world.transcript();
    world.receive(
        "<presence from='a@remote.org/x' id='q' to='juliet@example.com' type='subscribe'/>",
    );
    expect![[r#"
        ->: <presence from='juliet@example.com' to='a@remote.org' type='subscribed' id='q'/>
        ->: <presence from='juliet@example.com/balcony' to='a@remote.org'/>
    "#]]
    .assert_eq(&world.transcript());
}

#[test]
fn an_unanswered_request_is_repeated_when_the_account_comes_online() {
    let mut world = world();
    let romeo = world.online("romeo@example.net/orchard");
    world.send(&romeo, "<presence to='a@remote.org' type='subscribe'/>");
    world.end(&romeo);
    world.transcript();
    let romeo = world.connect("romeo@example.net/orchard");
    world.send(&romeo, "<presence/>");
    expect![[r#"
        romeo@example.net/orchard: <presence from='romeo@example.net/orchard' to='romeo@example.net/orchard'/>
        ->: <presence from='romeo@example.net' to='a@remote.org' type='subscribe'/>
        romeo@example.net/orchard: (offline messages)
    "#]].assert_eq(&world.transcript());
    let second = world.connect("romeo@example.net/garden");
    world.send(&second, "<presence/>");
    assert!(!world.transcript().contains("subscribe"), "once is enough");
}

#[test]
fn requests_go_to_available_resources_and_pushes_to_interested_ones() {
    let mut world = world();
    let available = world.connect("juliet@example.com/available");
    world.send(&available, "<presence/>");
    let interested = world.connect("juliet@example.com/interested");
    world.send(&interested, "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>");
    world.transcript();
    world.receive("<presence from='a@remote.org' to='juliet@example.com' type='subscribe'/>");
    expect![[r#"
        juliet@example.com/available: <presence from='a@remote.org' to='juliet@example.com' type='subscribe'/>
    "#]].assert_eq(&world.transcript());
    world.send(&available, "<presence to='a@remote.org' type='subscribed'/>");
    expect![[r#"
        ->: <presence from='juliet@example.com' to='a@remote.org' type='subscribed'/>
        juliet@example.com/interested: <iq to='juliet@example.com/interested' type='set' id='push-1000'><query xmlns='jabber:iq:roster' ver='1000'><item jid='a@remote.org' subscription='from'/></query></iq>
        ->: <presence from='juliet@example.com/available' to='a@remote.org'/>
    "#]].assert_eq(&world.transcript());
    world.receive("<presence from='a@remote.org' to='juliet@example.com' type='unsubscribe'/>");
    expect![[r#"
        juliet@example.com/interested: <presence from='a@remote.org' to='juliet@example.com' type='unsubscribe'/>
        juliet@example.com/interested: <iq to='juliet@example.com/interested' type='set' id='push-1001'><query xmlns='jabber:iq:roster' ver='1001'><item jid='a@remote.org' subscription='none'/></query></iq>
        ->: <presence from='juliet@example.com/available' to='a@remote.org' type='unavailable'/>
        ->: <presence from='juliet@example.com' to='a@remote.org' type='unsubscribed'/>
    "#]].assert_eq(&world.transcript());
}

#[test]
fn what_is_sent_to_a_resource_is_meant_for_the_account_if_it_is_there() {
    let mut world = world();
    let juliet = world.online("juliet@example.com/balcony");
    world.send(&juliet, "<presence to='a@remote.org' type='subscribe'/>");
    world.transcript();
    let approve =
        |to: &str| format!("<presence from='a@remote.org/x' to='{to}' type='subscribed'/>");
    world.receive(&approve("juliet@example.com/cellar"));
    assert_eq!(world.transcript(), "", "no such resource");
    world.receive(&approve("juliet@example.com/balcony"));
    expect![[r#"
        juliet@example.com/balcony: <presence from='a@remote.org' to='juliet@example.com' type='subscribed'/>
        juliet@example.com/balcony: <iq to='juliet@example.com/balcony' type='set' id='push-1001'><query xmlns='jabber:iq:roster' ver='1001'><item jid='a@remote.org' subscription='to'/></query></iq>
    "#]].assert_eq(&world.transcript());
    world.receive(
        "<presence from='b@remote.org/x' to='juliet@example.com/cellar' type='subscribe'/>",
    );
    expect![[r#"
        juliet@example.com/balcony: <presence from='b@remote.org' to='juliet@example.com' type='subscribe'/>
    "#]].assert_eq(&world.transcript());
}

#[test]
fn nobody_subscribes_to_oneself() {
    let mut world = world();
    let romeo = world.online("romeo@example.net/orchard");
    world.send(&romeo, "<presence to='romeo@example.net' type='subscribe'/>");
    expect![[r#"
        romeo@example.net/orchard: <presence from='romeo@example.net' to='romeo@example.net/orchard' type='error'><error type='cancel'><not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>
    "#]].assert_eq(&world.transcript());
    world.receive("<presence from='romeo@example.net' to='romeo@example.net' type='subscribe'/>");
    assert_eq!(world.transcript(), "");
}

#[test]
fn strangers_cannot_pile_up_requests() {
    let mut world = world();
    let max = jackdaw_im::limits::REQUESTS_MAX;
    for number in 0..max {
        world.receive(&format!(
            "<presence from='a{number}@remote.org' to='{JULIET}' type='subscribe'/>"
        ));
    }
    assert_eq!(world.transcript(), "");
    world.receive("<presence from='z@remote.org' to='juliet@example.com' type='subscribe'/>");
    assert!(world.transcript().contains("resource-constraint"));
    // She answers one: there is room again.
    let juliet = world.connect("juliet@example.com/balcony");
    world.send(&juliet, "<presence to='a0@remote.org' type='unsubscribed'/>");
    world.transcript();
    world.receive("<presence from='z@remote.org' to='juliet@example.com' type='subscribe'/>");
    assert_eq!(world.transcript(), "");
}

#[test]
fn of_a_large_request_only_the_addresses_are_kept() {
    let mut world = world();
    let status = "x".repeat(jackdaw_im::limits::REQUEST_BYTES_MAX);
    world.receive(&format!(
        "<presence from='a@remote.org' to='{JULIET}' type='subscribe'>\
         <status>{status}</status></presence>"
    ));
    let juliet = world.connect("juliet@example.com/balcony");
    world.send(&juliet, "<presence/>");
    expect![[r#"
        juliet@example.com/balcony: <presence from='juliet@example.com/balcony' to='juliet@example.com/balcony'/>
        juliet@example.com/balcony: <presence from='a@remote.org' to='juliet@example.com' type='subscribe'/>
        juliet@example.com/balcony: (offline messages)
    "#]].assert_eq(&world.transcript());
}

#[test]
fn a_deleted_account_leaves_nothing_and_its_contacts_know() {
    let mut world = world();
    let romeo = world.online("romeo@example.net/orchard");
    let juliet = world.online("juliet@example.com/balcony");
    world.befriend(&romeo, &juliet);
    world.end(&romeo);
    world.transcript();
    let owner = support::bare(ROMEO);
    let ctx = world.ctx(None, &owner);
    support::ready(world.im.part(&ctx, &owner)).expect("read");
    for erase in world.registry.erasers() {
        support::ready(erase(world.services.clone(), owner.clone())).expect("erased");
    }
    world.drain(&ctx);
    expect![[r#"
        juliet@example.com/balcony: <presence from='romeo@example.net' to='juliet@example.com' type='unsubscribe'/>
        juliet@example.com/balcony: <iq to='juliet@example.com/balcony' type='set' id='push-1003'><query xmlns='jabber:iq:roster' ver='1003'><item jid='romeo@example.net' subscription='to'/></query></iq>
        juliet@example.com/balcony: <presence from='romeo@example.net' to='juliet@example.com' type='unsubscribed'/>
        juliet@example.com/balcony: <iq to='juliet@example.com/balcony' type='set' id='push-1004'><query xmlns='jabber:iq:roster' ver='1004'><item jid='romeo@example.net' subscription='none'/></query></iq>
    "#]].assert_eq(&world.transcript());
    let heir = world.connect("romeo@example.net/orchard");
    world.sleep(1);
    world.send(
        &heir,
        &format!("<iq type='get' id='1'><query xmlns='jabber:iq:roster' ver='{START}'/></iq>"),
    );
    expect![[r#"
        romeo@example.net/orchard: <iq from='romeo@example.net' to='romeo@example.net/orchard' type='result' id='1'><query xmlns='jabber:iq:roster' ver='0'/></iq>
    "#]].assert_eq(&world.transcript());
}
