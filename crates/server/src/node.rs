//! What `serve` hands to the wiring: the settings, and the handles by which a node is run.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jackdaw_admin::AccountAdmin;
use jackdaw_http::{Metrics, Readiness};
use rustix::process::{Resource, getrlimit};
use tokio::net::UnixListener;
use tokio::sync::watch;

use crate::certificates::DomainCertificate;
use crate::config::{Config, ListenerKind};
use crate::report::{Facts, OpenFiles, Report};
use crate::shutdown::{Shutdown, Stage};

/// What the files said, at the start or at the last reload.
#[derive(Debug)]
pub struct Settings {
    /// The configuration. After a reload only the keys marked *reload* may be taken from it.
    pub config: Config,
    /// The certificate of every domain, in the order of the configuration.
    pub certificates: Vec<DomainCertificate>,
}

/// A node that is being started. The wiring takes it apart.
pub struct Node {
    /// The settings now, and at every reload.
    pub settings: watch::Receiver<Arc<Settings>>,
    /// How the node is asked to stop. It is over when `wiring::run` returns.
    pub shutdown: Shutdown,
    /// Where counters are collected.
    pub metrics: Metrics,
    /// For reasons of the wiring's own not to be sent clients.
    pub readiness: Arc<NodeReadiness>,
    /// The door for `jackdaw user`.
    pub admin: AdminSocket,
    /// To be used once clients can connect.
    pub opening: Opening,
}

/// The socket of `jackdaw user`, held since before the store was opened: two servers on one data
/// directory meet here, and the second one goes.
pub struct AdminSocket {
    pub(crate) listener: UnixListener,
    pub(crate) shutdown: Shutdown,
}

impl AdminSocket {
    /// Answers from `accounts` until the node stops.
    pub fn serve(self, accounts: Arc<impl AccountAdmin>) {
        let AdminSocket { listener, shutdown } = self;
        let stop = async move { shutdown.reached(Stage::Graceful).await };
        tokio::spawn(jackdaw_admin::serve(listener, accounts, stop));
    }
}

/// What only the wiring knows about a start.
#[derive(Debug)]
pub struct Started {
    /// The addresses that clients can connect to.
    pub c2s: Vec<(ListenerKind, Vec<SocketAddr>)>,
    /// The I/O driver in use, as it calls itself.
    pub driver: String,
    /// Why it is that one.
    pub driver_reason: String,
    /// Worker threads of the edge.
    pub workers: usize,
    /// Connections the edge takes at once.
    pub connections_max: usize,
    /// What the store is, and where.
    pub storage: String,
}

/// The last step of a start.
pub struct Opening {
    pub(crate) settings: Arc<Settings>,
    pub(crate) readiness: Arc<NodeReadiness>,
    pub(crate) http: Vec<SocketAddr>,
    pub(crate) open_files_before: u64,
    pub(crate) log_is_json: bool,
}

impl Opening {
    /// Says that the node is ready: to operators by the start-up report, to probes by `/readyz`.
    pub fn announce(self, started: Started) {
        let Started { mut c2s, driver, driver_reason, workers, connections_max, storage } = started;
        c2s.push((ListenerKind::Http, self.http));
        let open_files = OpenFiles { before: self.open_files_before, now: open_files_max() };
        let facts = Facts {
            listeners: c2s,
            driver,
            driver_reason,
            workers,
            connections_max,
            open_files,
            storage,
        };
        let Settings { config, certificates } = &*self.settings;
        let report = Report { config, certificates, facts: &facts };
        // First the flag: who reads the report may ask at once.
        self.readiness.started.store(true, Ordering::Release);
        match self.log_is_json {
            true => report.to_string().lines().for_each(|line| tracing::info!("{line}")),
            false => eprint!("{report}"),
        }
    }
}

/// The soft limit of open files; the largest number if there is none.
pub(crate) fn open_files_max() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// A reason not to be sent clients, or none.
type Condition = Box<dyn Fn() -> Option<Cow<'static, str>> + Send + Sync>;

/// What `/readyz` answers from.
pub struct NodeReadiness {
    started: AtomicBool,
    shutdown: Shutdown,
    conditions: Mutex<Vec<Condition>>,
}

impl NodeReadiness {
    pub(crate) fn new(shutdown: Shutdown) -> NodeReadiness {
        NodeReadiness { started: AtomicBool::new(false), shutdown, conditions: Mutex::default() }
    }

    /// Adds a condition, asked at every probe: it says why not, or nothing. It must not block.
    pub fn require(
        &self,
        condition: impl Fn() -> Option<Cow<'static, str>> + Send + Sync + 'static,
    ) {
        self.conditions().push(Box::new(condition));
    }

    fn conditions(&self) -> std::sync::MutexGuard<'_, Vec<Condition>> {
        // A condition that panicked has poisoned nothing: the list is only ever pushed to.
        self.conditions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Readiness for NodeReadiness {
    fn reasons(&self) -> Vec<Cow<'static, str>> {
        let stopping = self.shutdown.stage() != Stage::Running;
        let starting = !self.started.load(Ordering::Acquire);
        let own = [(stopping, "stopping"), (starting, "starting")];
        let own = own.into_iter().filter(|(holds, _)| *holds).map(|(_, reason)| reason.into());
        own.chain(self.conditions().iter().filter_map(|condition| condition())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_ready_between_its_start_and_its_stop() {
        let shutdown = Shutdown::default();
        let readiness = NodeReadiness::new(shutdown.clone());
        assert_eq!(readiness.reasons(), ["starting"]);
        readiness.started.store(true, Ordering::Release);
        assert!(readiness.reasons().is_empty());
        readiness.require(|| Some("the disk is full".into()));
        assert_eq!(readiness.reasons(), ["the disk is full"]);
        shutdown.request();
        assert_eq!(readiness.reasons(), ["stopping", "the disk is full"]);
    }
}
