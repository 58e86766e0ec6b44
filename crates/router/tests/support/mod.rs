//! A router over an engine, an outbox and a runtime that do as the test says. Nothing here knows
//! RFC 6121 but a presence of a few lines, which stands in for the real one.
#![allow(dead_code)]

mod presence;

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Waker};
use std::time::Duration;

use jackdaw_ext::{
    Accounts, Away, Clock, Command, Hosts, Locks, Outbox, Pending, Random, Registry, Services,
    Spawn, Timestamp,
};
use jackdaw_jid::{BareJid, FullJid};
use jackdaw_ownership::{OneNode, Owners};
use jackdaw_router::bind::AccountKind;
use jackdaw_router::record::{NUMBERS, SESSIONS};
use jackdaw_router::restore::Restoring;
use jackdaw_router::spool::SPOOL;
use jackdaw_router::{Cluster, Identity, NoPeers, Router, RouterConfig, Taken};
use jackdaw_session::{Address, Session, SessionId, Sessions};
use jackdaw_stanza::{Delivery, MessageType, Settle, Stanza, ns};
use jackdaw_store::{Batch, Durability, Engine, ItemRange, Stores, Table};
use jackdaw_stream::c2s::{Resume, SmId};
use jackdaw_xml::{Limits, Scope};
use parking_lot::Mutex;

pub use jackdaw_store::held::HeldEngine;
#[allow(unused_imports)]
pub use jackdaw_store::held::Mode;

/// Every host of the world.
const HOST: &str = "example.net";

/// Streams: what each was handed, and which are at their bound.
#[derive(Default)]
pub struct Streams {
    delivered: Mutex<BTreeMap<u32, Vec<Delivery>>>,
    commands: Mutex<Vec<(u32, Command)>>,
    fences: Mutex<Vec<u32>>,
    full: Mutex<HashSet<u32>>,
}

impl Outbox for Streams {
    fn deliver(&self, to: Address, delivery: Delivery) -> Result<(), Box<Delivery>> {
        if self.full.lock().contains(&to.slot) {
            return Err(Box::new(delivery));
        }
        self.delivered.lock().entry(to.slot).or_default().push(delivery);
        Ok(())
    }

    fn command(&self, to: Address, command: Command) {
        match command {
            Command::Fence => self.fences.lock().push(to.slot),
            command => self.commands.lock().push((to.slot, command)),
        }
    }
}

/// The control plane: futures and timers run when the test says.
#[derive(Default)]
pub struct Tasks {
    now: AtomicU64,
    spawned: Mutex<Vec<Pending<()>>>,
    timers: Mutex<Vec<(u64, Pending<()>)>>,
}

impl Clock for Tasks {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::Relaxed))
    }
}

impl Random for Tasks {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

impl Spawn for Tasks {
    fn spawn(&self, future: Pending<()>) {
        self.spawned.lock().push(future);
    }

    fn after(&self, delay: Duration, future: Pending<()>) {
        let due = self.now.load(Ordering::Relaxed) + delay.as_millis() as u64;
        self.timers.lock().push((due, future));
    }
}

pub struct World {
    pub router: Arc<Router>,
    pub engine: Arc<HeldEngine>,
    pub streams: Arc<Streams>,
    pub tasks: Arc<Tasks>,
    slots: AtomicU32,
}

impl World {
    /// `example.net` with accounts for Romeo and Juliet.
    pub fn new() -> World {
        World::with(|_| {}, RouterConfig::default())
    }

    pub fn with(register: impl FnOnce(&mut Registry), config: RouterConfig) -> World {
        World::owned_by(Arc::new(OneNode), register, config)
    }

    pub fn owned_by(
        owners: Arc<dyn Owners>,
        register: impl FnOnce(&mut Registry),
        config: RouterConfig,
    ) -> World {
        let engine = Arc::new(HeldEngine::default());
        let world = World::over(engine, 1_000_000, owners, register, config);
        world.register("romeo@example.net");
        world.register("juliet@example.net");
        world
    }

    /// The process is killed, and started anew: nothing is left but what was committed.
    pub fn killed(self) -> World {
        let engine = HeldEngine::over(Arc::clone(&self.engine.memory));
        let now = self.tasks.now.load(Ordering::Relaxed) + 1_000;
        World::over(Arc::new(engine), now, Arc::new(OneNode), |_| {}, RouterConfig::default())
    }

    fn over(
        engine: Arc<HeldEngine>,
        now: u64,
        owners: Arc<dyn Owners>,
        register: impl FnOnce(&mut Registry),
        config: RouterConfig,
    ) -> World {
        /// Ids of sessions rise from one process to the next.
        static FIRST_ID: AtomicU64 = AtomicU64::new(1);
        let stores = Stores::new(Arc::clone(&engine) as Arc<dyn Engine>, Durability::Durable);
        let away = Away::new(&[SPOOL, SESSIONS, NUMBERS]);
        let stores = away.watch(&stores);
        let tasks = Arc::new(Tasks::default());
        tasks.now.store(now, Ordering::Relaxed);
        let streams = Arc::new(Streams::default());
        let mut registry = Registry::default();
        registry.offline(is_kept);
        register(&mut registry);
        let services = Arc::new(Services {
            sessions: Sessions::new(FIRST_ID.fetch_add(1_000, Ordering::Relaxed)),
            accounts: Accounts::new(stores.clone()),
            stores,
            hosts: Hosts::new(vec![bare(HOST)]),
            away: Some(away),
            locks: Locks::default(),
            clock: Arc::clone(&tasks) as Arc<dyn Clock>,
            random: Arc::clone(&tasks) as Arc<dyn Random>,
            spawn: Arc::clone(&tasks) as Arc<dyn Spawn>,
            outbox: OnceLock::from(Arc::clone(&streams) as Arc<dyn Outbox>),
            administration: OnceLock::new(),
            host_disco: OnceLock::new(),
            account_disco: OnceLock::new(),
            loaders: OnceLock::new(),
        });
        let presence = Arc::new(presence::Plain);
        let cluster = Cluster { owners, peers: Arc::new(NoPeers) };
        let router = Router::in_cluster(services, registry, presence, config, cluster);
        World { router, engine, streams, tasks, slots: AtomicU32::new(1) }
    }

    pub fn register(&self, account: &str) {
        let mut batch = Batch::new();
        batch.put(Table::new("account"), &bare(account), b"credentials", vec![1]);
        let engine = self.router.services().stores.engine();
        engine.commit_then(batch, Durability::Durable, Box::new(|done| done.expect("stored")));
    }

    /// Binds a resource.
    pub fn connect(&self, jid: &str) -> Arc<Session> {
        let jid = FullJid::parse(jid).expect("a full JID");
        let slot = self.slots.fetch_add(1, Ordering::Relaxed);
        let address = Address { worker: 0, slot, generation: 0 };
        let resource = Some(jid.resource().to_owned());
        let bind = self.router.bind(jid.bare(), resource, address, AccountKind::Registered);
        ready(Box::pin(bind)).expect("bound")
    }

    /// Binds a resource that is available with this priority.
    pub fn online(&self, jid: &str, priority: i8) -> Arc<Session> {
        let session = self.connect(jid);
        self.say_available(&session, priority);
        session
    }

    pub fn say_available(&self, session: &Arc<Session>, priority: i8) {
        self.send(session, &format!("<presence><priority>{priority}</priority></presence>"));
    }

    /// The same under stream management.
    pub fn managed(&self, jid: &str) -> Arc<Session> {
        let session = self.connect(jid);
        session.set_managed();
        self.say_available(&session, 0);
        session
    }

    /// The same on record: it can be resumed after the process was killed.
    pub fn recorded(&self, jid: &str) -> Arc<Session> {
        let session = self.connect(jid);
        let identity = Identity {
            id: sm_id(session.id().0).to_bytes().to_vec(),
            resource: session.jid().resource().to_owned(),
            generation: GENERATION,
            resume_secs: 600,
        };
        let router = Arc::clone(&self.router);
        let recorded = Arc::clone(&session);
        assert!(ready(Box::pin(async move { router.keep(&recorded, identity).await })));
        session.set_managed();
        self.say_available(&session, 0);
        session
    }

    /// What becomes of the wish to resume that session, whose client has handled `h` stanzas.
    pub fn restore(&self, jid: &FullJid, id: SessionId, h: u32) -> Restoring {
        self.restore_as(jid, sm_id(id.0), GENERATION, h)
    }

    pub fn restore_as(&self, jid: &FullJid, id: SmId, generation: u64, h: u32) -> Restoring {
        let slot = self.slots.fetch_add(1, Ordering::Relaxed);
        let address = Address { worker: 0, slot, generation: 0 };
        let resume = Resume { account: jid.bare(), id, h };
        let restored = self.router.restore(&resume, Some(generation), address);
        ready(Box::pin(restored)).expect("a store that answers")
    }

    /// The client's stream numbers what it was handed, from `first` on, and the router makes that
    /// durable.
    pub fn number(&self, session: &Arc<Session>, first: u32, settles: &[Settle]) {
        for (number, settle) in (first..).zip(settles) {
            self.router.numbered(session, settle.released(), number);
        }
    }

    /// A client without stream management sends this.
    pub fn send(&self, session: &Arc<Session>, xml: &str) -> Taken {
        self.router.accept(session, parse(xml), None)
    }

    /// A client sends its stanza of this number.
    pub fn send_numbered(&self, session: &Arc<Session>, number: u32, xml: &str) -> Taken {
        self.router.accept(session, parse(xml), Some(number))
    }

    /// Runs what was spawned, and has streams answer to fences, until nothing moves any more.
    pub fn run(&self) {
        loop {
            self.run_tasks();
            if !self.reach_fences() {
                return;
            }
        }
    }

    /// Every stream comes to the fences that were sent to it. False if there were none.
    fn reach_fences(&self) -> bool {
        let fences = std::mem::take(&mut *self.streams.fences.lock());
        for slot in &fences {
            let is_full = self.streams.full.lock().contains(slot);
            let found = ["romeo", "juliet"].iter().find_map(|name| {
                let sessions = self.router.services().sessions.of(&format!("{name}@{HOST}"));
                sessions.into_iter().find(|session| session.address().slot == *slot)
            });
            if let Some(session) = found {
                self.router.fenced(&session, !is_full);
            }
        }
        !fences.is_empty()
    }

    fn run_tasks(&self) {
        let mut context = Context::from_waker(Waker::noop());
        loop {
            let tasks = std::mem::take(&mut *self.tasks.spawned.lock());
            let before = tasks.len();
            let mut waiting: Vec<_> = tasks
                .into_iter()
                .filter_map(|mut task| {
                    task.as_mut().poll(&mut context).is_pending().then_some(task)
                })
                .collect();
            let is_still = waiting.len() == before && self.tasks.spawned.lock().is_empty();
            let mut spawned = self.tasks.spawned.lock();
            waiting.append(&mut spawned);
            *spawned = waiting;
            if is_still {
                return;
            }
        }
    }

    /// Time passes; timers that are due run.
    pub fn pass(&self, millis: u64) {
        let now = self.tasks.now.fetch_add(millis, Ordering::Relaxed) + millis;
        let timers = std::mem::take(&mut *self.tasks.timers.lock());
        let (due, rest): (Vec<_>, Vec<_>) = timers.into_iter().partition(|(at, _)| *at <= now);
        self.tasks.timers.lock().extend(rest);
        self.tasks.spawned.lock().extend(due.into_iter().map(|(_, task)| task));
        self.run();
    }

    /// The linger of everything that was delivered is over.
    pub fn linger(&self) {
        self.pass(25);
    }

    /// The stream of this session takes no more, or does again.
    pub fn set_full(&self, session: &Session, is_full: bool) {
        let mut full = self.streams.full.lock();
        if is_full {
            full.insert(session.address().slot);
        } else {
            full.remove(&session.address().slot);
        }
    }

    /// How many messages the session was handed, before its stream came to a fence.
    pub fn handed(&self, session: &Session) -> usize {
        let delivered = self.streams.delivered.lock();
        let handed = delivered.get(&session.address().slot).map_or(&[][..], Vec::as_slice);
        handed.iter().filter(|delivery| delivery.stanza.message_type().is_some()).count()
    }

    /// What the session was handed since the last look, while its stream does not come to fences.
    pub fn take_unfenced(&self, session: &Session) -> Vec<Delivery> {
        let slot = session.address().slot;
        self.streams.delivered.lock().remove(&slot).unwrap_or_default()
    }

    /// What the session was handed since the last look.
    pub fn take(&self, session: &Session) -> Vec<Delivery> {
        while self.reach_fences() {}
        let slot = session.address().slot;
        self.streams.delivered.lock().remove(&slot).unwrap_or_default()
    }

    /// The messages among it, by their ids, and the tokens they carry.
    pub fn take_messages(&self, session: &Session) -> (String, Vec<Settle>) {
        let mut deliveries = self.take(session);
        deliveries.retain(|delivery| delivery.stanza.message_type().is_some());
        let ids: Vec<_> =
            deliveries.iter().map(|d| d.stanza.id().unwrap_or_default().into_owned()).collect();
        (ids.join(" "), deliveries.iter().filter_map(|delivery| delivery.settle).collect())
    }

    /// The ids of the messages among it.
    pub fn messages(&self, session: &Session) -> String {
        self.take_messages(session).0
    }

    /// What the session was handed, as XML without the server's own attributes.
    pub fn xml(&self, session: &Session) -> Vec<String> {
        self.take(session).iter().map(|delivery| xml(&delivery.stanza)).collect()
    }

    /// The client acknowledges.
    pub fn settle(&self, settles: &[Settle]) {
        for settle in settles {
            self.router.settled(*settle);
        }
        self.run();
    }

    /// The stream ends for good; what the client had not acknowledged is given.
    pub fn end(&self, session: &Arc<Session>, unacknowledged: Vec<Delivery>) {
        self.router.ended(session, unacknowledged);
        self.run();
    }

    /// The numbers of this session's stanzas that were accepted since the last look, in order.
    pub fn accepted(&self, session: &Session) -> Vec<u32> {
        let slot = session.address().slot;
        let mut accepted = Vec::new();
        self.streams.commands.lock().retain(|(to, command)| match command {
            Command::Accepted(number) if *to == slot => {
                accepted.push(*number);
                false
            }
            _ => true,
        });
        accepted
    }

    /// Whether the session was told so since the last look.
    pub fn was_told(&self, session: &Session, command: Command) -> bool {
        let slot = session.address().slot;
        let mut commands = self.streams.commands.lock();
        let before = commands.len();
        commands.retain(|told| *told != (slot, command));
        commands.len() != before
    }

    /// The ids of the messages in the spool of this account.
    pub fn spool(&self, account: &str) -> String {
        let rows = self.engine.memory.list(
            jackdaw_router::spool::SPOOL,
            &bare(account),
            ItemRange::first(10_000),
        );
        let rows = ready(Box::pin(rows)).expect("listed");
        let ids: Vec<_> = rows
            .iter()
            .map(|row| {
                let stanza =
                    Stanza::parse(row.value.slice(9..), &Scope::client(), &Limits::trusted());
                stanza.expect("a stanza").id().unwrap_or_default().into_owned()
            })
            .collect();
        ids.join(" ")
    }

    /// Nothing is under way any more.
    #[track_caller]
    pub fn assert_settled(&self) {
        assert_eq!(self.router.unsettled(), 0, "deliveries wait for an acknowledgement");
        assert!(self.tasks.spawned.lock().is_empty(), "a task never ends");
    }
}

/// The generation of every account.
pub const GENERATION: u64 = 3;

/// The id by which the session of this number is resumed.
pub fn sm_id(session: u64) -> SmId {
    let mut bytes = [9; 24];
    bytes[..8].copy_from_slice(&session.to_be_bytes());
    SmId::from_bytes(&bytes).expect("24 bytes")
}

/// What XEP-0160 keeps, about.
fn is_kept(message: &Stanza) -> bool {
    matches!(message.message_type(), Some(MessageType::Chat | MessageType::Normal))
        && !message.has(ns::HINTS, "no-store")
}

/// The outcome of a future that does not wait.
pub fn ready<T>(mut future: std::pin::Pin<Box<dyn Future<Output = T> + Send + '_>>) -> T {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => unreachable!("nothing is held here"),
    }
}

pub fn bare(jid: &str) -> BareJid {
    BareJid::parse(jid).expect("a bare JID")
}

pub fn parse(xml: &str) -> Stanza {
    let bytes = xml.as_bytes().to_vec().into();
    Stanza::parse(bytes, &Scope::client(), &Limits::after_auth()).expect("a stanza")
}

pub fn xml(stanza: &Stanza) -> String {
    String::from_utf8(stanza.to_bytes().to_vec()).expect("text")
}

/// A chat message that its client would send again by the same id (XEP-0359 §3).
pub fn chat_once(to: &str, id: &str) -> String {
    format!(
        "<message to='{to}' type='chat' id='{id}'><body>o</body>\
         <origin-id xmlns='urn:xmpp:sid:0' id='{id}'/></message>"
    )
}

/// A chat message to this JID.
pub fn chat(to: &str, id: &str) -> String {
    format!("<message to='{to}' type='chat' id='{id}'><body>o</body></message>")
}
