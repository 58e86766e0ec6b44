//! The way of a stanza from the session that sent it to the sessions that get it.
//!
//! The steps, in order, a file each:
//!
//! 1. [`accept`]: stamp `from`, check `to` (RFC 6120 §8.1, §10).
//! 2. [`outbound`]: the sender's extensions.
//! 3. [`resolve`]: account, session, host or another domain? Makes a [`Routed`].
//! 4. [`inbound`]: the recipient's extensions, or the handler of an iq.
//! 5. [`select`]: which connected resources (RFC 6121 §8.5), or offline. Makes deliveries.
//! 6. [`deliver`]: into the outbox of the worker that holds the stream.
//!
//! Between 3 and 4 stands [`forward`], where another node owns the account.
//!
//! Beside them: [`effects`] drains what the steps caused, [`bind`] lets sessions come and go.
//! [`ledger`] knows which accepted stanza somebody still waits for, and [`linger`] writes those
//! for which he waits too long. [`offline`] keeps messages for those who are away, [`flush`]
//! hands them out; [`spool`] is what all of them know of the rows. [`record`] is what outlives
//! the process of a session, and [`restore`] brings the session back from it. [`redeliver`]
//! sees to what a session did not take.
//!
//! Messages pass synchronously, on the worker's thread, without an allocation. What may wait for a
//! store (iq handlers, presence, accounts that are not in memory) is a future that is polled once
//! in place and handed to the runtime only if it is not ready; the sender's later stanzas wait
//! for it (RFC 6120 §10.1).
//!
//! Does not: own sockets, clocks or storage; they are in [`jackdaw_ext::Services`].
#![forbid(unsafe_code)]

pub mod accept;
pub mod bind;
pub mod deliver;
pub mod effects;
pub mod flush;
pub mod forward;
pub mod inbound;
pub mod ledger;
pub mod linger;
pub mod offline;
pub mod outbound;
pub mod record;
pub mod redeliver;
pub mod resolve;
pub mod restore;
pub mod select;
pub mod spool;
mod stats;

use std::sync::Arc;
use std::time::Duration;

use jackdaw_ext::{Outbox, Presence, Registry, Services, Timestamp};
use jackdaw_ownership::{OneNode, Owners};
use jackdaw_session::ConflictPolicy;

pub use accept::Taken;
pub use forward::{Forward, NoPeers};
pub use record::Identity;
pub use resolve::Routed;
pub use stats::{Count, Stats};

/// What an operator may set.
#[derive(Clone, Debug)]
pub struct RouterConfig {
    /// Who keeps a resource that two streams want.
    pub conflict: ConflictPolicy,
    /// Sessions an account may have at once.
    pub sessions_per_account_max: usize,
    /// Messages kept for an account that is away; at the bound senders get `service-unavailable`
    /// (XEP-0160 §2).
    pub offline_messages_max: usize,
    /// How long a message to a session under stream management waits for its acknowledgement
    /// before it is written to the spool. The usual client answers in time, and nothing is written.
    pub spool_linger: Duration,
    /// Whether `h` waits for the disk (P1), or only for memory.
    pub is_durable: bool,
    /// The longest that a session waits to be resumed. For as long after a start, a session of an
    /// earlier process may come back from its record.
    pub resume_timeout: Duration,
}

impl Default for RouterConfig {
    fn default() -> RouterConfig {
        RouterConfig {
            conflict: ConflictPolicy::CloseOld,
            sessions_per_account_max: 32,
            offline_messages_max: 1000,
            spool_linger: Duration::from_millis(20),
            is_durable: true,
            resume_timeout: Duration::from_secs(600),
        }
    }
}

/// The other nodes, as the router sees them.
pub struct Cluster {
    /// Who owns which account.
    pub owners: Arc<dyn Owners>,
    /// The way to them.
    pub peers: Arc<dyn Forward>,
}

/// The router of one node.
pub struct Router {
    services: Arc<Services>,
    registry: Registry,
    presence: Arc<dyn Presence>,
    owners: Arc<dyn Owners>,
    peers: Arc<dyn Forward>,
    config: RouterConfig,
    ledger: ledger::Ledger,
    spool: spool::Spool,
    stats: Stats,
    started_at: Timestamp,
}

impl Router {
    /// The router of a node that is alone. The registry is complete: phases are ordered.
    pub fn new(
        services: Arc<Services>,
        registry: Registry,
        presence: Arc<dyn Presence>,
        config: RouterConfig,
    ) -> Arc<Router> {
        let cluster = Cluster { owners: Arc::new(OneNode), peers: Arc::new(NoPeers) };
        Router::in_cluster(services, registry, presence, config, cluster)
    }

    /// The router of a node among others.
    pub fn in_cluster(
        services: Arc<Services>,
        registry: Registry,
        presence: Arc<dyn Presence>,
        config: RouterConfig,
        cluster: Cluster,
    ) -> Arc<Router> {
        // Set here and nowhere else, so a second router over the same services is a mistake.
        let fresh = services.host_disco.set(registry.host_disco().clone()).is_ok()
            && services.account_disco.set(registry.account_disco().clone()).is_ok()
            && services.loaders.set(registry.loaders().to_vec()).is_ok();
        assert!(fresh, "the services have a router already");
        let spool = spool::Spool::new(&services);
        let started_at = services.clock.now();
        let ledger = ledger::Ledger::default();
        let stats = Stats::default();
        let Cluster { owners, peers } = cluster;
        Arc::new(Router {
            services,
            registry,
            presence,
            owners,
            peers,
            config,
            ledger,
            spool,
            stats,
            started_at,
        })
    }

    /// The services of the node.
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    /// What the extensions registered.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Counters, read at scrape time.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Deliveries that wait for an acknowledgement.
    pub fn unsettled(&self) -> usize {
        self.ledger.len()
    }

    /// Accounts with messages on their way through the spool.
    pub fn spooling(&self) -> usize {
        self.spool.under_way()
    }

    fn outbox(&self) -> &Arc<dyn Outbox> {
        self.services.outbox.get().expect("the edge set the outbox before it opened a listener")
    }
}
