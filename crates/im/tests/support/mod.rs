//! A world of accounts and sessions around `Im`: stanzas in, a transcript of what everybody gets
//! out. Routes as the router does, without phases.
#![allow(dead_code)]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use jackdaw_ext::{
    Accounts, At, Clock, Ctx, Deps, Effect, Hosts, Iq, Locks, Pending, Presence, Random, Registry,
    Services, Spawn, Timestamp,
};
use jackdaw_im::Im;
use jackdaw_jid::{BareJid, FullJid};
use jackdaw_session::{Account, Address, ConflictPolicy, Session, Sessions, Slots};
use jackdaw_stanza::{IqType, Kind, PresenceType, Stanza};
use jackdaw_store::{Batch, Durability, Engine, MemoryEngine, Stores, Table};
use jackdaw_xml::{Limits, Scope};

/// Where the world's clock stands at first, in milliseconds.
pub const START: u64 = 1000;

struct Environment {
    now: AtomicU64,
}

impl Clock for Environment {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::Relaxed))
    }
}

impl Random for Environment {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

impl Spawn for Environment {
    fn spawn(&self, _: Pending<()>) {
        unreachable!("the memory engine is never late");
    }

    fn after(&self, _: Duration, _: Pending<()>) {}
}

pub struct World {
    pub services: Arc<Services>,
    pub registry: Registry,
    pub im: Im,
    environment: Arc<Environment>,
    transcript: Vec<String>,
}

impl World {
    /// A server of `example.com` and `example.net` with these accounts.
    pub fn new(accounts: &[&str]) -> World {
        World::over(Arc::new(MemoryEngine::new()), accounts)
    }

    /// The same over a store that has rows already: what a restart is.
    pub fn over(engine: Arc<dyn Engine>, accounts: &[&str]) -> World {
        World::configured(engine, accounts, jackdaw_im::Config::default())
    }

    /// The same with settings.
    pub fn configured(
        engine: Arc<dyn Engine>,
        accounts: &[&str],
        config: jackdaw_im::Config,
    ) -> World {
        let stores = Stores::new(engine, Durability::Durable);
        for account in accounts {
            let mut batch = Batch::new();
            batch.put(Table::new("account"), &bare(account), b"credentials", vec![1]);
            ready(stores.commit(batch)).expect("stored");
        }
        let hosts = Hosts::new(vec![bare("example.com"), bare("example.net")]);
        let mut configs = Slots::default();
        configs.set(config);
        let deps = Deps { stores: stores.clone(), hosts: hosts.clone(), configs };
        let mut registry = Registry::default();
        jackdaw_im::register(&mut registry, &deps);
        let environment = Arc::new(Environment { now: AtomicU64::new(START) });
        let services = Services {
            sessions: Sessions::new(1),
            accounts: Accounts::new(stores.clone()),
            stores,
            hosts,
            away: None,
            locks: Locks::default(),
            clock: Arc::clone(&environment) as Arc<dyn Clock>,
            random: Arc::clone(&environment) as Arc<dyn Random>,
            spawn: Arc::clone(&environment) as Arc<dyn Spawn>,
            outbox: OnceLock::new(),
            administration: OnceLock::new(),
            host_disco: OnceLock::new(),
            account_disco: OnceLock::new(),
            loaders: OnceLock::from(registry.loaders().to_vec()),
        };
        let im = Im::new(&deps, hides);
        let transcript = Vec::new();
        World { services: Arc::new(services), registry, im, environment, transcript }
    }

    /// Binds a resource.
    pub fn connect(&mut self, jid: &str) -> Arc<Session> {
        let jid = FullJid::parse(jid).expect("a full JID");
        let account = ready(self.services.account(&jid.bare())).expect("loads").expect("exists");
        let address = Address { worker: 0, slot: 0, generation: 0 };
        let bound =
            self.services.sessions.bind(&account, jid, address, 0, ConflictPolicy::CloseOld, 10);
        bound.expect("bound").session
    }

    /// Binds a resource that asked for the roster and is available; nobody's transcript shows it.
    pub fn online(&mut self, jid: &str) -> Arc<Session> {
        let session = self.connect(jid);
        self.send(&session, "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>");
        self.send(&session, "<presence/>");
        self.transcript.clear();
        session
    }

    /// Makes the two subscribed to each other.
    pub fn befriend(&mut self, one: &Arc<Session>, other: &Arc<Session>) {
        self.subscribe(one, other);
        self.subscribe(other, one);
    }

    /// Gives `one` a subscription to the presence of `other`.
    pub fn subscribe(&mut self, one: &Arc<Session>, other: &Arc<Session>) {
        let ask = format!("<presence to='{}' type='subscribe'/>", other.jid().bare_str());
        self.send(one, &ask);
        let approve = format!("<presence to='{}' type='subscribed'/>", one.jid().bare_str());
        self.send(other, &approve);
        self.transcript.clear();
    }

    /// A client sends this.
    pub fn send(&mut self, session: &Arc<Session>, xml: &str) {
        let mut stanza = parse(xml);
        stanza.set_from(session.jid().clone().into());
        let ctx = self.ctx(Some(session), session.account().jid());
        if stanza.kind() == Kind::Iq {
            return self.own_iq(session, ctx, stanza);
        }
        let done = match stanza.presence_type().expect("a presence") {
            PresenceType::Available | PresenceType::Unavailable if stanza.to().is_none() => {
                self.im.broadcast(ctx.clone(), stanza)
            }
            PresenceType::Available | PresenceType::Unavailable => {
                self.im.directed(ctx.clone(), stanza)
            }
            PresenceType::Probe | PresenceType::Error => {
                ctx.effect(Effect::Route(stanza));
                Box::pin(std::future::ready(()))
            }
            _ => self.im.subscription_outbound(ctx.clone(), stanza),
        };
        ready(done);
        self.drain(&ctx);
    }

    fn own_iq(&mut self, session: &Arc<Session>, ctx: Ctx, mut stanza: Stanza) {
        stanza.set_to(session.account().jid().clone().into());
        let is_set = stanza.iq_type() == Some(IqType::Set);
        let handler = self
            .registry
            .iq_handler(At::Account, "jabber:iq:roster", "query", is_set)
            .expect("registered");
        let answer = match ready(handler(ctx.clone(), Iq::new(stanza.clone()))) {
            Ok(reply) => stanza.result(reply.0.as_ref()),
            Err(error) => stanza.error(&error),
        };
        self.note(session.jid().as_str(), &answer);
        self.drain(&ctx);
    }

    /// Another domain sends this; it has `from` and `to`.
    pub fn receive(&mut self, xml: &str) {
        let ctx = self.ctx(None, &bare("example.com"));
        ctx.effect(Effect::Route(parse(xml)));
        self.drain(&ctx);
    }

    /// The stream of a session is over.
    pub fn end(&mut self, session: &Arc<Session>) {
        self.services.sessions.unbind(session);
        let ctx = self.ctx(Some(session), session.account().jid());
        ready(self.im.session_ended(ctx.clone(), Arc::clone(session)));
        self.drain(&ctx);
    }

    /// The clock goes on.
    pub fn sleep(&self, millis: u64) {
        self.environment.now.fetch_add(millis, Ordering::Relaxed);
    }

    pub fn ctx(&self, session: Option<&Arc<Session>>, target: &BareJid) -> Ctx {
        Ctx::new(Arc::clone(&self.services), session.cloned(), target.clone())
    }

    pub fn drain(&mut self, ctx: &Ctx) {
        let mut queue = VecDeque::from(ctx.take_effects());
        while let Some(effect) = queue.pop_front() {
            match effect {
                Effect::Route(stanza) => queue.extend(self.route(stanza)),
                Effect::Deliver(session, stanza) => self.note(session.jid().as_str(), &stanza),
                Effect::FlushOffline(session) => {
                    self.transcript.push(format!("{}: (offline messages)", session.jid()));
                }
                Effect::Close(..) | Effect::Later(_) => unreachable!("not caused here"),
            }
        }
    }

    fn route(&mut self, stanza: Stanza) -> Vec<Effect> {
        let to = stanza.to().expect("a recipient").to_jid();
        assert!(stanza.from().is_some(), "a routed stanza has a sender: {}", xml(&stanza));
        if !self.services.hosts.serves(to.domain()) {
            self.note("->", &stanza);
            return Vec::new();
        }
        let kind = stanza.presence_type().expect("a presence");
        let is_plain = matches!(
            kind,
            PresenceType::Available | PresenceType::Unavailable | PresenceType::Error
        );
        if is_plain {
            if to.is_full() {
                if let Some(session) = self.services.sessions.find(to.as_jid_ref()) {
                    self.note(session.jid().as_str(), &stanza);
                }
                return Vec::new();
            }
            let sessions = self.services.sessions.of(to.bare_str()).into_iter();
            let available = sessions.filter(|session| session.is_available());
            return available.map(|session| Effect::Deliver(session, stanza.clone())).collect();
        }
        let ctx = self.ctx(None, &to.to_bare());
        ready(self.im.inbound(ctx.clone(), to.to_bare(), stanza));
        ctx.take_effects()
    }

    fn note(&mut self, who: &str, stanza: &Stanza) {
        self.transcript.push(format!("{who}: {}", xml(stanza)));
    }

    /// What everybody got since the last look.
    pub fn transcript(&mut self) -> String {
        let lines = std::mem::take(&mut self.transcript);
        lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

/// Everybody hides from him.
pub const TYBALT: &str = "tybalt@example.com";

fn hides(_: &Account, contact: &BareJid) -> bool {
    contact.as_str() == TYBALT
}

/// The outcome of a future that does not wait: nothing in the memory engine does.
pub fn ready<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("ready at once")
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
