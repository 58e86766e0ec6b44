//! The three paths. Whatever is not one of them, spelled exactly so, is not found.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::Metrics;

/// Whether the node should be sent clients.
///
/// Asked at each request of `/readyz`, by a thread of the control plane; must not block.
pub trait Readiness: Send + Sync + 'static {
    /// Why not, in words for an operator; empty when ready.
    fn reasons(&self) -> Vec<Cow<'static, str>>;
}

impl<F> Readiness for F
where
    F: Fn() -> Vec<Cow<'static, str>> + Send + Sync + 'static,
{
    fn reasons(&self) -> Vec<Cow<'static, str>> {
        self()
    }
}

#[derive(Clone)]
struct Shared {
    metrics: Metrics,
    readiness: Arc<dyn Readiness>,
}

pub(crate) fn router(metrics: Metrics, readiness: Arc<dyn Readiness>) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(exposition))
        .layer(map_response(harden))
        .with_state(Shared { metrics, readiness })
}

/// Answers as long as the control plane runs: a restart helps only if this stays silent.
async fn livez() -> &'static str {
    "live\n"
}

async fn readyz(State(shared): State<Shared>) -> Response {
    let reasons = shared.readiness.reasons();
    if reasons.is_empty() {
        return "ready\n".into_response();
    }
    let body: String = reasons.iter().map(|reason| format!("{reason}\n")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
}

async fn exposition(State(shared): State<Shared>) -> Response {
    const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, TEXT_FORMAT)], shared.metrics.render()).into_response()
}

/// Nothing here is for a browser to guess at or to keep.
async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
