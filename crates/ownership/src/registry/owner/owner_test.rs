use super::*;
use crate::registry::{Bind, Claim, Counters, End, Nonce, Place, Refusal};

const X: Incarnation = Incarnation(1);
const Y: Incarnation = Incarnation(2);

fn tenure() -> Tenure {
    Tenure { shard: ShardId::new(3).expect("a shard"), epoch: Epoch(7) }
}

fn jid(resource: &str) -> FullJid {
    FullJid::parse(&format!("romeo@example.net/{resource}")).expect("a JID")
}

#[expect(clippy::disallowed_methods, reason = "an origin; nothing reads the clock after it")]
fn now() -> Instant {
    Instant::now()
}

/// An owner of the shard, and its fence.
fn serving(config: RegistryConfig) -> (Registry, Fence) {
    let (mut registry, fence) = (Registry::new(config), Fence::default());
    registry.handle_joined(X);
    registry.handle_joined(Y);
    registry.begin(tenure(), &fence);
    registry.activate(tenure(), &fence);
    (registry, fence)
}

fn bind(nonce: u64, resource: &str) -> ToOwner {
    let (claim, nonce) = (Claim::New, Nonce(nonce));
    let (tenure, jid) = (tenure(), jid(resource));
    ToOwner::Bind(Bind { tenure, jid, worker: 0, nonce, claim, is_resumable: false })
}

fn answers(registry: &mut Registry) -> Vec<(Incarnation, ToSocket)> {
    std::iter::from_fn(|| registry.poll_transmit()).collect()
}

fn refusal(answers: &[(Incarnation, ToSocket)]) -> Option<Refusal> {
    match answers {
        [(_, ToSocket::Refused { why, .. })] => Some(*why),
        _ => None,
    }
}

#[test]
fn a_full_jid_that_is_taken_stays_taken_where_the_policy_says_so() {
    let policy = ConflictPolicy::RefuseNew;
    let (mut registry, fence) = serving(RegistryConfig { policy, ..RegistryConfig::default() });
    registry.handle(now(), X, bind(1, "orchard"), &fence);
    answers(&mut registry);
    registry.handle(now(), Y, bind(1, "orchard"), &fence);
    assert_eq!(refusal(&answers(&mut registry)), Some(Refusal::Conflict));
}

#[test]
fn an_account_has_so_many_sessions_and_no_more() {
    let config = RegistryConfig { sessions_per_account_max: 2, ..RegistryConfig::default() };
    let (mut registry, fence) = serving(config);
    for (nonce, resource) in [(1, "orchard"), (2, "balcony")] {
        registry.handle(now(), X, bind(nonce, resource), &fence);
    }
    answers(&mut registry);
    registry.handle(now(), X, bind(3, "garden"), &fence);
    assert_eq!(refusal(&answers(&mut registry)), Some(Refusal::TooMany));
    let names = registry.sessions_of(tenure().shard, &jid("x").bare());
    let names: Vec<FullJid> = names.into_iter().map(|it| it.jid).collect();
    assert_eq!(names, [jid("balcony"), jid("orchard")]);
}

#[test]
fn nobody_gets_anything_before_the_shard_is_served() {
    let (mut registry, fence) = (Registry::new(RegistryConfig::default()), Fence::default());
    registry.handle_joined(X);
    registry.begin(tenure(), &fence);
    registry.handle(now(), X, bind(1, "orchard"), &fence);
    assert_eq!(answers(&mut registry), []);
    registry.activate(tenure(), &fence);
    registry.handle(now(), X, bind(1, "orchard"), &fence);
    assert_eq!(answers(&mut registry).len(), 1);
}

#[test]
fn a_repeated_bind_is_answered_as_before() {
    let (mut registry, fence) = serving(RegistryConfig::default());
    registry.handle(now(), X, bind(1, "orchard"), &fence);
    let first = answers(&mut registry);
    registry.handle(now(), X, bind(1, "orchard"), &fence);
    assert_eq!(answers(&mut registry), first);
}

#[test]
fn a_frame_of_a_node_that_has_ended_does_nothing() {
    let (mut registry, fence) = serving(RegistryConfig::default());
    registry.handle_ended(X, &fence);
    registry.handle(now(), X, bind(1, "orchard"), &fence);
    assert_eq!(answers(&mut registry), []);
    assert_eq!(registry.sessions(tenure().shard).count(), 0);
}

#[test]
fn a_higher_epoch_ends_the_ownership_at_once() {
    let (mut registry, fence) = serving(RegistryConfig::default());
    let epoch = Epoch(9);
    fence.see(Tenure { epoch, ..tenure() });
    registry.handle(now(), X, bind(1, "orchard"), &fence);
    let moved = Moved { tenure: Tenure { epoch, ..tenure() }, owner: None };
    assert_eq!(registry.poll_moved(), Some((X, moved)));
    assert_eq!(answers(&mut registry), []);
    assert!(!registry.serves(tenure().shard, &fence));
}

#[test]
fn an_eviction_is_asked_for_until_it_is_answered() {
    let (mut registry, fence) = serving(RegistryConfig::default());
    let start = now();
    registry.handle(start, X, bind(1, "orchard"), &fence);
    answers(&mut registry);
    registry.handle(start, Y, bind(1, "orchard"), &fence);
    let [(to, evict)] = &answers(&mut registry)[..] else { panic!("no answer") };
    let ToSocket::Evict { generation, .. } = *evict else { panic!("no eviction") };
    let when = registry.poll_timeout().expect("a timer");
    registry.handle_timeout(when, &fence);
    assert_eq!(answers(&mut registry), [(*to, evict.clone())]);
    let counters = Some(Counters { inbound: 4, delivered: 5 });
    let (tenure, generation, end) = (tenure(), generation, End::Evicted);
    registry.handle(when, X, ToOwner::Unbind { tenure, generation, end, counters }, &fence);
    registry.handle_timeout(registry.poll_timeout().expect("a timer"), &fence);
    let place = registry.find(tenure.shard, &jid("orchard")).and_then(|it| it.place);
    assert_eq!(place, Some(Place { incarnation: Y, worker: 0 }));
    assert_eq!(answers(&mut registry).len(), 2, "bound and unbound, and no eviction");
}

#[test]
fn a_snapshot_of_another_epoch_is_thrown_away() {
    let (mut registry, fence) = serving(RegistryConfig::default());
    let snapshot = registry.seal(tenure().shard, &fence).expect("a snapshot");
    let next = Tenure { epoch: Epoch(9), ..tenure() };
    registry.begin(next, &fence);
    assert_eq!(registry.install(next, Epoch(8), snapshot.clone()), Err(Gap));
    assert_eq!(registry.install(next, Epoch(7), snapshot), Ok(()));
}
