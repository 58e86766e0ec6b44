//! A change shows when it is durable, not before, and not at all where it cannot be.

mod support;

use std::sync::Arc;
use std::task::{Context, Waker};

use jackdaw_ext::{Effect, Presence, Roster};
use jackdaw_store::StoreError;
use jackdaw_store::held::{HeldEngine, Mode};
use support::{World, bare, parse};

#[test]
fn a_subscription_stanza_has_no_effect_before_the_roster_is_committed() {
    let engine = Arc::new(HeldEngine::default());
    let mut world = World::over(engine.clone(), &["romeo@example.net", "juliet@example.com"]);
    let romeo = world.online("romeo@example.net/orchard");
    engine.set(Mode::Hold);
    let mut stanza = parse("<presence to='juliet@example.com' type='subscribe'/>");
    stanza.set_from(romeo.jid().clone().into());
    let ctx = world.ctx(Some(&romeo), &bare("romeo@example.net"));
    let mut leaving = world.im.subscription_outbound(ctx.clone(), stanza);
    let mut context = Context::from_waker(Waker::noop());
    assert!(leaving.as_mut().poll(&mut context).is_pending());
    assert!(ctx.take_effects().is_empty(), "nobody hears of it yet");
    assert!(romeo.account().slot::<Roster>().is_none(), "nor does memory show it");
    engine.release();
    assert!(leaving.as_mut().poll(&mut context).is_ready());
    let effects = ctx.take_effects();
    assert!(matches!(effects[..], [Effect::Route(_), Effect::Deliver(..)]));
    assert!(romeo.account().slot::<Roster>().is_some());
}

#[test]
fn two_changes_of_one_account_come_one_after_the_other() {
    let engine = Arc::new(HeldEngine::default());
    let mut world = World::over(engine.clone(), &["romeo@example.net"]);
    let romeo = world.online("romeo@example.net/orchard");
    engine.set(Mode::Hold);
    let mut context = Context::from_waker(Waker::noop());
    let ask = |contact: &str| {
        let mut stanza = parse(&format!("<presence to='{contact}' type='subscribe'/>"));
        stanza.set_from(romeo.jid().clone().into());
        let ctx = world.ctx(Some(&romeo), &bare("romeo@example.net"));
        world.im.subscription_outbound(ctx, stanza)
    };
    let (mut first, mut second) = (ask("a@b.c"), ask("d@b.c"));
    assert!(first.as_mut().poll(&mut context).is_pending());
    assert!(second.as_mut().poll(&mut context).is_pending());
    assert_eq!(engine.held(), 1, "the second waits for the first");
    engine.release();
    assert!(first.as_mut().poll(&mut context).is_ready());
    assert!(second.as_mut().poll(&mut context).is_pending());
    engine.release();
    assert!(second.as_mut().poll(&mut context).is_ready());
    let roster = romeo.account().slot::<Roster>().expect("two contacts");
    assert_eq!(roster.items.len(), 2);
}

#[test]
fn a_change_that_cannot_be_stored_is_refused_and_leaves_no_trace() {
    let engine = Arc::new(HeldEngine::default());
    let mut world = World::over(engine.clone(), &["romeo@example.net"]);
    let romeo = world.online("romeo@example.net/orchard");
    engine.set(Mode::Hold);
    let mut stanza = parse("<presence id='a' to='juliet@example.com' type='subscribe'/>");
    stanza.set_from(romeo.jid().clone().into());
    let ctx = world.ctx(Some(&romeo), &bare("romeo@example.net"));
    let mut leaving = world.im.subscription_outbound(ctx.clone(), stanza);
    let mut context = Context::from_waker(Waker::noop());
    assert!(leaving.as_mut().poll(&mut context).is_pending());
    engine.fail(&StoreError::Busy);
    assert!(leaving.as_mut().poll(&mut context).is_ready());
    world.drain(&ctx);
    let heard = world.transcript();
    assert_eq!(heard.lines().count(), 1, "{heard}");
    assert!(heard.contains("id='a'") && heard.contains("resource-constraint"), "{heard}");
    assert!(romeo.account().slot::<Roster>().is_none());
}

#[test]
fn a_request_that_cannot_be_kept_is_bounced_to_its_sender() {
    let engine = Arc::new(HeldEngine::default());
    let mut world = World::over(engine.clone(), &["romeo@example.net"]);
    let _romeo = world.online("romeo@example.net/orchard");
    engine.set(Mode::Hold);
    let ctx = world.ctx(None, &bare("romeo@example.net"));
    let stanza = parse("<presence from='a@remote.org' to='romeo@example.net' type='subscribe'/>");
    let mut arriving = world.im.inbound(ctx.clone(), bare("romeo@example.net"), stanza);
    let mut context = Context::from_waker(Waker::noop());
    assert!(arriving.as_mut().poll(&mut context).is_pending());
    engine.fail(&StoreError::Full);
    assert!(arriving.as_mut().poll(&mut context).is_ready());
    world.drain(&ctx);
    let heard = world.transcript();
    assert!(heard.starts_with("->: ") && heard.contains("type='error'"), "{heard}");
    assert_eq!(heard.lines().count(), 1, "{heard}");
}
