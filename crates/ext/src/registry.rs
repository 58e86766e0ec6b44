//! Where extensions say what they handle.

use std::any::Any;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use jackdaw_jid::BareJid;
use jackdaw_session::{Session, Slots};
use jackdaw_stanza::{Stanza, StanzaError};
use jackdaw_store::{StoreError, Stores};
use jackdaw_xml::Element;

use crate::{
    Ctx, Disco, DiscoNode, DiscoQuery, Hosts, Identity, Iq, IqHandler, Pending, PhaseCtx, Reply,
    Services,
};

/// Whose IQs a handler answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    /// The user's own account: no `to`, or the user's own bare JID (RFC 6120 §10.3.3).
    Account,
    /// The bare JID of another account here. The handler decides what a stranger may see.
    Bare,
    /// A served domain.
    Host,
}

/// The two phases of a message, of presence that a session sends, and of relayed IQs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Leaving the sender's account.
    Outbound,
    /// Reaching the recipient's account, before resources are selected.
    Inbound,
}

/// What a phase hook decides.
#[derive(Debug)]
pub enum Flow {
    /// Go on with the next hook.
    Continue,
    /// The stanza ends here, silently; the reason is logged.
    Stop(&'static str),
    /// The stanza ends here and its sender gets this error, if it may be answered.
    Refuse(StanzaError),
}

/// Moments in a session's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lifecycle {
    /// The resource is bound.
    Bound,
    /// First available presence after being unavailable (RFC 6121 §4.2).
    Available,
    /// No longer available: said so, or ended (RFC 6121 §4.5).
    Unavailable,
    /// Out of the session table.
    Ended,
}

/// A phase hook. It sees every message, presence and IQ between entities in its direction, and may
/// change it. Presence without `to` passes `Outbound` once, before it is broadcast. It does not
/// allocate when it has nothing to say.
pub type PhaseHook = Arc<dyn Fn(&mut PhaseCtx<'_>, &mut Stanza) -> Flow + Send + Sync>;

/// A hook on a moment in a session's life. The stanza is the presence that caused it, if one did.
pub type SessionHook = Arc<dyn Fn(&mut PhaseCtx<'_>, &Arc<Session>, Option<&Stanza>) + Send + Sync>;

/// State of an account that an extension loads from the store.
pub trait AccountState: Any + Send + Sync {
    /// About how many bytes of memory it takes.
    fn bytes(&self) -> usize;
}

type Loading<'a> = Pin<Box<dyn Future<Output = Result<usize, StoreError>> + Send + 'a>>;

/// Loads one extension's state of an account into its slots; how many bytes it takes.
pub type AccountLoader =
    Arc<dyn for<'a> Fn(Arc<Services>, BareJid, &'a mut Slots) -> Loading<'a> + Send + Sync>;

/// Removes what an extension stored for a deleted account.
pub type AccountEraser =
    Arc<dyn Fn(Arc<Services>, BareJid) -> crate::Pending<Result<(), StoreError>> + Send + Sync>;

/// State of an extension that a session keeps when it is resumed after the process was killed.
///
/// `save` gives a few bytes, or nothing if the session has no such state; `restore` reads them, and
/// ignores what it cannot read. Written with the session's record whenever `h` is (XEP-0198 §5).
#[derive(Clone, Copy)]
pub struct SessionState {
    /// Names it in the record.
    pub name: &'static str,
    /// The state of this session.
    pub save: fn(&Session) -> Option<Vec<u8>>,
    /// Gives it back.
    pub restore: fn(&Session, &[u8]),
}

/// What an extension may ask for when it registers.
pub struct Deps {
    /// The store, by shape.
    pub stores: Stores,
    /// Served domains.
    pub hosts: Hosts,
    /// One configuration value per extension that has one, by type.
    pub configs: Slots,
}

impl Deps {
    /// The extension's configuration, or its default.
    pub fn config<T: Any + Send + Sync + Default>(&self) -> Arc<T> {
        self.configs.get::<T>().unwrap_or_default()
    }
}

struct IqEntry {
    at: At,
    is_set: bool,
    name: &'static str,
    handler: IqHandler,
}

struct PhaseEntry {
    number: u16,
    direction: Direction,
    hook: PhaseHook,
}

/// Everything that extensions handle.
///
/// Built at start, then read-only. The order of phase hooks is not the order of registration but
/// that of the lists given to [`Registry::order`].
#[derive(Default)]
pub struct Registry {
    iqs: HashMap<&'static str, Vec<IqEntry>>,
    phases: Vec<PhaseEntry>,
    outbound: Vec<PhaseHook>,
    inbound: Vec<PhaseHook>,
    session_hooks: Vec<(Lifecycle, SessionHook)>,
    session_states: Vec<SessionState>,
    loaders: Vec<AccountLoader>,
    erasers: Vec<AccountEraser>,
    offline: Option<fn(&Stanza) -> bool>,
    host_disco: Disco,
    account_disco: Disco,
    stream_features: Vec<Element>,
}

impl Registry {
    /// Answers `<iq type='get'>` with this payload.
    pub fn iq_get<F, Fut>(&mut self, at: At, ns: &'static str, name: &'static str, handler: F)
    where
        F: Fn(Ctx, Iq) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Reply, StanzaError>> + Send + 'static,
    {
        self.iq(at, ns, name, handler, false);
    }

    /// Answers `<iq type='set'>` with this payload.
    pub fn iq_set<F, Fut>(&mut self, at: At, ns: &'static str, name: &'static str, handler: F)
    where
        F: Fn(Ctx, Iq) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Reply, StanzaError>> + Send + 'static,
    {
        self.iq(at, ns, name, handler, true);
    }

    fn iq<F, Fut>(&mut self, at: At, ns: &'static str, name: &'static str, handler: F, is_set: bool)
    where
        F: Fn(Ctx, Iq) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Reply, StanzaError>> + Send + 'static,
    {
        let entries = self.iqs.entry(ns).or_default();
        let clash = entries.iter().any(|e| e.at == at && e.is_set == is_set && e.name == name);
        assert!(!clash, "two handlers for {{{ns}}}{name} at {at:?}");
        let handler: IqHandler = Arc::new(move |ctx, iq| Box::pin(handler(ctx, iq)));
        entries.push(IqEntry { at, is_set, name, handler });
    }

    /// The handler of this IQ, if there is one.
    pub fn iq_handler(&self, at: At, ns: &str, name: &str, is_set: bool) -> Option<&IqHandler> {
        let mut entries = self.iqs.get(ns)?.iter();
        let found = entries.find(|e| e.at == at && e.is_set == is_set && e.name == name)?;
        Some(&found.handler)
    }

    /// Looks at stanzas in this direction on behalf of XEP `number`; `order.rs` says when.
    pub fn phase<F>(&mut self, number: u16, direction: Direction, hook: F)
    where
        F: Fn(&mut PhaseCtx<'_>, &mut Stanza) -> Flow + Send + Sync + 'static,
    {
        self.phases.push(PhaseEntry { number, direction, hook: Arc::new(hook) });
    }

    /// Puts the phase hooks in order: XEP numbers, one per hook owner. A hook whose owner is not
    /// in the list is a mistake found at start.
    pub fn order(&mut self, outbound: &[u16], inbound: &[u16]) {
        for entry in &self.phases {
            let list = match entry.direction {
                Direction::Outbound => outbound,
                Direction::Inbound => inbound,
            };
            assert!(list.contains(&entry.number), "XEP-{:04} has no place in order", entry.number);
        }
        self.outbound = self.in_order(Direction::Outbound, outbound);
        self.inbound = self.in_order(Direction::Inbound, inbound);
    }

    fn in_order(&self, direction: Direction, order: &[u16]) -> Vec<PhaseHook> {
        let of = |number: &u16| {
            let number = *number;
            self.phases.iter().filter(move |e| e.number == number && e.direction == direction)
        };
        order.iter().flat_map(of).map(|entry| Arc::clone(&entry.hook)).collect()
    }

    /// The hooks of a direction, in order.
    pub fn hooks(&self, direction: Direction) -> &[PhaseHook] {
        match direction {
            Direction::Outbound => &self.outbound,
            Direction::Inbound => &self.inbound,
        }
    }

    /// Is told of this moment in every session's life.
    pub fn session<F>(&mut self, moment: Lifecycle, hook: F)
    where
        F: Fn(&mut PhaseCtx<'_>, &Arc<Session>, Option<&Stanza>) + Send + Sync + 'static,
    {
        self.session_hooks.push((moment, Arc::new(hook)));
    }

    /// The hooks on this moment.
    pub fn session_hooks(&self, moment: Lifecycle) -> impl Iterator<Item = &SessionHook> {
        self.session_hooks.iter().filter(move |(at, _)| *at == moment).map(|(_, hook)| hook)
    }

    /// Keeps state of a session in its record.
    pub fn session_state(&mut self, state: SessionState) {
        self.session_states.push(state);
    }

    /// What is kept in the record of a session.
    pub fn session_states(&self) -> &[SessionState] {
        &self.session_states
    }

    /// Loads state of type `T` with every account; `None` leaves the slot empty.
    pub fn account_state<T, F, Fut>(&mut self, load: F)
    where
        T: AccountState,
        F: Fn(Arc<Services>, BareJid) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Option<T>, StoreError>> + Send + 'static,
    {
        self.loaders.push(Arc::new(move |services, jid, slots| {
            let loading = load(services, jid);
            Box::pin(async move {
                let Some(state) = loading.await? else { return Ok(0) };
                let bytes = state.bytes();
                slots.set(state);
                Ok(bytes)
            })
        }));
    }

    /// The loaders, in order of registration.
    pub fn loaders(&self) -> &[AccountLoader] {
        &self.loaders
    }

    /// Removes what the extension stored for an account that is deleted.
    pub fn account_deleted<F, Fut>(&mut self, erase: F)
    where
        F: Fn(Arc<Services>, BareJid) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        self.erasers.push(Arc::new(move |services, jid| Box::pin(erase(services, jid))));
    }

    /// What is to be done when an account is deleted.
    pub fn erasers(&self) -> &[AccountEraser] {
        &self.erasers
    }

    /// Decides which messages for an account without a suitable resource are kept (XEP-0160).
    pub fn offline(&mut self, keep: fn(&Stanza) -> bool) {
        assert!(self.offline.is_none(), "one extension decides what is kept offline");
        self.offline = Some(keep);
    }

    /// Whether this message is kept for later.
    pub fn keeps_offline(&self, message: &Stanza) -> bool {
        self.offline.is_some_and(|keep| keep(message))
    }

    /// A feature that discovery shows of a host or an account.
    pub fn feature(&mut self, at: At, feature: &'static str) {
        self.disco_mut(at).add_feature(feature);
    }

    /// An identity that discovery shows.
    pub fn identity(&mut self, at: At, identity: Identity) {
        self.disco_mut(at).identities.push(identity);
    }

    /// Extended information that discovery shows (XEP-0128).
    pub fn form(&mut self, at: At, form: Element) {
        self.disco_mut(at).forms.push(form);
    }

    /// Answers service discovery for nodes of the extension's own, see
    /// [`DiscoNodeHandler`](crate::DiscoNodeHandler).
    pub fn disco_nodes<F>(&mut self, at: At, handler: F)
    where
        F: Fn(Ctx, Iq, DiscoQuery, &str) -> Pending<Result<Option<Element>, StanzaError>>
            + Send
            + Sync
            + 'static,
    {
        self.disco_mut(at).nodes.push(DiscoNode(Arc::new(handler)));
    }

    fn disco_mut(&mut self, at: At) -> &mut Disco {
        match at {
            At::Host => &mut self.host_disco,
            At::Account | At::Bare => &mut self.account_disco,
        }
    }

    /// What discovery shows of a host.
    pub fn host_disco(&self) -> &Disco {
        &self.host_disco
    }

    /// What discovery shows of an account.
    pub fn account_disco(&self) -> &Disco {
        &self.account_disco
    }

    /// An element in `<stream:features/>` after authentication.
    pub fn stream_feature(&mut self, element: Element) {
        self.stream_features.push(element);
    }

    /// The elements for `<stream:features/>` after authentication.
    pub fn stream_features(&self) -> &[Element] {
        &self.stream_features
    }
}
