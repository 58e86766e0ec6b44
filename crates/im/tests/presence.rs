//! Presence between accounts (RFC 6121 §4), as everybody sees it.

mod support;

use expect_test::expect;
use support::{TYBALT, World};

const ACCOUNTS: &[&str] = &["romeo@example.net", "juliet@example.com", "nurse@example.com"];

#[test]
fn initial_presence_is_broadcast_and_the_contacts_are_probed() {
    let mut world = World::new(ACCOUNTS);
    let romeo = world.online("romeo@example.net/orchard");
    let juliet = world.online("juliet@example.com/balcony");
    world.befriend(&romeo, &juliet);
    world.send(&romeo, "<presence type='unavailable'/>");
    world.transcript();
    world.send(&romeo, "<presence id='p'><show>away</show></presence>");
    expect![[r#"
        romeo@example.net/orchard: <presence from='romeo@example.net/orchard' to='romeo@example.net/orchard' id='p'><show>away</show></presence>
        romeo@example.net/orchard: (offline messages)
        juliet@example.com/balcony: <presence from='romeo@example.net/orchard' to='juliet@example.com' id='p'><show>away</show></presence>
        romeo@example.net/orchard: <presence from='juliet@example.com/balcony' to='romeo@example.net/orchard'/>
    "#]].assert_eq(&world.transcript());
}

#[test]
fn later_presence_is_broadcast_without_probes() {
    let mut world = World::new(ACCOUNTS);
    let romeo = world.online("romeo@example.net/orchard");
    let juliet = world.online("juliet@example.com/balcony");
    world.befriend(&romeo, &juliet);
    world.send(&juliet, "<presence><show>dnd</show></presence>");
    expect![[r#"
        juliet@example.com/balcony: <presence from='juliet@example.com/balcony' to='juliet@example.com/balcony'><show>dnd</show></presence>
        romeo@example.net/orchard: <presence from='juliet@example.com/balcony' to='romeo@example.net'><show>dnd</show></presence>
    "#]].assert_eq(&world.transcript());
}

#[test]
fn a_contact_that_the_account_hides_from_gets_no_presence_and_no_probe() {
    let mut world = World::new(&["romeo@example.net", TYBALT]);
    let romeo = world.online("romeo@example.net/orchard");
    let tybalt = world.online("tybalt@example.com/street");
    world.befriend(&romeo, &tybalt);
    world.send(&romeo, "<presence><show>dnd</show></presence>");
    world.send(&romeo, "<presence type='unavailable'/>");
    world.send(&romeo, "<presence/>");
    let heard = world.transcript();
    assert!(!heard.contains(TYBALT), "{heard}");
}

#[test]
fn a_second_resource_and_the_first_learn_of_each_other() {
    let mut world = World::new(ACCOUNTS);
    let _first = world.online("juliet@example.com/balcony");
    let second = world.connect("juliet@example.com/chamber");
    world.send(&second, "<presence/>");
    expect![[r#"
        juliet@example.com/balcony: <presence from='juliet@example.com/chamber' to='juliet@example.com/balcony'/>
        juliet@example.com/chamber: <presence from='juliet@example.com/chamber' to='juliet@example.com/chamber'/>
        juliet@example.com/chamber: <presence from='juliet@example.com/balcony' to='juliet@example.com/chamber'/>
        juliet@example.com/chamber: (offline messages)
    "#]].assert_eq(&world.transcript());
}

#[test]
fn only_those_who_are_subscribed_hear_of_it() {
    let mut world = World::new(ACCOUNTS);
    let romeo = world.online("romeo@example.net/orchard");
    let juliet = world.online("juliet@example.com/balcony");
    let _nurse = world.online("nurse@example.com/kitchen");
    world.subscribe(&romeo, &juliet);
    world.send(&juliet, "<presence><show>chat</show></presence>");
    let heard = world.transcript();
    assert!(heard.contains("romeo@example.net/orchard: "));
    assert!(!heard.contains("nurse@example.com"));
    world.send(&romeo, "<presence><show>chat</show></presence>");
    assert!(!world.transcript().contains("juliet@example.com/balcony: "), "he granted nothing");
}

#[test]
fn unavailable_presence_is_told_in_its_own_words() {
    let mut world = World::new(ACCOUNTS);
    let romeo = world.online("romeo@example.net/orchard");
    let juliet = world.online("juliet@example.com/balcony");
    world.befriend(&romeo, &juliet);
    world.send(&romeo, "<presence type='unavailable'><status>bye</status></presence>");
    expect![[r#"
        romeo@example.net/orchard: <presence from='romeo@example.net/orchard' to='romeo@example.net/orchard' type='unavailable'><status>bye</status></presence>
        juliet@example.com/balcony: <presence from='romeo@example.net/orchard' to='juliet@example.com' type='unavailable'><status>bye</status></presence>
    "#]].assert_eq(&world.transcript());
    world.end(&romeo);
    assert_eq!(world.transcript(), "", "it was said already");
}

#[test]
fn a_lost_session_is_said_to_be_unavailable() {
    let mut world = World::new(ACCOUNTS);
    let romeo = world.online("romeo@example.net/orchard");
    let _garden = world.online("romeo@example.net/garden");
    let juliet = world.online("juliet@example.com/balcony");
    world.befriend(&romeo, &juliet);
    world.end(&romeo);
    expect![[r#"
        romeo@example.net/garden: <presence from='romeo@example.net/orchard' to='romeo@example.net/garden' type='unavailable'/>
        juliet@example.com/balcony: <presence from='romeo@example.net/orchard' to='juliet@example.com' type='unavailable'/>
    "#]].assert_eq(&world.transcript());
}

#[test]
fn an_evicted_session_does_not_hide_its_heir() {
    let mut world = World::new(ACCOUNTS);
    let old = world.online("romeo@example.net/orchard");
    let juliet = world.online("juliet@example.com/balcony");
    world.befriend(&old, &juliet);
    world.send(&old, "<presence to='room@muc.example.org/me'/>");
    let heir = world.connect("romeo@example.net/orchard");
    world.send(&heir, "<presence/>");
    world.transcript();
    world.end(&old);
    expect![[r#"
        ->: <presence from='romeo@example.net/orchard' to='room@muc.example.org/me' type='unavailable'/>
    "#]].assert_eq(&world.transcript());
    assert!(heir.is_available());
}

#[test]
fn offline_messages_flow_once_the_priority_is_not_negative() {
    let mut world = World::new(ACCOUNTS);
    let romeo = world.connect("romeo@example.net/orchard");
    let flushes = |world: &mut World| world.transcript().matches("offline messages").count();
    world.send(&romeo, "<presence><priority>-5</priority></presence>");
    assert_eq!(flushes(&mut world), 0);
    world.send(&romeo, "<presence><priority>5</priority></presence>");
    assert_eq!(flushes(&mut world), 1);
    world.send(&romeo, "<presence/>");
    assert_eq!(flushes(&mut world), 0);
    assert_eq!(romeo.priority(), Some(0));
}

#[test]
fn a_priority_out_of_range_changes_nothing() {
    let mut world = World::new(ACCOUNTS);
    let romeo = world.connect("romeo@example.net/orchard");
    world.send(&romeo, "<presence id='p'><priority>1000</priority></presence>");
    expect![[r#"
        romeo@example.net/orchard: <presence to='romeo@example.net/orchard' type='error' id='p'><error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>the priority is not between -128 and 127</text></error></presence>
    "#]].assert_eq(&world.transcript());
    assert!(!romeo.is_available());
}

#[test]
fn directed_presence_is_taken_back_when_the_session_ends() {
    let mut world = World::new(ACCOUNTS);
    let romeo = world.online("romeo@example.net/orchard");
    let juliet = world.online("juliet@example.com/balcony");
    world.befriend(&romeo, &juliet);
    world.send(&romeo, "<presence to='room@muc.example.org/me'/>");
    world.send(&romeo, "<presence to='left@muc.example.org/me'/>");
    world.send(&romeo, "<presence to='nurse@example.com'/>");
    world.send(&romeo, "<presence to='juliet@example.com/balcony'/>");
    world.send(&romeo, "<presence to='left@muc.example.org/me' type='unavailable'/>");
    world.transcript();
    world.end(&romeo);
    expect![[r#"
        ->: <presence from='romeo@example.net/orchard' to='room@muc.example.org/me' type='unavailable'/>
        juliet@example.com/balcony: <presence from='romeo@example.net/orchard' to='juliet@example.com' type='unavailable'/>
    "#]].assert_eq(&world.transcript());
}

#[test]
fn directed_presence_without_initial_presence_is_taken_back_too() {
    let mut world = World::new(ACCOUNTS);
    let romeo = world.connect("romeo@example.net/orchard");
    world.send(&romeo, "<presence to='room@muc.example.org/me'/>");
    world.send(&romeo, "<presence type='unavailable'/>");
    expect![[r#"
        ->: <presence from='romeo@example.net/orchard' to='room@muc.example.org/me'/>
        ->: <presence from='romeo@example.net/orchard' to='room@muc.example.org/me' type='unavailable'/>
    "#]].assert_eq(&world.transcript());
}

#[test]
fn directed_presence_has_a_bound_that_is_said() {
    let mut world = World::new(ACCOUNTS);
    let romeo = world.online("romeo@example.net/orchard");
    for number in 0..jackdaw_im::limits::DIRECTED_MAX {
        world.send(&romeo, &format!("<presence to='room{number}@muc.example.org/me'/>"));
    }
    assert!(!world.transcript().contains("error"));
    world.send(&romeo, "<presence to='room0@muc.example.org/me'/>");
    assert!(!world.transcript().contains("error"), "a room it is in already");
    world.send(&romeo, "<presence to='more@muc.example.org/me'/>");
    assert!(world.transcript().contains("resource-constraint"));
}

#[test]
fn presence_from_a_stranger_reaches_all_available_resources_as_it_came() {
    let mut world = World::new(ACCOUNTS);
    let _balcony = world.online("juliet@example.com/balcony");
    let _chamber = world.online("juliet@example.com/chamber");
    let _connected = world.connect("juliet@example.com/cellar");
    world.transcript();
    world.receive("<presence from='a@remote.org/x' to='juliet@example.com'/>");
    expect![[r#"
        juliet@example.com/balcony: <presence from='a@remote.org/x' to='juliet@example.com'/>
        juliet@example.com/chamber: <presence from='a@remote.org/x' to='juliet@example.com'/>
    "#]]
    .assert_eq(&world.transcript());
}

#[test]
fn probes_are_answered_to_subscribers_only() {
    let mut world = World::new(ACCOUNTS);
    let juliet = world.online("juliet@example.com/balcony");
    world.send(&juliet, "<presence to='friend@remote.org' type='subscribed'/>");
    world.receive("<presence from='friend@remote.org' to='juliet@example.com' type='subscribe'/>");
    world.receive("<presence from='asker@remote.org' to='juliet@example.com' type='subscribe'/>");
    world.transcript();
    let mut probe = |from: &str, to: &str| {
        world.receive(&format!("<presence from='{from}' id='i' to='{to}' type='probe'/>"));
        world.transcript()
    };
    expect![[r#"
        ->: <presence from='juliet@example.com/balcony' to='friend@remote.org'/>
    "#]]
    .assert_eq(&probe("friend@remote.org", "juliet@example.com"));
    expect![[r#"
        ->: <presence from='juliet@example.com/balcony' to='friend@remote.org'/>
    "#]]
    .assert_eq(&probe("friend@remote.org", "juliet@example.com/balcony"));
    expect![[r#"
        ->: <presence from='juliet@example.com/nowhere' to='friend@remote.org' type='unavailable' id='i'/>
    "#]].assert_eq(&probe("friend@remote.org", "juliet@example.com/nowhere"));
    // Somebody who does not exist answers like somebody who says no.
    expect![[r#"
        ->: <presence from='juliet@example.com' to='stranger@remote.org' type='unsubscribed' id='i'/>
    "#]].assert_eq(&probe("stranger@remote.org/x", "juliet@example.com"));
    expect![[r#"
        ->: <presence from='nobody@example.com' to='stranger@remote.org' type='unsubscribed' id='i'/>
    "#]].assert_eq(&probe("stranger@remote.org/x", "nobody@example.com"));
    // What the user has not decided is not decided by a probe.
    assert_eq!(probe("asker@remote.org", "juliet@example.com"), "");
    world.end(&juliet);
    world.transcript();
    world.receive(
        "<presence from='friend@remote.org' id='i' to='juliet@example.com' type='probe'/>",
    );
    expect![[r#"
        ->: <presence from='juliet@example.com' to='friend@remote.org' type='unavailable' id='i'/>
    "#]]
    .assert_eq(&world.transcript());
}

#[test]
fn a_room_may_probe_who_is_in_it() {
    let mut world = World::new(ACCOUNTS);
    let romeo = world.online("romeo@example.net/orchard");
    world.send(&romeo, "<presence to='room@muc.example.org/me'><show>away</show></presence>");
    world.transcript();
    let mut probe = |from: &str| {
        let to = "romeo@example.net/orchard";
        world.receive(&format!("<presence from='{from}' to='{to}' type='probe'/>"));
        world.transcript()
    };
    expect![[r#"
        ->: <presence from='romeo@example.net/orchard' to='room@muc.example.org/me'/>
    "#]]
    .assert_eq(&probe("room@muc.example.org/me"));
    expect![[r#"
        ->: <presence from='romeo@example.net/orchard' to='room@muc.example.org'/>
    "#]]
    .assert_eq(&probe("room@muc.example.org"));
    assert!(probe("room@muc.example.org/other").contains("unsubscribed"));
    assert!(probe("other@muc.example.org").contains("unsubscribed"));
}
