//! The accept loop: few connections, small requests, short waits.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::routes::router;
use crate::{Metrics, Readiness};

/// Connections at once; more wait in the kernel's queue. Two probes and a scraper need three.
const CONNECTIONS_MAX: usize = 64;

/// Bytes of a request's head; a longer one is answered with 431. A scraper's is below 1 KB. hyper
/// takes no less than 8 KB.
const HEAD_BYTES_MAX: usize = 8 * 1_024;

/// Header lines of a request; more are answered with 431.
const HEADERS_MAX: usize = 32;

/// For a request's head to arrive, and for an idle connection between requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// For a connection as a whole, so that a slow reader of `/metrics` cannot keep a place for ever.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(300);

/// After a failed accept, usually for want of descriptors: without a pause the loop would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves health and metrics on `listener` until `stop` is ready, then lets go of the connections.
pub async fn serve(
    listener: TcpListener,
    metrics: Metrics,
    readiness: Arc<dyn Readiness>,
    stop: impl Future<Output = ()> + Send,
) {
    let router = router(metrics, readiness);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = tokio::task::JoinSet::new();
    let accept = async {
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            while connections.try_join_next().is_some() {}
            match listener.accept().await {
                Ok((stream, _)) => {
                    let router = router.clone();
                    connections.spawn(async move {
                        connection(stream, router).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "HTTP: cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accept => {}
        () = stop => {}
    }
}

async fn connection(stream: TcpStream, router: Router) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match tokio::time::timeout(CONNECTION_TIMEOUT, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "HTTP: a connection ended badly"),
        Err(_elapsed) => tracing::debug!("HTTP: a connection took too long"),
    }
}
