//! Drives the extensions as the router would, over a store in memory and a clock that is set.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use jackdaw_ext::{
    AccountError, Accounts, Administration, At, Clock, Command, Ctx, Deps, Direction, Effect,
    Effects, Flow, Hosts, Iq, Lifecycle, Locks, Outbox, Pending, PhaseCtx, Random, Registry,
    Roster, RosterItem, Services, Spawn, Subscription, Timestamp,
};
use jackdaw_jid::{BareJid, FullJid};
use jackdaw_session::{Account, Address, Availability, ConflictPolicy, Session, Sessions, Slots};
use jackdaw_stanza::{Delivery, IqType, Stanza, StanzaError};
use jackdaw_store::{Durability, MemoryEngine, Stores};
use jackdaw_stream::sasl::{Credentials, Generation, Password};
use jackdaw_xml::{Limits, Scope};
use parking_lot::Mutex;

/// The domain that is served.
pub(crate) const HOST: &str = "capulet.lit";

/// A clock that stands where it was set, and a source of bytes that counts.
#[derive(Default)]
struct World {
    millis: AtomicU64,
    counter: AtomicU64,
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        Timestamp(self.millis.load(Ordering::Relaxed))
    }
}

impl Random for World {
    fn fill(&self, buffer: &mut [u8]) {
        let next = self.counter.fetch_add(1, Ordering::Relaxed) + 1;
        buffer.fill(0);
        for (to, from) in buffer.iter_mut().zip(next.to_le_bytes()) {
            *to = from;
        }
    }
}

impl Spawn for World {
    fn spawn(&self, future: Pending<()>) {
        run(future);
    }

    fn after(&self, _: Duration, future: Pending<()>) {
        run(future);
    }
}

/// Nothing here has to be waited for, but some futures leave the worker first.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..POLLS_MAX {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
    panic!("a future waits for what does not come");
}

/// More than any future here needs.
const POLLS_MAX: usize = 10;

/// What went to the outbox directly.
#[derive(Default)]
struct Box_ {
    delivered: Mutex<Vec<String>>,
}

impl Outbox for Box_ {
    fn deliver(&self, _: Address, delivery: Delivery) -> Result<(), Box<Delivery>> {
        self.delivered.lock().push(xml(&delivery.stanza));
        Ok(())
    }

    fn command(&self, _: Address, _: Command) {}
}

/// A server that makes accounts without keys and remembers what it was told.
struct Admin {
    accounts: Accounts,
    log: Mutex<Vec<String>>,
    passwords: Mutex<Vec<Password>>,
}

impl Administration for Admin {
    fn add_account(
        &self,
        account: BareJid,
        password: Password,
    ) -> Pending<Result<(), AccountError>> {
        self.log.lock().push(format!("add {account}"));
        self.passwords.lock().push(password);
        let accounts = self.accounts.clone();
        Box::pin(async move {
            accounts.add(&account, &Credentials::without_password(Generation(1))).await
        })
    }

    fn set_password(
        &self,
        account: BareJid,
        password: Password,
    ) -> Pending<Result<(), AccountError>> {
        self.log.lock().push(format!("password {account}"));
        self.passwords.lock().push(password);
        let accounts = self.accounts.clone();
        Box::pin(async move {
            accounts.set_credentials(&account, &Credentials::without_password(Generation(1))).await
        })
    }

    fn delete_account(&self, account: BareJid) -> Pending<Result<(), AccountError>> {
        self.log.lock().push(format!("delete {account}"));
        let accounts = self.accounts.clone();
        Box::pin(async move { accounts.remove(&account).await })
    }

    fn shut_down(&self, delay: Duration) {
        self.log.lock().push(format!("shut down in {} s", delay.as_secs()));
    }

    fn started_at(&self) -> Timestamp {
        Timestamp(0)
    }
}

/// A node with every extension and no router.
pub(crate) struct Harness {
    pub(crate) services: Arc<Services>,
    pub(crate) registry: Registry,
    world: Arc<World>,
    outbox: Arc<Box_>,
    admin: Arc<Admin>,
    delivered: Mutex<Vec<String>>,
    routed: Mutex<Vec<String>>,
    closed: Mutex<Vec<String>>,
}

/// What the hooks of a direction did.
pub(crate) struct Outcome {
    flow: Flow,
    stanza: Stanza,
}

impl Outcome {
    /// The stanza that goes on.
    #[track_caller]
    pub(crate) fn stanza(&self) -> String {
        assert!(matches!(self.flow, Flow::Continue), "{:?}", self.flow);
        xml(&self.stanza)
    }

    /// Why it was refused.
    #[track_caller]
    pub(crate) fn error(&self) -> StanzaError {
        match &self.flow {
            Flow::Refuse(error) => error.clone(),
            Flow::Continue | Flow::Stop(_) => panic!("not refused: {:?}", self.flow),
        }
    }

    /// Whether it ended silently.
    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self.flow, Flow::Stop(_))
    }
}

impl Harness {
    /// With every extension as it comes.
    pub(crate) fn new() -> Harness {
        Harness::with(|_| {})
    }

    /// With configurations.
    pub(crate) fn with(configure: impl FnOnce(&mut Deps)) -> Harness {
        let world = Arc::new(World::default());
        let outbox = Arc::new(Box_::default());
        let stores = Stores::new(Arc::new(MemoryEngine::new()), Durability::Durable);
        let host = BareJid::parse(HOST).expect("a JID");
        let hosts = Hosts::new(vec![host]);
        let mut deps =
            Deps { stores: stores.clone(), hosts: hosts.clone(), configs: Slots::default() };
        configure(&mut deps);
        let mut registry = Registry::default();
        crate::register_all(&mut registry, &deps);
        let accounts = Accounts::new(stores.clone());
        let admin = Arc::new(Admin {
            accounts: accounts.clone(),
            log: Mutex::default(),
            passwords: Mutex::default(),
        });
        let services = Arc::new(Services {
            sessions: Sessions::new(1),
            stores,
            hosts,
            accounts,
            away: None,
            locks: Locks::default(),
            clock: Arc::clone(&world) as Arc<dyn Clock>,
            random: Arc::clone(&world) as Arc<dyn Random>,
            spawn: Arc::clone(&world) as Arc<dyn Spawn>,
            outbox: OnceLock::from(Arc::clone(&outbox) as Arc<dyn Outbox>),
            administration: OnceLock::from(Arc::clone(&admin) as Arc<dyn Administration>),
            host_disco: OnceLock::from(registry.host_disco().clone()),
            account_disco: OnceLock::from(registry.account_disco().clone()),
            loaders: OnceLock::from(registry.loaders().to_vec()),
        });
        let (delivered, routed, closed) = Default::default();
        Harness { services, registry, world, outbox, admin, delivered, routed, closed }
    }

    pub(crate) fn set_time(&self, millis: u64) {
        self.world.millis.store(millis, Ordering::Relaxed);
    }

    /// Makes an account, if there is none of that name.
    pub(crate) fn add_account(&self, jid: &str) -> BareJid {
        let jid = BareJid::parse(jid).expect("a JID");
        let none = Credentials::without_password(Generation(1));
        match run(self.services.accounts.add(&jid, &none)) {
            Ok(()) | Err(AccountError::Exists) => jid,
            Err(error) => panic!("{error}"),
        }
    }

    /// Binds a resource, of an account that is made if need be.
    pub(crate) fn connect(&self, jid: &str) -> Arc<Session> {
        let jid = FullJid::parse(jid).expect("a full JID");
        let bare = self.add_account(jid.bare_str());
        let account = self.account(bare.as_str());
        let address = Address { worker: 0, slot: 1, generation: 1 };
        let now = self.services.clock.now().secs();
        let bound =
            self.services.sessions.bind(&account, jid, address, now, ConflictPolicy::CloseOld, 9);
        bound.expect("bound").session
    }

    /// Sends presence with this priority, as the presence logic keeps it.
    pub(crate) fn available(&self, session: &Session, priority: i8) {
        let presence = format!(
            "<presence from='{}'><priority>{priority}</priority></presence>",
            session.jid()
        );
        let presence = Some(Bytes::from(presence));
        session.set_availability(Availability { presence, priority });
    }

    /// Binds and makes available.
    pub(crate) fn online(&self, jid: &str) -> Arc<Session> {
        let session = self.connect(jid);
        self.available(&session, 0);
        session
    }

    pub(crate) fn account(&self, jid: &str) -> Arc<Account> {
        let jid = BareJid::parse(jid).expect("a JID");
        run(self.services.account(&jid)).expect("a store").expect("an account")
    }

    /// Puts a contact into the roster of an account with a session.
    pub(crate) fn subscribe(&self, owner: &str, contact: &str, subscription: Subscription) {
        let account = self.account(owner);
        let mut roster = account.slot::<Roster>().map(|r| (*r).clone()).unwrap_or_default();
        let item = RosterItem { subscription, ..RosterItem::default() };
        roster.items.insert(BareJid::parse(contact).expect("a JID"), item);
        account.set_slot(Arc::new(roster));
    }

    /// Asks; gives the payload of the result, or the condition of the error.
    pub(crate) fn get(&self, session: &Arc<Session>, to: &str, payload: &str) -> String {
        self.iq(session, "get", to, payload).unwrap_or_else(|e| e.condition().name().into())
    }

    /// Sets; gives the payload of the result, or the condition of the error.
    pub(crate) fn set(&self, session: &Arc<Session>, to: &str, payload: &str) -> String {
        self.iq(session, "set", to, payload).unwrap_or_else(|e| e.condition().name().into())
    }

    fn iq(
        &self,
        session: &Arc<Session>,
        kind: &str,
        to: &str,
        payload: &str,
    ) -> Result<String, StanzaError> {
        let to = if to.is_empty() { session.jid().bare_str() } else { to };
        let from = session.jid();
        let xml = format!("<iq id='i' type='{kind}' from='{from}' to='{to}'>{payload}</iq>");
        let stanza = parse(&xml);
        let target = BareJid::parse(to).expect("a bare JID");
        let at = match target.local() {
            None => At::Host,
            Some(_) if to == session.jid().bare_str() => At::Account,
            Some(_) => At::Bare,
        };
        if at == At::Bare && !run(self.services.accounts.exists(&target)).expect("a store") {
            return Err(StanzaError::service_unavailable());
        }
        let is_set = stanza.iq_type() == Some(IqType::Set);
        let name = stanza.payloads().next().map(|p| (p.ns.to_owned(), p.name.to_owned()));
        let (ns, name) = name.expect("a payload");
        let handler = self.registry.iq_handler(at, &ns, &name, is_set);
        let handler = handler.ok_or_else(StanzaError::service_unavailable)?;
        let ctx = Ctx::new(Arc::clone(&self.services), Some(Arc::clone(session)), target);
        let reply = run(handler(ctx.clone(), Iq::new(stanza)));
        self.drain(ctx.take_effects());
        reply.map(|reply| reply.0.map(|payload| payload.to_xml("")).unwrap_or_default())
    }

    /// A stanza leaves an account.
    pub(crate) fn outbound(&self, session: &Arc<Session>, stanza: &str) -> Outcome {
        let mut stanza = parse(stanza);
        stanza.set_from(session.jid().clone().into());
        self.pass(Direction::Outbound, Some(session), session.account(), stanza)
    }

    /// A stanza reaches an account, from elsewhere.
    pub(crate) fn inbound(&self, account: &str, stanza: &str) -> Outcome {
        let account = self.account(account);
        self.pass(Direction::Inbound, None, &account, parse(stanza))
    }

    /// A stanza of a session here reaches an account here.
    pub(crate) fn inbound_from(&self, session: &Arc<Session>, account: &str, stanza: &str) {
        let account = self.account(account);
        let mut stanza = parse(stanza);
        stanza.set_from(session.jid().clone().into());
        self.pass(Direction::Inbound, Some(session), &account, stanza).stanza();
    }

    fn pass(
        &self,
        direction: Direction,
        session: Option<&Arc<Session>>,
        account: &Arc<Account>,
        mut stanza: Stanza,
    ) -> Outcome {
        let mut effects = Effects::new();
        let mut flow = Flow::Continue;
        let addressed = stanza.to().filter(|to| direction == Direction::Inbound && to.is_full());
        let recipient = addressed.and_then(|to| self.services.sessions.find(to));
        for hook in self.registry.hooks(direction) {
            let services = &self.services;
            let recipient = recipient.as_ref();
            let mut ctx = PhaseCtx { services, session, recipient, account, effects: &mut effects };
            flow = hook(&mut ctx, &mut stanza);
            if !matches!(flow, Flow::Continue) {
                break;
            }
        }
        self.drain(effects);
        Outcome { flow, stanza }
    }

    /// A moment in a session's life.
    pub(crate) fn tell(&self, moment: Lifecycle, session: &Arc<Session>, presence: Option<&str>) {
        let presence = presence.map(parse);
        let mut effects = Effects::new();
        for hook in self.registry.session_hooks(moment) {
            let (services, account) = (&self.services, session.account());
            let (teller, session, effects) = (session, Some(session), &mut effects);
            let mut ctx = PhaseCtx { services, session, recipient: None, account, effects };
            hook(&mut ctx, teller, presence.as_ref());
        }
        self.drain(effects);
    }

    /// Runs every eraser for an account.
    pub(crate) fn erase(&self, jid: &str) {
        let jid = BareJid::parse(jid).expect("a JID");
        for erase in self.registry.erasers() {
            run(erase(Arc::clone(&self.services), jid.clone())).expect("a store");
        }
    }

    fn drain(&self, effects: Effects) {
        for effect in effects {
            match effect {
                Effect::Route(stanza) => self.routed.lock().push(xml(&stanza)),
                Effect::Deliver(session, stanza) => {
                    let to = session.jid().resource();
                    self.delivered.lock().push(format!("{to}: {}", xml(&stanza)));
                }
                Effect::Close(session, condition) => {
                    self.closed.lock().push(format!("{} {condition}", session.jid()));
                }
                Effect::FlushOffline(_) => {}
                Effect::Later(job) => run(job),
            }
        }
    }

    /// What was delivered since the last look: `resource: stanza`.
    pub(crate) fn delivered(&self) -> Vec<String> {
        std::mem::take(&mut self.delivered.lock())
    }

    /// To whose resources something was delivered since the last look.
    pub(crate) fn delivered_to(&self) -> Vec<String> {
        let resource = |line: String| line.split(':').next().unwrap_or_default().to_owned();
        self.delivered().into_iter().map(resource).collect()
    }

    /// What was routed since the last look.
    pub(crate) fn routed(&self) -> Vec<String> {
        std::mem::take(&mut self.routed.lock())
    }

    /// Sessions that were closed, and why.
    pub(crate) fn closed(&self) -> Vec<String> {
        std::mem::take(&mut self.closed.lock())
    }

    /// What went past the effects, straight to the outbox.
    pub(crate) fn posted(&self) -> Vec<String> {
        std::mem::take(&mut self.outbox.delivered.lock())
    }

    /// Whether the last password that was set is this one.
    pub(crate) fn last_password_is(&self, text: &str) -> bool {
        let password = Password::prepare(text).expect("a password");
        self.admin.passwords.lock().last() == Some(&password)
    }

    /// What the server was told to do.
    pub(crate) fn administered(&self) -> Vec<String> {
        std::mem::take(&mut self.admin.log.lock())
    }
}

pub(crate) fn parse(xml: &str) -> Stanza {
    let bytes = Bytes::copy_from_slice(xml.as_bytes());
    Stanza::parse(bytes, &Scope::client(), &Limits::trusted()).expect("a stanza")
}

pub(crate) fn xml(stanza: &Stanza) -> String {
    let mut out = Vec::new();
    stanza.write_to(&mut out);
    String::from_utf8(out).expect("UTF-8")
}
