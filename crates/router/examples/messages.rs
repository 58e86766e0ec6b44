//! What a stanza costs between the sender's stream and the recipients' queues: time and
//! allocations, on one thread, with an outbox that forgets.
//!
//! `cargo run --release -p jackdaw-router --example messages`

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use jackdaw_ext::{
    Accounts, Clock, Command, Ctx, Effect, Hosts, Locks, Outbox, Pending, Presence, Random,
    Registry, Services, Spawn, Timestamp,
};
use jackdaw_jid::BareJid;
use jackdaw_router::bind::AccountKind;
use jackdaw_router::{Router, RouterConfig};
use jackdaw_session::{Address, Availability, Session, Sessions};
use jackdaw_stanza::{Delivery, Settle, Stanza};
use jackdaw_store::{Durability, MemoryEngine, Stores};
use jackdaw_xml::{Limits, Scope};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Counts deliveries, and remembers the last token so that it can be settled.
#[derive(Default)]
struct Null {
    deliveries: AtomicU64,
    token: AtomicU64,
}

impl Outbox for Null {
    fn deliver(&self, _: Address, delivery: Delivery) -> Result<(), Box<Delivery>> {
        self.deliveries.fetch_add(1, Ordering::Relaxed);
        if let Some(settle) = delivery.settle {
            self.token.store(settle.0, Ordering::Relaxed);
        }
        Ok(())
    }

    fn command(&self, _: Address, _: Command) {}
}

/// Time stands still, and nothing that is spawned runs.
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp(1_000_000)
    }
}

impl Random for Still {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

impl Spawn for Still {
    fn spawn(&self, _: Pending<()>) {}

    fn after(&self, _: Duration, _: Pending<()>) {}
}

/// Every broadcast goes to these contacts, as a roster would say.
struct Fan(Vec<BareJid>);

fn done() -> Pending<()> {
    Box::pin(std::future::ready(()))
}

impl Presence for Fan {
    fn broadcast(&self, ctx: Ctx, stanza: Stanza) -> Pending<()> {
        for contact in &self.0 {
            ctx.effect(Effect::Route(stanza.addressed_to(contact.clone().into())));
        }
        done()
    }

    fn directed(&self, _: Ctx, _: Stanza) -> Pending<()> {
        done()
    }

    fn subscription_outbound(&self, _: Ctx, _: Stanza) -> Pending<()> {
        done()
    }

    fn inbound(&self, _: Ctx, _: BareJid, _: Stanza) -> Pending<()> {
        done()
    }

    fn part(&self, _: Ctx, _: BareJid) -> Pending<()> {
        done()
    }

    fn session_ended(&self, _: Ctx, _: Arc<Session>) -> Pending<()> {
        done()
    }
}

fn bare(jid: &str) -> BareJid {
    BareJid::parse(jid).expect("a bare JID")
}

fn router(outbox: Arc<Null>, contacts: Vec<BareJid>) -> Arc<Router> {
    let stores = Stores::new(Arc::new(MemoryEngine::new()), Durability::Fast);
    let services = Services {
        sessions: Sessions::new(1),
        accounts: Accounts::new(stores.clone()),
        stores,
        hosts: Hosts::new(vec![bare("example.net")]),
        away: None,
        locks: Locks::default(),
        clock: Arc::new(Still),
        random: Arc::new(Still),
        spawn: Arc::new(Still),
        outbox: OnceLock::from(outbox as Arc<dyn Outbox>),
        administration: OnceLock::new(),
        host_disco: OnceLock::new(),
        account_disco: OnceLock::new(),
        loaders: OnceLock::new(),
    };
    let mut registry = Registry::default();
    registry.offline(|_| true);
    Router::new(Arc::new(services), registry, Arc::new(Fan(contacts)), RouterConfig::default())
}

fn bind(router: &Arc<Router>, account: &str, slot: u32) -> Arc<Session> {
    let address = Address { worker: 0, slot, generation: 0 };
    let resource = Some("balcony".to_owned());
    let bound = router.bind(bare(account), resource, address, AccountKind::Guest);
    let mut bound = Box::pin(bound);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(Ok(session)) = bound.as_mut().poll(&mut context) else {
        unreachable!("memory is never late")
    };
    let presence = Some(Bytes::from_static(b"<presence/>"));
    session.set_availability(Availability { presence, priority: 0 });
    session
}

const ROUNDS: u64 = 200_000;

fn main() {
    let outbox = Arc::new(Null::default());
    let contacts: Vec<BareJid> = (0..20).map(|n| bare(&format!("user{n}@example.net"))).collect();
    let router = router(Arc::clone(&outbox), contacts.clone());
    let romeo = bind(&router, "romeo@example.net", 1);
    let juliet = bind(&router, "juliet@example.net", 2);
    for (contact, slot) in contacts.iter().zip(3..) {
        bind(&router, contact.as_str(), slot);
    }
    // Others in the table, so that a look at it is not a look at a warm line of the cache.
    for n in 0..50_000 {
        bind(&router, &format!("crowd{n}@example.net"), 100 + n);
    }
    let chat = |to: &str| {
        format!("<message to='{to}' type='chat' id='a1'><body>Art thou not Romeo?</body></message>")
    };
    let send = |stanza: &Stanza, number: Option<u32>| {
        router.accept(&romeo, stanza.clone(), number);
    };
    let full = chat("juliet@example.net/balcony");
    let to_bare = chat("juliet@example.net");
    measure(&outbox, "chat, full JID", &full, |stanza| send(stanza, None));
    measure(&outbox, "chat, bare JID", &to_bare, |stanza| send(stanza, None));
    measure(&outbox, "presence to 20 contacts", "<presence/>", |stanza| send(stanza, None));
    juliet.set_managed();
    measure(&outbox, "chat, full JID, acknowledged", &full, |stanza| {
        send(stanza, Some(1));
        router.settled(Settle(outbox.token.load(Ordering::Relaxed)));
    });
    println!("a stanza is {} bytes, a delivery {}", size_of::<Stanza>(), size_of::<Delivery>());
}

/// Per delivered stanza; parsing is not in it.
fn measure(outbox: &Null, what: &str, xml: &str, mut send: impl FnMut(&Stanza)) {
    let bytes = Bytes::from(xml.as_bytes().to_vec());
    let stanza = Stanza::parse(bytes, &Scope::client(), &Limits::after_auth()).expect("a stanza");
    (0..1000).for_each(|_| send(&stanza));
    let deliveries = outbox.deliveries.load(Ordering::Relaxed);
    let allocations = ALLOCATIONS.load(Ordering::Relaxed);
    #[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
    let start = Instant::now();
    (0..ROUNDS).for_each(|_| send(&stanza));
    let time = start.elapsed();
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - allocations;
    let deliveries = outbox.deliveries.load(Ordering::Relaxed) - deliveries;
    assert!(deliveries >= ROUNDS, "{what}: not delivered");
    println!(
        "{what:30} {:7.0} ns {:6.2} allocations",
        time.as_nanos() as f64 / deliveries as f64,
        allocations as f64 / deliveries as f64,
    );
}
