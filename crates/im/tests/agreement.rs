//! Whatever two accounts do to each other, their rosters tell the same story.

mod support;

use std::sync::Arc;

use jackdaw_ext::{Roster, RosterItem};
use jackdaw_session::Session;
use support::World;

const STEPS: usize = 3_000;

/// A small generator, so that the walk is the same every time (Knuth's MMIX constants).
struct Walk(u64);

impl Walk {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn item(of: &Arc<Session>, contact: &Arc<Session>) -> RosterItem {
    let roster = of.account().slot::<Roster>().unwrap_or_default();
    roster.items.get(contact.jid().bare_str()).cloned().unwrap_or_default()
}

/// What one side thinks it has is what the other side thinks it gave.
fn check(one: &Arc<Session>, other: &Arc<Session>, story: &[String]) {
    let (mine, theirs) = (item(one, other), item(other, one));
    let tail = &story[story.len().saturating_sub(6)..];
    assert_eq!(mine.subscription.has_to(), theirs.subscription.has_from(), "{tail:#?}");
    assert_eq!(mine.is_pending_out, theirs.is_pending_in, "{tail:#?}");
    assert!(!(mine.is_approved && mine.subscription.has_from()), "{tail:#?}");
    assert!(!(mine.is_pending_in && mine.subscription.has_from()), "{tail:#?}");
    assert!(!(mine.is_pending_out && mine.subscription.has_to()), "{tail:#?}");
}

#[test]
fn two_rosters_agree_after_every_step_of_a_long_walk() {
    let mut world = World::new(&["romeo@example.net", "juliet@example.com"]);
    let sessions =
        [world.online("romeo@example.net/orchard"), world.online("juliet@example.com/balcony")];
    let mut walk = Walk(7);
    let mut story = Vec::new();
    for _ in 0..STEPS {
        let actor = walk.below(2) as usize;
        let (one, other) = (&sessions[actor], &sessions[1 - actor]);
        let to = other.jid().bare_str();
        let step = match walk.below(6) {
            0 => format!("<presence to='{to}' type='subscribe'/>"),
            1 => format!("<presence to='{to}' type='subscribed'/>"),
            2 => format!("<presence to='{to}' type='unsubscribe'/>"),
            3 => format!("<presence to='{to}' type='unsubscribed'/>"),
            kind => {
                let removal = if kind == 4 { "subscription='remove'" } else { "name='x'" };
                format!(
                    "<iq type='set' id='s'><query xmlns='jabber:iq:roster'>\
                     <item jid='{to}' {removal}/></query></iq>"
                )
            }
        };
        story.push(format!("{}: {step}", one.jid()));
        world.send(one, &step);
        check(one, other, &story);
        check(other, one, &story);
    }
    world.transcript();
}

#[test]
fn the_store_holds_what_memory_shows_after_a_walk() {
    let engine = Arc::new(jackdaw_store::MemoryEngine::new());
    let accounts = ["romeo@example.net", "juliet@example.com"];
    let mut world = World::over(engine.clone(), &accounts);
    let romeo = world.online("romeo@example.net/orchard");
    let juliet = world.online("juliet@example.com/balcony");
    let mut walk = Walk(11);
    for _ in 0..200 {
        let (one, other) = if walk.below(2) == 0 { (&romeo, &juliet) } else { (&juliet, &romeo) };
        let kinds = ["subscribe", "subscribed", "unsubscribe", "unsubscribed"];
        let kind = kinds[walk.below(4) as usize];
        world.send(one, &format!("<presence to='{}' type='{kind}'/>", other.jid().bare_str()));
    }
    let mut restarted = World::over(engine, &[]);
    for session in [&romeo, &juliet] {
        let again = restarted.connect(session.jid().as_str());
        assert_eq!(again.account().slot::<Roster>(), session.account().slot::<Roster>());
    }
}
