//! `jackdaw serve`: from a configuration to a running node, and its end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jackdaw_http::Metrics;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{CommandError, Place};
use crate::config::{Config, ListenAddress};
use crate::logging::Logging;
use crate::node::{AdminSocket, Node, NodeReadiness, Opening, open_files_max};
use crate::reload;
use crate::shutdown::{Shutdown, Stage};
use crate::storage;
use crate::wiring;

/// Connections that wait for the HTTP listener's accept; probes come one by one.
const HTTP_BACKLOG: i32 = 128;

/// What the wiring gets to write after the second signal. Then the process ends whatever it does.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Threads that may wait for the disk or derive keys at once.
const BLOCKING_THREADS_MAX: usize = 64;

/// The socket of `jackdaw user`.
pub(super) fn admin_socket(config: &Config) -> PathBuf {
    config.server.data_dir.join("run").join("admin.sock")
}

pub(super) fn run(place: Place) -> Result<(), CommandError> {
    let config = place.read()?;
    let logging = Logging::start(&config.log).map_err(failed("cannot start the log"))?;
    storage::make_data_dir(&config).map_err(|error| failed_plain(&error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("control")
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()
        .map_err(failed("cannot start the runtime"))?;
    let ended = runtime.block_on(serve(place, logging));
    // What still blocks a thread now has had its time.
    runtime.shutdown_background();
    ended
}

async fn serve(place: Place, logging: Logging) -> Result<(), CommandError> {
    let open_files_before = open_files_max();
    let settings = Arc::new(reload::read(&place, reload::now())?);
    let config = &settings.config;
    // First of all: whoever holds this socket owns the data directory.
    let listener =
        jackdaw_admin::bind(&admin_socket(config)).await.map_err(|e| failed_plain(&e))?;
    let shutdown = Shutdown::default();
    let metrics = Metrics::new().map_err(failed("cannot make the metrics"))?;
    let readiness = Arc::new(NodeReadiness::new(shutdown.clone()));
    let http = serve_http(config, &metrics, &readiness, &shutdown)?;
    listen_for_signals(&shutdown, config.server.shutdown_timeout_secs.duration())?;

    let opening = Opening {
        settings: Arc::clone(&settings),
        readiness: Arc::clone(&readiness),
        http,
        open_files_before,
        log_is_json: logging.is_json(),
    };
    let (publish, settings) = watch::channel(settings);
    let hangup = signal(SignalKind::hangup()).map_err(failed("cannot listen for SIGHUP"))?;
    tokio::spawn(reload::watch(place, hangup, logging, publish));
    let admin = AdminSocket { listener, shutdown: shutdown.clone() };
    let node = Node { settings, shutdown: shutdown.clone(), metrics, readiness, admin, opening };
    until_over(wiring::run(node), &shutdown).await
}

/// Runs the node to its end, or for a moment beyond the order to stop at once.
async fn until_over(
    node: impl Future<Output = Result<(), wiring::WiringError>>,
    shutdown: &Shutdown,
) -> Result<(), CommandError> {
    let patience = async {
        shutdown.reached(Stage::Now).await;
        tokio::time::sleep(LAST_WORDS).await;
    };
    tokio::select! {
        ended = node => {
            ended.map_err(|error| failed_plain(&error))?;
            tracing::info!("stopped");
            Ok(())
        }
        () = patience => Err(CommandError::Failed("stopped at once; some work was left".into())),
    }
}

/// SIGTERM and SIGINT: the first asks for a graceful stop, whose time is limited; the second ends
/// it.
fn listen_for_signals(shutdown: &Shutdown, timeout: Duration) -> Result<(), CommandError> {
    let listen = |kind| signal(kind).map_err(failed("cannot listen for signals"));
    let (mut terminate, mut interrupt) =
        (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let stop = shutdown.clone();
    tokio::spawn(async move {
        loop {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            // Said before it is done, else the end of the log might not have it.
            match stop.stage() {
                Stage::Running => tracing::info!("{name}: stopping; a second one stops at once"),
                Stage::Graceful | Stage::Now => tracing::warn!("{name}: stopping at once"),
            }
            stop.request();
        }
    });
    tokio::spawn(limit(shutdown.clone(), timeout));
    Ok(())
}

/// Ends a graceful stop that takes too long, whoever asked for it: a signal or an administrator's
/// command (XEP-0133).
async fn limit(shutdown: Shutdown, timeout: Duration) {
    shutdown.reached(Stage::Graceful).await;
    tokio::time::sleep(timeout).await;
    tracing::warn!("the graceful stop took too long; stopping at once");
    shutdown.request();
}

/// Opens the HTTP listeners before anything slow, so that `/livez` answers from the beginning.
fn serve_http(
    config: &Config,
    metrics: &Metrics,
    readiness: &Arc<NodeReadiness>,
    shutdown: &Shutdown,
) -> Result<Vec<SocketAddr>, CommandError> {
    tokio::spawn(metrics.clone().upkeep());
    let mut bound = Vec::new();
    for listen in &config.listeners.http.addresses {
        for address in listen.sockets() {
            let listener = match bind(address) {
                Ok(listener) => listener,
                Err(error) if is_optional(*listen, address) => {
                    tracing::info!(%address, %error, "HTTP: no IPv6 here");
                    continue;
                }
                Err(error) => {
                    return Err(CommandError::Failed(format!(
                        "cannot listen on {address} for HTTP: {error}; change [listeners.http]"
                    )));
                }
            };
            bound.push(listener.local_addr().map_err(failed("cannot read an address"))?);
            // Health is told until the very end: a probe that gets no answer would end it sooner.
            let shutdown = shutdown.clone();
            let stop = async move { shutdown.reached(Stage::Now).await };
            let (metrics, readiness) = (metrics.clone(), Arc::clone(readiness));
            tokio::spawn(jackdaw_http::serve(listener, metrics, readiness, stop));
        }
    }
    Ok(bound)
}

/// Of `any` and `loopback`, the IPv6 half may be missing: a machine without IPv6 is not an error.
fn is_optional(listen: ListenAddress, address: SocketAddr) -> bool {
    !matches!(listen, ListenAddress::Exact(_)) && address.is_ipv6()
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(HTTP_BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn failed<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> CommandError {
    move |error| CommandError::Failed(format!("{what}: {error}"))
}

fn failed_plain(error: &impl std::fmt::Display) -> CommandError {
    CommandError::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_node_that_does_not_end_is_left_to_itself_when_its_time_is_over() {
        let shutdown = Shutdown::default();
        tokio::spawn(limit(shutdown.clone(), Duration::from_secs(20)));
        let began = tokio::time::Instant::now();
        shutdown.request();
        let ended = until_over(std::future::pending(), &shutdown).await;
        assert!(matches!(ended, Err(CommandError::Failed(_))));
        assert_eq!(began.elapsed().as_secs(), 20 + LAST_WORDS.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_request_cuts_the_graceful_stop_short() {
        let shutdown = Shutdown::default();
        tokio::spawn(limit(shutdown.clone(), Duration::from_secs(20)));
        let began = tokio::time::Instant::now();
        shutdown.request();
        shutdown.request();
        assert!(until_over(std::future::pending(), &shutdown).await.is_err());
        assert_eq!(began.elapsed().as_secs(), LAST_WORDS.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_ends_in_time_has_stopped_well() {
        let shutdown = Shutdown::default();
        let waits = shutdown.clone();
        let node = async move {
            waits.reached(Stage::Graceful).await;
            Ok(())
        };
        shutdown.request();
        assert!(until_over(node, &shutdown).await.is_ok());
    }
}
