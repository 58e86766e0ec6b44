//! Roster gets, sets, pushes and versions (RFC 6121 §2), as clients see them.

mod support;

use std::sync::Arc;

use expect_test::expect;
use jackdaw_ext::{At, Iq};
use jackdaw_session::Session;
use jackdaw_stanza::Condition;
use jackdaw_store::{Engine, MemoryEngine};
use support::{START, World};

const ACCOUNTS: &[&str] = &["romeo@example.net", "juliet@example.com"];

fn set(world: &mut World, session: &Arc<Session>, item: &str) -> String {
    let xml = format!("<iq type='set' id='s'><query xmlns='jabber:iq:roster'>{item}</query></iq>");
    world.send(session, &xml);
    world.transcript()
}

fn get(world: &mut World, session: &Arc<Session>, version: &str) -> String {
    let xml = format!("<iq type='get' id='g'><query xmlns='jabber:iq:roster'{version}/></iq>");
    world.send(session, &xml);
    world.transcript()
}

#[test]
fn a_contact_is_added_updated_and_removed_with_a_push_each() {
    let mut world = World::new(ACCOUNTS);
    let romeo = world.online("romeo@example.net/orchard");
    let _quiet = world.connect("romeo@example.net/garden");
    let added = "<item jid='Nurse@example.com' name='Nurse'><group>Servants</group></item>";
    expect![[r#"
        romeo@example.net/orchard: <iq from='romeo@example.net' to='romeo@example.net/orchard' type='result' id='s'/>
        romeo@example.net/orchard: <iq to='romeo@example.net/orchard' type='set' id='push-1000'><query xmlns='jabber:iq:roster' ver='1000'><item jid='nurse@example.com' name='Nurse' subscription='none'><group>Servants</group></item></query></iq>
    "#]].assert_eq(&set(&mut world, &romeo, added));
    let updated = "<item jid='nurse@example.com' name='' subscription='both' ask='subscribe'/>";
    expect![[r#"
        romeo@example.net/orchard: <iq from='romeo@example.net' to='romeo@example.net/orchard' type='result' id='s'/>
        romeo@example.net/orchard: <iq to='romeo@example.net/orchard' type='set' id='push-1001'><query xmlns='jabber:iq:roster' ver='1001'><item jid='nurse@example.com' subscription='none'/></query></iq>
    "#]].assert_eq(&set(&mut world, &romeo, updated));
    let removed = "<item jid='nurse@example.com' subscription='remove'/>";
    expect![[r#"
        romeo@example.net/orchard: <iq from='romeo@example.net' to='romeo@example.net/orchard' type='result' id='s'/>
        romeo@example.net/orchard: <iq to='romeo@example.net/orchard' type='set' id='push-1002'><query xmlns='jabber:iq:roster' ver='1002'><item jid='nurse@example.com' subscription='remove'/></query></iq>
    "#]].assert_eq(&set(&mut world, &romeo, removed));
    expect![[r#"
        romeo@example.net/orchard: <iq from='romeo@example.net' to='romeo@example.net/orchard' type='error' id='s'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>
    "#]].assert_eq(&set(&mut world, &romeo, removed));
}

#[test]
fn what_a_roster_set_may_not_say() {
    let mut world = World::new(ACCOUNTS);
    let romeo = world.online("romeo@example.net/orchard");
    let long = "x".repeat(jackdaw_im::limits::NAME_BYTES_MAX + 1);
    let crowd: String = (0..=jackdaw_im::limits::GROUPS_MAX)
        .map(|number| format!("<group>{number}</group>"))
        .collect();
    for (item, condition) in [
        ("", "bad-request"),
        ("<item jid='a@b.c'/><item jid='d@b.c'/>", "bad-request"),
        ("<thing jid='a@b.c'/>", "bad-request"),
        ("<item/>", "bad-request"),
        ("<item jid='a@b.c/resource'/>", "bad-request"),
        ("<item jid='a@b.c'><group>x</group><group>x</group></item>", "bad-request"),
        ("<item jid='@'/>", "jid-malformed"),
        ("<item jid='romeo@example.net'/>", "not-allowed"),
        ("<item jid='a@b.c'><group/></item>", "not-acceptable"),
        (&format!("<item jid='a@b.c' name='{long}'/>"), "not-acceptable"),
        (&format!("<item jid='a@b.c'><group>{long}</group></item>"), "not-acceptable"),
        (&format!("<item jid='a@b.c'>{crowd}</item>"), "not-acceptable"),
        ("<item jid='a@b.c' subscription='remove'/>", "item-not-found"),
    ] {
        let answer = set(&mut world, &romeo, item);
        assert!(answer.contains(condition), "{item}: {answer}");
        assert!(!answer.contains("push-"), "{item}: {answer}");
    }
    assert!(!get(&mut world, &romeo, "").contains("<item"));
}

#[test]
fn a_roster_has_a_bound_that_is_said() {
    let mut world = World::new(ACCOUNTS);
    let romeo = world.online("romeo@example.net/orchard");
    for number in 0..jackdaw_im::limits::ROSTER_ITEMS_MAX {
        set(&mut world, &romeo, &format!("<item jid='a{number}@b.c'/>"));
    }
    assert!(set(&mut world, &romeo, "<item jid='more@b.c'/>").contains("policy-violation"));
    world.send(&romeo, "<presence to='more@b.c' type='subscribe'/>");
    assert!(world.transcript().contains("policy-violation"));
    assert!(!set(&mut world, &romeo, "<item jid='a0@b.c' name='a'/>").contains("error"));
}

#[test]
fn a_roster_from_before_its_bound_was_lowered_is_whole_and_takes_no_more() {
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::new());
    let mut world = World::over(Arc::clone(&engine), ACCOUNTS);
    let romeo = world.online("romeo@example.net/orchard");
    for number in 0..3 {
        set(&mut world, &romeo, &format!("<item jid='a{number}@b.c'/>"));
    }
    let config = jackdaw_im::Config { roster_items_max: 1 };
    let mut world = World::configured(engine, ACCOUNTS, config);
    let romeo = world.online("romeo@example.net/orchard");
    let roster = get(&mut world, &romeo, "");
    assert!((0..3).all(|number| roster.contains(&format!("a{number}@b.c"))), "{roster}");
    assert!(set(&mut world, &romeo, "<item jid='more@b.c'/>").contains("policy-violation"));
    assert!(!set(&mut world, &romeo, "<item jid='a0@b.c' name='a'/>").contains("error"));
}

#[test]
fn a_client_that_has_the_version_gets_nothing() {
    let mut world = World::new(ACCOUNTS);
    let romeo = world.online("romeo@example.net/orchard");
    expect![[r#"
        romeo@example.net/orchard: <iq from='romeo@example.net' to='romeo@example.net/orchard' type='result' id='g'/>
    "#]].assert_eq(&get(&mut world, &romeo, " ver='0'"));
    set(&mut world, &romeo, "<item jid='nurse@example.com'/>");
    expect![[r#"
        romeo@example.net/orchard: <iq from='romeo@example.net' to='romeo@example.net/orchard' type='result' id='g'/>
    "#]].assert_eq(&get(&mut world, &romeo, &format!(" ver='{START}'")));
    for version in ["", " ver=''", " ver='ver7'", " ver='0'", " ver='99999'", " ver='-1'"] {
        let answer = get(&mut world, &romeo, version);
        assert!(answer.contains("<item jid='nurse@example.com'"), "{version}: {answer}");
    }
}

#[test]
fn a_client_with_an_older_version_gets_the_changes_in_order() {
    let mut world = World::new(ACCOUNTS);
    let romeo = world.online("romeo@example.net/orchard");
    for name in ["a", "b", "c", "d", "e"] {
        set(&mut world, &romeo, &format!("<item jid='{name}@b.c'/>"));
    }
    set(&mut world, &romeo, "<item jid='b@b.c' name='B'/>");
    set(&mut world, &romeo, "<item jid='a@b.c' name='A'/>");
    set(&mut world, &romeo, "<item jid='b@b.c' name='BB'/>");
    let version = format!(" ver='{}'", START + 4);
    expect![[r#"
        romeo@example.net/orchard: <iq from='romeo@example.net' to='romeo@example.net/orchard' type='result' id='g'/>
        romeo@example.net/orchard: <iq to='romeo@example.net/orchard' type='set' id='push-1006'><query xmlns='jabber:iq:roster' ver='1006'><item jid='a@b.c' name='A' subscription='none'/></query></iq>
        romeo@example.net/orchard: <iq to='romeo@example.net/orchard' type='set' id='push-1007'><query xmlns='jabber:iq:roster' ver='1007'><item jid='b@b.c' name='BB' subscription='none'/></query></iq>
    "#]].assert_eq(&get(&mut world, &romeo, &version));
}

#[test]
fn after_a_removal_older_versions_get_the_whole_roster() {
    let mut world = World::new(ACCOUNTS);
    let romeo = world.online("romeo@example.net/orchard");
    for name in ["a", "b", "c", "d"] {
        set(&mut world, &romeo, &format!("<item jid='{name}@b.c'/>"));
    }
    set(&mut world, &romeo, "<item jid='b@b.c' subscription='remove'/>");
    let older = get(&mut world, &romeo, &format!(" ver='{}'", START + 3));
    assert_eq!(older.matches("<item").count(), 3, "{older}");
    let latest = get(&mut world, &romeo, &format!(" ver='{}'", START + 4));
    assert_eq!(latest.matches("<item").count(), 0, "{latest}");
}

#[test]
fn removing_a_contact_ends_both_subscriptions() {
    let mut world = World::new(ACCOUNTS);
    let romeo = world.online("romeo@example.net/orchard");
    let juliet = world.online("juliet@example.com/balcony");
    world.befriend(&romeo, &juliet);
    let removed = "<item jid='juliet@example.com' subscription='remove'/>";
    expect![[r#"
        romeo@example.net/orchard: <iq from='romeo@example.net' to='romeo@example.net/orchard' type='result' id='s'/>
        romeo@example.net/orchard: <iq to='romeo@example.net/orchard' type='set' id='push-1003'><query xmlns='jabber:iq:roster' ver='1003'><item jid='juliet@example.com' subscription='remove'/></query></iq>
        juliet@example.com/balcony: <presence from='romeo@example.net' to='juliet@example.com' type='unsubscribe'/>
        juliet@example.com/balcony: <iq to='juliet@example.com/balcony' type='set' id='push-1003'><query xmlns='jabber:iq:roster' ver='1003'><item jid='romeo@example.net' subscription='to'/></query></iq>
        juliet@example.com/balcony: <presence from='romeo@example.net/orchard' to='juliet@example.com' type='unavailable'/>
        juliet@example.com/balcony: <presence from='romeo@example.net' to='juliet@example.com' type='unsubscribed'/>
        juliet@example.com/balcony: <iq to='juliet@example.com/balcony' type='set' id='push-1004'><query xmlns='jabber:iq:roster' ver='1004'><item jid='romeo@example.net' subscription='none'/></query></iq>
        romeo@example.net/orchard: <presence from='juliet@example.com/balcony' to='romeo@example.net' type='unavailable'/>
    "#]].assert_eq(&set(&mut world, &romeo, removed));
}

#[test]
fn naming_a_contact_leaves_the_subscription_alone() {
    let mut world = World::new(ACCOUNTS);
    let romeo = world.online("romeo@example.net/orchard");
    let juliet = world.online("juliet@example.com/balcony");
    world.befriend(&romeo, &juliet);
    let answer = set(&mut world, &romeo, "<item jid='juliet@example.com' name='Juliet'/>");
    assert!(answer.contains("subscription='both'"), "{answer}");
}

#[test]
fn a_pending_request_is_not_in_the_roster() {
    let mut world = World::new(ACCOUNTS);
    let romeo = world.online("romeo@example.net/orchard");
    world.receive("<presence from='a@remote.org' to='romeo@example.net' type='subscribe'/>");
    world.transcript();
    expect![[r#"
        romeo@example.net/orchard: <iq from='romeo@example.net' to='romeo@example.net/orchard' type='result' id='g'><query xmlns='jabber:iq:roster' ver='0'/></iq>
    "#]].assert_eq(&get(&mut world, &romeo, ""));
    // Listing the contact does not answer it.
    set(&mut world, &romeo, "<item jid='a@remote.org' name='A'/>");
    world.send(&romeo, "<presence to='a@remote.org' type='subscribed'/>");
    assert!(world.transcript().contains("subscription='from'"));
}

#[test]
fn nobody_changes_the_roster_of_another() {
    let mut world = World::new(ACCOUNTS);
    let romeo = world.online("romeo@example.net/orchard");
    let stanza = support::parse(
        "<iq type='set' id='s'><query xmlns='jabber:iq:roster'><item jid='a@b.c'/></query></iq>",
    );
    let handler = world.registry.iq_handler(At::Bare, "jabber:iq:roster", "query", true);
    let ctx = world.ctx(Some(&romeo), &support::bare("juliet@example.com"));
    let answer = support::ready(handler.expect("registered")(ctx, Iq::new(stanza)));
    assert_eq!(answer.expect_err("refused").condition(), Condition::Forbidden);
    let juliet = world.connect("juliet@example.com/balcony");
    assert!(!get(&mut world, &juliet, "").contains("<item"));
}

#[test]
fn the_stream_says_what_the_roster_can_do() {
    let world = World::new(ACCOUNTS);
    let features: Vec<_> =
        world.registry.stream_features().iter().map(|feature| feature.to_xml("")).collect();
    expect![[r#"
        <ver xmlns='urn:xmpp:features:rosterver'/>
        <sub xmlns='urn:xmpp:features:pre-approval'/>"#]]
    .assert_eq(&features.join("\n"));
}
