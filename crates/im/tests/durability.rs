//! A change shows when it is durable, not before, and not at all where it cannot be.

mod support;

use std::sync::Arc;
use std::task::{Context, Waker};

use jackdaw_ext::{Effect, Presence, Roster};
use jackdaw_jid::BareJid;
use jackdaw_store::{
    Answer, Batch, Done, Durability, Engine, ItemRange, MemoryEngine, Row, StoreError, StoreStats,
    Table,
};
use parking_lot::Mutex;
use support::{World, bare, parse};

/// Commits wait until they are let through.
#[derive(Default)]
struct Slow {
    inner: MemoryEngine,
    is_held: Mutex<bool>,
    held: Mutex<Vec<(Batch, Durability, Done)>>,
}

impl Slow {
    fn hold(&self) {
        *self.is_held.lock() = true;
    }

    fn let_through(&self) {
        for (batch, durability, done) in std::mem::take(&mut *self.held.lock()) {
            self.inner.commit_then(batch, durability, done);
        }
    }

    fn refuse(&self, error: &StoreError) {
        for (_, _, done) in std::mem::take(&mut *self.held.lock()) {
            done(Err(error.clone()));
        }
    }
}

impl Engine for Slow {
    fn get(&self, table: Table, account: &BareJid, item: &[u8]) -> Answer<Option<bytes::Bytes>> {
        self.inner.get(table, account, item)
    }

    fn list(&self, table: Table, account: &BareJid, range: ItemRange) -> Answer<Vec<Row>> {
        self.inner.list(table, account, range)
    }

    fn accounts(
        &self,
        table: Table,
        after: Option<&BareJid>,
        limit: usize,
    ) -> Answer<Vec<BareJid>> {
        self.inner.accounts(table, after, limit)
    }

    fn commit_then(&self, batch: Batch, durability: Durability, done: Done) {
        if *self.is_held.lock() {
            self.held.lock().push((batch, durability, done));
        } else {
            self.inner.commit_then(batch, durability, done);
        }
    }

    fn health(&self) -> Result<(), StoreError> {
        self.inner.health()
    }

    fn stats(&self) -> StoreStats {
        self.inner.stats()
    }

    fn close(&self) {
        self.inner.close();
    }
}

#[test]
fn a_subscription_stanza_has_no_effect_before_the_roster_is_committed() {
    let engine = Arc::new(Slow::default());
    let mut world = World::over(engine.clone(), &["romeo@example.net", "juliet@example.com"]);
    let romeo = world.online("romeo@example.net/orchard");
    engine.hold();
    let mut stanza = parse("<presence to='juliet@example.com' type='subscribe'/>");
    stanza.set_from(romeo.jid().clone().into());
    let ctx = world.ctx(Some(&romeo), &bare("romeo@example.net"));
    let mut leaving = world.im.subscription_outbound(ctx.clone(), stanza);
    let mut context = Context::from_waker(Waker::noop());
    assert!(leaving.as_mut().poll(&mut context).is_pending());
    assert!(ctx.take_effects().is_empty(), "nobody hears of it yet");
    assert!(romeo.account().slot::<Roster>().is_none(), "nor does memory show it");
    engine.let_through();
    assert!(leaving.as_mut().poll(&mut context).is_ready());
    let effects = ctx.take_effects();
    assert!(matches!(effects[..], [Effect::Route(_), Effect::Deliver(..)]));
    assert!(romeo.account().slot::<Roster>().is_some());
}

#[test]
fn two_changes_of_one_account_come_one_after_the_other() {
    let engine = Arc::new(Slow::default());
    let mut world = World::over(engine.clone(), &["romeo@example.net"]);
    let romeo = world.online("romeo@example.net/orchard");
    engine.hold();
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
    assert_eq!(engine.held.lock().len(), 1, "the second waits for the first");
    engine.let_through();
    assert!(first.as_mut().poll(&mut context).is_ready());
    assert!(second.as_mut().poll(&mut context).is_pending());
    engine.let_through();
    assert!(second.as_mut().poll(&mut context).is_ready());
    let roster = romeo.account().slot::<Roster>().expect("two contacts");
    assert_eq!(roster.items.len(), 2);
}

#[test]
fn a_change_that_cannot_be_stored_is_refused_and_leaves_no_trace() {
    let engine = Arc::new(Slow::default());
    let mut world = World::over(engine.clone(), &["romeo@example.net"]);
    let romeo = world.online("romeo@example.net/orchard");
    engine.hold();
    let mut stanza = parse("<presence id='a' to='juliet@example.com' type='subscribe'/>");
    stanza.set_from(romeo.jid().clone().into());
    let ctx = world.ctx(Some(&romeo), &bare("romeo@example.net"));
    let mut leaving = world.im.subscription_outbound(ctx.clone(), stanza);
    let mut context = Context::from_waker(Waker::noop());
    assert!(leaving.as_mut().poll(&mut context).is_pending());
    engine.refuse(&StoreError::Busy);
    assert!(leaving.as_mut().poll(&mut context).is_ready());
    world.drain(&ctx);
    let heard = world.transcript();
    assert_eq!(heard.lines().count(), 1, "{heard}");
    assert!(heard.contains("id='a'") && heard.contains("resource-constraint"), "{heard}");
    assert!(romeo.account().slot::<Roster>().is_none());
}

#[test]
fn a_request_that_cannot_be_kept_is_bounced_to_its_sender() {
    let engine = Arc::new(Slow::default());
    let mut world = World::over(engine.clone(), &["romeo@example.net"]);
    let _romeo = world.online("romeo@example.net/orchard");
    engine.hold();
    let ctx = world.ctx(None, &bare("romeo@example.net"));
    let stanza = parse("<presence from='a@remote.org' to='romeo@example.net' type='subscribe'/>");
    let mut arriving = world.im.inbound(ctx.clone(), bare("romeo@example.net"), stanza);
    let mut context = Context::from_waker(Waker::noop());
    assert!(arriving.as_mut().poll(&mut context).is_pending());
    engine.refuse(&StoreError::Full);
    assert!(arriving.as_mut().poll(&mut context).is_ready());
    world.drain(&ctx);
    let heard = world.transcript();
    assert!(heard.starts_with("->: ") && heard.contains("type='error'"), "{heard}");
    assert_eq!(heard.lines().count(), 1, "{heard}");
}
