//! Health and metrics over HTTP: `/livez`, `/readyz`, `/metrics`, and nothing else.
//!
//! The hot path counts in plain structs of its own; what they say is copied into the registry when
//! somebody scrapes ([`Metrics::collect`]), so that no stanza waits for a shared counter.
//!
//! Does not: serve files, read request bodies, speak TLS or know who asks.

#![forbid(unsafe_code)]

mod catalogue;
mod metrics;
mod process;
mod routes;
mod server;

pub use catalogue::{Kind, METRICS, Metric, names};
pub use metrics::{Metrics, Sample};
pub use routes::Readiness;
pub use server::serve;
