//! Starting and stopping the workers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::admission::{Gate, House};
use crate::clock;
use crate::config::{DriverChoice, EdgeConfig, ListenerConfig, TlsMode, UringConfig, cores};
use crate::core::Core;
use crate::doorbell::Doorbell;
use crate::driver::epoll::Epoll;
use crate::driver::uring::Uring;
use crate::driver::{DriverKind, ListenSocket};
use crate::engine::Engine;
use crate::mail::{Letterbox, Mailbox};
use crate::protocol::Protocol;
use crate::stats::{EdgeStats, Published, WorkerStats};
use crate::worker::Control;

/// Why an edge did not start.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// An address could not be bound.
    #[error("cannot listen on {address} ({name}): {source}")]
    Listen {
        /// The listener's name.
        name: String,
        /// Where it was to listen.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// A listener is to speak TLS, and there is no configuration for it.
    #[error("listener {name} needs TLS, and no certificate is configured")]
    NoTls {
        /// The listener's name.
        name: String,
    },
    /// No driver could be set up.
    #[error("cannot set up the {driver} driver: {source}")]
    Driver {
        /// Which one.
        driver: DriverKind,
        /// What the kernel said.
        source: io::Error,
    },
    /// A thread or its bell could not be made.
    #[error("cannot start a worker: {0}")]
    Worker(#[from] io::Error),
}

/// Starts edges.
pub struct Edge;

impl Edge {
    /// Binds all listeners and starts the workers. `protocol` is called once on each worker's own
    /// thread, with the worker's number.
    pub fn start<P, F>(config: EdgeConfig, protocol: F) -> Result<RunningEdge<P::Mail>, EdgeError>
    where
        P: Protocol,
        F: Fn(u16, Mailbox<P::Mail>) -> P + Send + Sync + 'static,
    {
        let workers = config.workers.max(1);
        if let Some(listener) = without_tls(&config) {
            return Err(EdgeError::NoTls { name: listener.name.clone() });
        }
        raise_descriptor_limit();
        let (addresses, mut sockets) = bind_all(&config, usize::from(workers))?;
        let letterboxes = (0..workers).map(|_| Letterbox::new(config.limits.mail_max));
        let letterboxes = letterboxes.collect::<io::Result<Arc<[_]>>>()?;
        let mut edge = RunningEdge {
            addresses,
            mailbox: Mailbox { letterboxes },
            house: Arc::new(House::new(&config.limits)),
            control: Arc::default(),
            published: (0..workers).map(|_| Arc::default()).collect(),
            drivers: Vec::new(),
            fallback: None,
            threads: Vec::new(),
        };
        let protocol = Arc::new(protocol);
        let mut reports = Vec::new();
        for worker in 0..workers {
            let (report, reported) = mpsc::channel();
            let start = Start {
                worker,
                listeners: sockets.pop().expect("one set per worker"),
                config: config.clone(),
                addresses: edge.addresses.clone(),
                mailbox: edge.mailbox.clone(),
                house: Arc::clone(&edge.house),
                control: Arc::clone(&edge.control),
                published: Arc::clone(&edge.published[usize::from(worker)]),
                report,
            };
            let protocol = Arc::clone(&protocol);
            let thread = std::thread::Builder::new()
                .name(format!("edge-{worker}"))
                .spawn(move || start.run(|mailbox| protocol(worker, mailbox)))?;
            edge.threads.push(thread);
            reports.push(reported);
        }
        edge.gather(reports)?;
        edge.report_driver();
        Ok(edge)
    }
}

/// How many sockets may have a descriptor of the process, less what others need.
fn descriptors_for_sockets(reserve: u64) -> usize {
    let all = crate::sys::raise_descriptor_limit().map_or(u64::MAX, |(_, now)| now);
    usize::try_from(all.saturating_sub(reserve)).unwrap_or(usize::MAX).max(1)
}

/// A listener that needs the TLS configuration that is missing.
fn without_tls(config: &EdgeConfig) -> Option<&ListenerConfig> {
    let needs = |listener: &&ListenerConfig| listener.tls != TlsMode::None;
    config.listeners.iter().find(needs).filter(|_| config.tls.is_none())
}

/// Takes all the descriptors that the system allows; the default soft limit is for `select`.
fn raise_descriptor_limit() {
    match crate::sys::raise_descriptor_limit() {
        Ok((before, now)) => tracing::info!(before, now, "descriptor limit"),
        Err(error) => tracing::warn!(%error, "cannot raise the descriptor limit"),
    }
}

fn bind_all(
    config: &EdgeConfig,
    workers: usize,
) -> Result<(Vec<SocketAddr>, Vec<Vec<ListenSocket>>), EdgeError> {
    let mut addresses = Vec::new();
    let mut sockets: Vec<Vec<ListenSocket>> = (0..workers).map(|_| Vec::new()).collect();
    for (index, listener) in config.listeners.iter().enumerate() {
        let failed = |source| EdgeError::Listen {
            name: listener.name.clone(),
            address: listener.address,
            source,
        };
        let bound = crate::listen::bind(listener.address, workers).map_err(failed)?;
        addresses.push(bound[0].local_addr().map_err(failed)?);
        for (worker, socket) in bound.into_iter().enumerate() {
            sockets[worker].push(ListenSocket { listener: index as u16, socket });
        }
    }
    Ok((addresses, sockets))
}

/// How a worker's start went.
struct Report {
    driver: DriverKind,
    /// Why it is not io_uring.
    fallback: Option<String>,
}

/// All that a worker thread needs to begin.
struct Start<M> {
    worker: u16,
    listeners: Vec<ListenSocket>,
    config: EdgeConfig,
    addresses: Vec<SocketAddr>,
    mailbox: Mailbox<M>,
    house: Arc<House>,
    control: Arc<Control>,
    published: Arc<Published>,
    report: mpsc::Sender<Result<Report, EdgeError>>,
}

impl<M: Send + 'static> Start<M> {
    fn run<P: Protocol<Mail = M>>(self, protocol: impl FnOnce(Mailbox<M>) -> P) {
        let Start { worker, config, mailbox, report, .. } = self;
        if usize::from(config.workers) == cores()
            && let Err(error) = crate::sys::pin_to_core(usize::from(worker))
        {
            tracing::warn!(worker, %error, "cannot pin the worker to a core");
        }
        let reserve = config.limits.descriptors_reserve;
        let house = Arc::clone(&self.house);
        let gate = Gate::new(self.house, &config.limits, config.workers, clock::now());
        let core = Core::new(worker, mailbox.clone(), gate, config.limits.clone());
        let doorbell = Arc::clone(&mailbox.letterboxes[usize::from(worker)].doorbell);
        let mut listeners = config.listeners;
        for (listener, address) in listeners.iter_mut().zip(self.addresses) {
            listener.address = address;
        }
        let chosen = match choose(config.driver, &config.uring, self.listeners, doorbell) {
            Ok(chosen) => chosen,
            Err(error) => {
                // Whoever waited for the report may be gone; then nobody needs it.
                let _ = report.send(Err(error));
                return;
            }
        };
        if chosen.kind() == DriverKind::Epoll {
            house.shrink(descriptors_for_sockets(reserve));
        }
        let engine = Engine::new(protocol(mailbox.clone()), core, listeners, config.tls);
        let (driver, fallback) = (chosen.kind(), chosen.fallback());
        let _ = report.send(Ok(Report { driver, fallback }));
        drop(report);
        let ended = match chosen {
            Chosen::Uring(driver) => {
                crate::worker::run(engine, *driver, &self.control, &self.published)
            }
            Chosen::Epoll(driver, _) => {
                crate::worker::run(engine, *driver, &self.control, &self.published)
            }
        };
        mailbox.letterboxes[usize::from(worker)].close();
        if let Err(error) = ended {
            tracing::error!(worker, %error, "the worker stopped: its driver failed");
        }
    }
}

/// The driver of a worker.
enum Chosen {
    Uring(Box<Uring>),
    /// With the reason why it is not io_uring.
    Epoll(Box<Epoll>, Option<String>),
}

impl Chosen {
    fn kind(&self) -> DriverKind {
        match self {
            Chosen::Uring(_) => DriverKind::IoUring,
            Chosen::Epoll(..) => DriverKind::Epoll,
        }
    }

    fn fallback(&self) -> Option<String> {
        match self {
            Chosen::Uring(_) => None,
            Chosen::Epoll(_, reason) => reason.clone(),
        }
    }
}

/// Sets up io_uring if it is wanted and can be, epoll otherwise. Containers forbid io_uring by
/// several errors, old kernels by others: each of them means epoll.
fn choose(
    choice: DriverChoice,
    config: &UringConfig,
    listeners: Vec<ListenSocket>,
    doorbell: Arc<Doorbell>,
) -> Result<Chosen, EdgeError> {
    let failed = |driver| move |source| EdgeError::Driver { driver, source };
    let mut fallback = None;
    if choice != DriverChoice::Epoll {
        match Uring::new(config, Arc::clone(&doorbell)) {
            Ok(mut uring) => {
                uring.listen(listeners).map_err(failed(DriverKind::IoUring))?;
                return Ok(Chosen::Uring(Box::new(uring)));
            }
            Err(error) if choice == DriverChoice::Auto => fallback = Some(error.to_string()),
            Err(error) => return Err(failed(DriverKind::IoUring)(error)),
        }
    }
    let epoll = Epoll::new(listeners, doorbell).map_err(failed(DriverKind::Epoll))?;
    Ok(Chosen::Epoll(Box::new(epoll), fallback))
}

/// A started edge. Dropping it leaves the workers running; [`shutdown`](Self::shutdown) ends them.
pub struct RunningEdge<M> {
    addresses: Vec<SocketAddr>,
    mailbox: Mailbox<M>,
    house: Arc<House>,
    control: Arc<Control>,
    published: Vec<Arc<Published>>,
    drivers: Vec<DriverKind>,
    fallback: Option<String>,
    threads: Vec<JoinHandle<()>>,
}

impl<M: Send> RunningEdge<M> {
    /// Waits until every worker runs; if one cannot, stops the others.
    fn gather(
        &mut self,
        reports: Vec<mpsc::Receiver<Result<Report, EdgeError>>>,
    ) -> Result<(), EdgeError> {
        for reported in reports {
            let gone = || EdgeError::Worker(io::Error::other("it ended at once"));
            match reported.recv().map_err(|_| gone()).flatten() {
                Ok(report) => {
                    self.drivers.push(report.driver);
                    self.fallback = self.fallback.take().or(report.fallback);
                }
                Err(error) => {
                    self.begin_shutdown(Duration::ZERO);
                    self.join();
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Says once which driver it is and why.
    fn report_driver(&self) {
        let driver = self.drivers.first().copied().unwrap_or(DriverKind::Epoll);
        match &self.fallback {
            None => tracing::info!(%driver, workers = self.drivers.len(), "edge started"),
            Some(reason) => {
                tracing::warn!(%driver, reason, "io_uring cannot be used here");
            }
        }
    }

    /// The bound address of each listener, in the order of the configuration.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Connections there may be at once: [`Limits::connections_max`](crate::Limits), or fewer if
    /// each takes a descriptor and there are not so many.
    pub fn connections_max(&self) -> usize {
        self.house.max()
    }

    /// Sends mail to connections and workers.
    pub fn mailbox(&self) -> Mailbox<M> {
        self.mailbox.clone()
    }

    /// What was counted so far.
    pub fn stats(&self) -> EdgeStats {
        let workers: Vec<WorkerStats> =
            self.published.iter().map(|published| published.read()).collect();
        let mut total = WorkerStats::default();
        workers.iter().for_each(|worker| total += *worker);
        let (drivers, fallback) = (self.drivers.clone(), self.fallback.clone());
        EdgeStats { total, workers, drivers, fallback }
    }

    /// Whether all workers run. One that does not has logged why.
    pub fn is_running(&self) -> bool {
        !self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Accepts no more connections; those there are stay.
    pub fn stop_accepting(&self) {
        self.house.shut.store(true, Ordering::Relaxed);
        self.wake_all();
    }

    /// Asks every connection to close, cuts off what is left after `patience`, and returns when all
    /// workers have ended. See [`Protocol::shutting_down`].
    pub fn shutdown(mut self, patience: Duration) {
        self.begin_shutdown(patience);
        self.join();
    }

    fn begin_shutdown(&self, patience: Duration) {
        self.house.shut.store(true, Ordering::Relaxed);
        self.control.shut_down(clock::now() + patience);
        self.wake_all();
    }

    fn join(&mut self) {
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a worker thread panicked");
            }
        }
    }

    fn wake_all(&self) {
        for letterbox in self.mailbox.letterboxes.iter() {
            letterbox.doorbell.ring();
        }
    }
}
