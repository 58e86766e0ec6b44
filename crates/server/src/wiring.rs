//! Joins the crates below to a node.
//!
//! In reading order: `settings` turns the configuration into what each crate takes; `platform` is
//! the clock, the random generator and the runtime as the pure crates know them; `services` builds
//! extensions and router; `administration` is what extensions may ask of the whole node.

mod administration;
mod memory;
mod platform;
mod services;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use jackdaw_admin::{AccountPolicy, AdminError, Eraser, StoreAccounts};
use jackdaw_edge::c2s::{C2sProtocol, C2sShared, Mail, PasswordPool, Registrar, StreamOutbox};
use jackdaw_edge::{DriverKind, Edge, EdgeError, RunningEdge, TlsConfig, TlsError};
use jackdaw_ext::Administration;
use jackdaw_faults::{Point, reach};
use jackdaw_http::Metrics;
use jackdaw_router::Router;
use jackdaw_store::Engine;
use jackdaw_xeps::registration::{self, Rates};

use tokio::runtime::Handle;

use self::administration::NodeAdministration;
use crate::collect;
use crate::config::Config;
use crate::node::{Node, Settings, Started};
use crate::shutdown::{Shutdown, Stage};
use crate::storage::{self, Opened, StorageError};

/// How often it is looked whether the workers run. A driver that works fails hardly ever, and
/// whoever starts the node anew waits for some seconds anyway.
const WORKERS_CHECKED_EVERY: Duration = Duration::from_millis(500);

/// Of the time a graceful stop may take, what is left for the store after streams are closed.
const STORE_CLOSE_SHARE: u32 = 4;

/// Why a node did not start or had to end.
#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    /// The store did not open.
    #[error(transparent)]
    Store(#[from] StorageError),
    /// The edge did not start.
    #[error("{0}")]
    Edge(#[from] EdgeError),
    /// A certificate cannot be served.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// The system refused something.
    #[error("{0}")]
    System(#[from] std::io::Error),
    /// The driver of a worker failed while it ran.
    #[error("a worker has ended; its log line says why. Start the server again")]
    WorkerEnded,
    /// A setting that only the wiring can judge.
    #[error("{0}")]
    Setting(String),
}

/// Runs a node until it has stopped.
///
/// Builds everything from `node.settings`, calls `node.admin.serve` and `node.opening.announce`
/// once clients can connect, and from then on follows `node.settings` and `node.shutdown`.
pub async fn run(node: Node) -> Result<(), WiringError> {
    let Node { settings: mut watched, shutdown, metrics, readiness, admin, opening } = node;
    let settings = Arc::clone(&watched.borrow_and_update());
    let config = &settings.config;
    reach(Point::StartBeforeStore);
    let Opened { stores, place } = storage::open(config, &metrics).await?;
    reach(Point::StartAfterStore);
    let engine = Arc::clone(stores.engine());
    let outbox = StreamOutbox::new();
    let router = services::build(config, stores, &outbox);
    let tls = TlsConfig::new(settings::tls(&settings)?)?;
    let accounts = Arc::new(store_accounts(config, &router));
    let administration = administer(&router, &accounts, &shutdown);
    let mut shared = shared(config, &router, &outbox)?;
    shared.registrar = registrar(config, &router, administration);
    let shared = Arc::new(shared);
    let edge = start_edge(config, &tls, &shared, &outbox)?;
    reach(Point::StartListening);
    let edge = Arc::new(edge);
    router.sweep_later();
    count(&metrics, &edge, &shared);
    tokio::spawn(memory::watch(config.limits.memory_mib_max, Arc::downgrade(&shared)));
    let store = Arc::clone(&engine);
    readiness.require(move || store.health().err().map(|error| error.to_string().into()));
    admin.serve(accounts);
    opening.announce(started(config, &edge, place));
    let end = tokio::select! {
        () = follow(&mut watched, &shutdown, &tls) => Ok(()),
        () = until_not(|| edge.is_running()) => Err(WiringError::WorkerEnded),
    };
    if end.is_err() {
        // Sessions that can be resumed are on record; the others are told.
        shutdown.request();
    }
    stop(config, &shutdown, edge, engine).await;
    end
}

/// Waits until `holds` says no.
async fn until_not(holds: impl Fn() -> bool) {
    while holds() {
        tokio::time::sleep(WORKERS_CHECKED_EVERY).await;
    }
}

fn shared(
    config: &Config,
    router: &Arc<Router>,
    outbox: &Arc<StreamOutbox>,
) -> Result<C2sShared, WiringError> {
    let workers = settings::workers(config);
    // One core of two may check passwords; the other ones route.
    let pool = PasswordPool::new(usize::from(workers).div_ceil(2))?;
    let streams = settings::streams(config, router.registry())?;
    let kinds = settings::listener_kinds(config);
    let router = Arc::clone(router);
    let mut shared = C2sShared::new(router, Arc::clone(outbox), pool, streams, kinds, workers);
    shared.enable_carbons = jackdaw_xeps::carbons::enable;
    Ok(shared)
}

fn start_edge(
    config: &Config,
    tls: &TlsConfig,
    shared: &Arc<C2sShared>,
    outbox: &Arc<StreamOutbox>,
) -> Result<RunningEdge<Mail>, WiringError> {
    let edge = settings::edge(config, tls);
    let (shared, outbox) = (Arc::clone(shared), Arc::clone(outbox));
    Ok(Edge::start(edge, move |worker, mailbox| {
        outbox.connect(&mailbox);
        C2sProtocol::new(Arc::clone(&shared), worker)
    })?)
}

fn started(config: &Config, edge: &RunningEdge<Mail>, storage: String) -> Started {
    let stats = edge.stats();
    let is_uring = stats.drivers.iter().all(|driver| *driver == DriverKind::IoUring);
    let (driver, driver_reason) = match (is_uring, stats.fallback) {
        (true, _) => ("io_uring", "the kernel allows it".to_owned()),
        (false, Some(reason)) => ("epoll", reason),
        (false, None) => ("epoll", "edge.driver says so".to_owned()),
    };
    let mut addresses = edge.addresses().iter().copied();
    let mut c2s = Vec::new();
    for (kind, sockets) in settings::sockets(config) {
        c2s.push((kind, addresses.by_ref().take(sockets.len()).collect()));
    }
    Started {
        c2s,
        driver: driver.into(),
        driver_reason,
        workers: stats.workers.len(),
        connections_max: edge.connections_max(),
        storage,
    }
}

/// Gives extensions what only the whole server can do.
fn administer(
    router: &Arc<Router>,
    accounts: &Arc<StoreAccounts>,
    shutdown: &Shutdown,
) -> Arc<dyn Administration> {
    let services = router.services();
    let administration = NodeAdministration {
        accounts: Arc::clone(accounts),
        shutdown: shutdown.clone(),
        started_at: services.clock.now(),
        runtime: Handle::current(),
    };
    Arc::clone(services.administration.get_or_init(|| Arc::new(administration)))
}

/// Registers strangers, where the operator wants that (XEP-0077).
fn registrar(
    config: &Config,
    router: &Arc<Router>,
    administration: Arc<dyn Administration>,
) -> Option<Registrar> {
    if !config.registration.enabled {
        return None;
    }
    let rates = Rates {
        per_address_per_hour: config.registration.accounts_per_hour_max,
        ..Rates::default()
    };
    let hosts = router.services().hosts.clone();
    let registrar = registration::Registrar::new(hosts, administration, rates, storage::now());
    Some(Arc::new(move |iq, peer| registrar.answer(iq, peer, storage::now())))
}

/// Copies counters when they are asked for. The edge is gone while the node stops.
fn count(metrics: &Metrics, edge: &Arc<RunningEdge<Mail>>, shared: &Arc<C2sShared>) {
    let (edge, shared) = (Arc::downgrade(edge), Arc::clone(shared));
    metrics.collect(move |sample| {
        let Some(edge) = edge.upgrade() else { return };
        let stats = edge.stats();
        collect::edge(sample, &stats);
        collect::in_use(sample, &stats, &shared.router);
        collect::memory(sample, shared.is_short_of_memory());
        let bound = shared.router.services().sessions.len();
        collect::sessions(sample, bound, stats.total.kept);
        collect::router(sample, shared.router.stats());
        collect::streams(sample, shared.all_counts());
    });
}

/// Takes new certificates at every reload, until the node is asked to stop.
async fn follow(
    watched: &mut tokio::sync::watch::Receiver<Arc<Settings>>,
    shutdown: &Shutdown,
    tls: &TlsConfig,
) {
    loop {
        tokio::select! {
            () = shutdown.reached(Stage::Graceful) => return,
            changed = watched.changed() => {
                if changed.is_err() {
                    return shutdown.reached(Stage::Graceful).await;
                }
            }
        }
        let settings = Arc::clone(&watched.borrow_and_update());
        let replaced = settings::tls(&settings).map(|new| tls.replace(new));
        match replaced {
            Ok(Ok(())) => tracing::info!("new handshakes use the certificates just read"),
            Ok(Err(error)) => tracing::error!(%error, "the certificates just read are not used"),
            Err(error) => tracing::error!(%error, "the certificates just read are not used"),
        }
    }
}

/// Streams first, so that what they hand back is written; then the store.
async fn stop(
    config: &Config,
    shutdown: &Shutdown,
    edge: Arc<RunningEdge<Mail>>,
    engine: Arc<dyn Engine>,
) {
    let all = Duration::from_secs(config.server.shutdown_timeout_secs.0.into());
    let patience = match shutdown.stage() {
        Stage::Running | Stage::Graceful => all - all / STORE_CLOSE_SHARE,
        Stage::Now => Duration::ZERO,
    };
    edge.stop_accepting();
    let closing = tokio::task::spawn_blocking(move || {
        sole(edge).shutdown(patience);
        engine.close();
    });
    tokio::select! {
        ended = closing => {
            if let Err(error) = ended {
                tracing::error!(%error, "the stop was not orderly");
            }
        }
        () = shutdown.reached(Stage::Now) => tracing::warn!("asked twice to stop: stopping at once"),
    }
}

/// The edge, once the scrape that may hold it is over.
fn sole(mut edge: Arc<RunningEdge<Mail>>) -> RunningEdge<Mail> {
    loop {
        match Arc::try_unwrap(edge) {
            Ok(edge) => return edge,
            Err(shared) => edge = shared,
        }
        std::thread::yield_now();
    }
}

/// The accounts in the store of a server that does not run.
pub async fn accounts(config: &Config) -> Result<StoreAccounts, AdminError> {
    let failed = |error: String| AdminError::Failed(error);
    let stores = storage::open_offline(config).await;
    let stores = stores.map_err(|error| failed(error.to_string()))?;
    let router = services::build(config, stores, &StreamOutbox::new());
    Ok(store_accounts(config, &router))
}

fn store_accounts(config: &Config, router: &Arc<Router>) -> StoreAccounts {
    let policy = AccountPolicy {
        domains: config.domains.iter().map(|domain| domain.name.as_str().to_owned()).collect(),
        scram_iterations: config.auth.scram_iterations(),
    };
    let accounts = router.services().accounts.clone();
    let router = Arc::clone(router);
    let erase: Eraser = Arc::new(move |account| {
        let router = Arc::clone(&router);
        Box::pin(async move { router.erase_account(&account).await })
    });
    StoreAccounts::new(accounts, policy, erase)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_ends_is_noticed() {
        let looks = Cell::new(0);
        let is_running = || {
            looks.set(looks.get() + 1);
            looks.get() < 4
        };
        until_not(is_running).await;
        assert_eq!(looks.get(), 4);
    }
}
