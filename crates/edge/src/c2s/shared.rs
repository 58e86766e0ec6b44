//! What the workers share.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use jackdaw_ext::Pending;
use jackdaw_router::Router;
use jackdaw_session::Session;
use jackdaw_stanza::Stanza;
use jackdaw_stream::c2s::C2sConfig;
use jackdaw_stream::sasl::UnixSeconds;
use parking_lot::RwLock;

use super::outcomes::OutcomeCounts;
use super::tokens::Tokens;
use super::{PasswordPool, StreamOutbox};

/// How a listener's streams begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    /// In the clear; TLS comes before anything else (RFC 6120 §5).
    StartTls,
    /// With TLS (XEP-0368).
    DirectTls,
    /// In the clear, and it stays so: for tests, and behind a proxy that did TLS.
    Plain,
}

/// Answers in-band registration before authentication (XEP-0077), given the client's address.
pub type Registrar = Arc<dyn Fn(Stanza, IpAddr) -> Pending<Stanza> + Send + Sync>;

/// A counter that one thread writes and others read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self) {
        // One writer: a load and a store, no locked instruction.
        self.0.store(self.0.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one worker counts; a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct WorkerCounts {
    /// Messages from clients.
    pub messages_in: Counter,
    /// Presences from clients.
    pub presences_in: Counter,
    /// IQs from clients.
    pub iqs_in: Counter,
    /// Authentications and stream errors.
    pub outcomes: OutcomeCounts,
}

/// What the workers of a node share.
pub struct C2sShared {
    /// The router.
    pub router: Arc<Router>,
    /// The way back to the streams.
    pub outbox: Arc<StreamOutbox>,
    /// Checks passwords.
    pub pool: PasswordPool,
    /// Registers accounts, if that is allowed.
    pub registrar: Option<Registrar>,
    /// Turns carbons on for a session that asked for them while binding (XEP-0386 §3.2.1).
    pub enable_carbons: fn(&Session),
    pub(super) tokens: Tokens,
    is_short_of_memory: AtomicBool,
    config: RwLock<Arc<C2sConfig>>,
    listeners: Vec<ListenerKind>,
    counts: Vec<WorkerCounts>,
}

impl C2sShared {
    /// For listeners of these kinds, by their index, and this many workers.
    pub fn new(
        router: Arc<Router>,
        outbox: Arc<StreamOutbox>,
        pool: PasswordPool,
        config: C2sConfig,
        listeners: Vec<ListenerKind>,
        workers: u16,
    ) -> C2sShared {
        let tokens = Tokens::new(router.services().stores.clone());
        C2sShared {
            router,
            outbox,
            pool,
            registrar: None,
            enable_carbons: |_| {},
            tokens,
            is_short_of_memory: AtomicBool::new(false),
            config: RwLock::new(Arc::new(config)),
            listeners,
            counts: (0..workers.max(1)).map(|_| WorkerCounts::default()).collect(),
        }
    }

    /// The configuration of streams that begin now.
    pub fn config(&self) -> Arc<C2sConfig> {
        Arc::clone(&self.config.read())
    }

    /// Changes the configuration; streams that began keep theirs.
    pub fn set_config(&self, config: C2sConfig) {
        *self.config.write() = Arc::new(config);
    }

    /// Says whether memory is short. Sessions that are there go on, and may be resumed; who binds
    /// another one is told `<resource-constraint/>` (RFC 6120 §7.7.2.3).
    pub fn set_short_of_memory(&self, is_short: bool) {
        self.is_short_of_memory.store(is_short, Ordering::Relaxed);
    }

    /// Whether new sessions are refused for want of memory.
    pub fn is_short_of_memory(&self) -> bool {
        self.is_short_of_memory.load(Ordering::Relaxed)
    }

    /// What each worker counted.
    pub fn all_counts(&self) -> &[WorkerCounts] {
        &self.counts
    }

    pub(super) fn counts(&self, worker: u16) -> &WorkerCounts {
        let at = usize::from(worker).min(self.counts.len() - 1);
        &self.counts[at]
    }

    pub(super) fn listener(&self, index: u16) -> ListenerKind {
        self.listeners.get(usize::from(index)).copied().unwrap_or(ListenerKind::StartTls)
    }

    pub(super) fn now(&self) -> UnixSeconds {
        UnixSeconds(self.router.services().clock.now().secs())
    }
}
