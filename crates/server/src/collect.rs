//! From what the parts count in their own structs to the names of the metrics. Called at each
//! scrape.

use std::collections::BTreeMap;

use jackdaw_edge::c2s::WorkerCounts;
use jackdaw_edge::{DriverKind, EdgeStats, WorkerStats};
use jackdaw_http::{Sample, names};
use jackdaw_router::{Count, Router, Stats};
use jackdaw_store::{StoreError, StoreStats};

/// Sessions of the node: those in the table, of which `detached` wait for their client.
pub fn sessions(sample: &mut Sample<'_>, bound: usize, detached: u64) {
    let connected = (bound as u64).saturating_sub(detached);
    sample.gauge(names::SESSIONS, &[("state", "connected")], connected as f64);
    sample.gauge(names::SESSIONS, &[("state", "detached")], detached as f64);
}

/// What sessions hold: every gauge is back at zero once all of them have ended.
pub fn in_use(sample: &mut Sample<'_>, stats: &EdgeStats, router: &Router) {
    let total = &stats.total;
    for (what, count) in [
        ("slots", total.slots),
        ("timers", total.timers),
        ("sockets", total.sockets),
        ("sending", total.sending),
        ("sessions", router.services().sessions.len() as u64),
        ("deliveries", router.unsettled() as u64),
        ("spooling", router.spooling() as u64),
    ] {
        sample.gauge(names::IN_USE, &[("what", what)], count as f64);
    }
}

/// The store's queue, what it has written, and why it takes no more.
pub fn store(sample: &mut Sample<'_>, stats: &StoreStats, health: &Result<(), StoreError>) {
    let batches = [("queue", "store_batches")];
    sample.gauge(names::QUEUE_DEPTH, &batches, stats.queue_batches as f64);
    sample.gauge(names::STORE_QUEUE_BYTES, &[], stats.queue_bytes as f64);
    sample.gauge(names::STORE_JOURNALS, &[], stats.journals as f64);
    sample.counter(names::STORE_COMMITS, &[], stats.commits);
    sample.counter(names::STORE_COMMITS_FAILED, &[], stats.commits_failed);
    sample.counter(names::STORE_RECONNECTS, &[], stats.reconnects);
    sample.counter(names::STORE_ROWS, &[], stats.rows);
    for (reason, holds) in [
        ("full", *health == Err(StoreError::Full)),
        ("failed", matches!(health, Err(StoreError::Failed(_)))),
        ("damaged", matches!(health, Err(StoreError::Damaged { .. }))),
        ("unavailable", *health == Err(StoreError::Unavailable)),
    ] {
        sample.gauge(names::STORE_IMPAIRED, &[("reason", reason)], f64::from(u8::from(holds)));
    }
}

/// The heap of the process, and whether it is short.
pub fn memory(sample: &mut Sample<'_>, is_short: bool) {
    sample.gauge(names::HEAP, &[], jackdaw_edge::heap_bytes() as f64);
    sample.gauge(names::MEMORY_SHORT, &[], f64::from(u8::from(is_short)));
}

/// What the edge counts.
pub fn edge(sample: &mut Sample<'_>, stats: &EdgeStats) {
    let total = &stats.total;
    sample.gauge(names::CONNECTIONS, &[], total.connections as f64);
    sample.counter(names::CONNECTIONS_ACCEPTED, &[], total.accepted);
    for (reason, count) in refusals(total) {
        sample.counter(names::CONNECTIONS_REFUSED, &[("reason", reason)], count);
    }
    sample.counter(names::BYTES, &[("direction", "received")], total.bytes_in);
    sample.counter(names::BYTES, &[("direction", "sent")], total.bytes_out);
    sample.counter(names::TLS_HANDSHAKES, &[], total.handshakes);
    sample.counter(names::PANICS, &[], total.panics);
    for (kind, label) in [(DriverKind::IoUring, "io_uring"), (DriverKind::Epoll, "epoll")] {
        let workers = stats.drivers.iter().filter(|driver| **driver == kind).count();
        sample.gauge(names::EDGE_INFO, &[("driver", label)], workers as f64);
    }
}

fn refusals(total: &WorkerStats) -> [(&'static str, u64); 8] {
    [
        ("accept_error", total.accept_errors),
        ("address_limit", total.refused_address),
        ("connection_limit", total.refused_full),
        ("output_limit", total.overflows),
        ("protocol", total.refused_protocol),
        ("proxy_header", total.proxy_errors),
        ("stalled", total.stalled),
        ("tls", total.tls_errors),
    ]
}

/// What the router counts.
pub fn router(sample: &mut Sample<'_>, stats: &Stats) {
    let delivered = [
        ("message", Count::MessagesDelivered),
        ("presence", Count::PresencesDelivered),
        ("iq", Count::IqsDelivered),
    ];
    for (kind, count) in delivered {
        let labels = [("kind", kind), ("direction", "sent")];
        sample.counter(names::STANZAS, &labels, stats.get(count));
    }
    sample.counter(names::SPOOLED, &[], stats.get(Count::MessagesSpooled));
    sample.counter(names::ENDED, &[("reason", "stopped")], stats.get(Count::Stopped));
    sample.counter(names::ENDED, &[("reason", "dropped")], stats.get(Count::Dropped));
    for (condition, count) in stats.errors().filter(|(_, count)| *count > 0) {
        sample.counter(names::ERRORS, &[("condition", condition.name())], count);
    }
}

/// What the workers count of client streams.
pub fn streams(sample: &mut Sample<'_>, workers: &[WorkerCounts]) {
    let sum = |of: fn(&WorkerCounts) -> u64| workers.iter().map(of).sum::<u64>();
    for (kind, count) in [
        ("message", sum(|worker| worker.messages_in.get())),
        ("presence", sum(|worker| worker.presences_in.get())),
        ("iq", sum(|worker| worker.iqs_in.get())),
    ] {
        sample.counter(names::STANZAS, &[("kind", kind), ("direction", "received")], count);
    }
    for (labels, count) in outcomes(workers) {
        match labels {
            Outcome::Authentication(mechanism, result) => {
                let labels = [("mechanism", mechanism), ("result", result)];
                sample.counter(names::AUTH, &labels, count);
            }
            Outcome::StreamError(condition) => {
                sample.counter(names::STREAM_ERRORS, &[("condition", condition)], count);
            }
        }
    }
}

/// An outcome by its names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Authentication(&'static str, &'static str),
    StreamError(&'static str),
}

/// The outcomes there were, of all workers together.
fn outcomes(workers: &[WorkerCounts]) -> BTreeMap<Outcome, u64> {
    let mut sums = BTreeMap::new();
    let mut add = |outcome, count| {
        if count > 0 {
            *sums.entry(outcome).or_default() += count;
        }
    };
    for worker in workers.iter().map(|worker| &worker.outcomes) {
        for (mechanism, result, count) in worker.authentications() {
            add(Outcome::Authentication(mechanism, result), count);
        }
        for (condition, count) in worker.stream_errors() {
            add(Outcome::StreamError(condition), count);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use jackdaw_http::Metrics;

    use super::*;

    #[test]
    fn the_edge_appears_under_the_names_of_the_catalogue() {
        let metrics = Metrics::new().unwrap();
        let total = WorkerStats { connections: 3, bytes_in: 7, stalled: 1, ..Default::default() };
        let drivers = vec![DriverKind::Epoll, DriverKind::Epoll];
        let stats = EdgeStats { total, workers: vec![], drivers, fallback: None };
        metrics.collect(move |sample| {
            edge(sample, &stats);
            sessions(sample, 5, 2);
            router(sample, &Stats::default());
        });
        let text = metrics.render();
        for line in [
            "xmpp_connections 3",
            "xmpp_bytes_total{direction=\"received\"} 7",
            "xmpp_connections_refused_total{reason=\"stalled\"} 1",
            "xmpp_edge_info{driver=\"epoll\"} 2",
            "xmpp_sessions{state=\"connected\"} 3",
            "xmpp_sessions{state=\"detached\"} 2",
            "xmpp_stanzas_total{kind=\"message\",direction=\"sent\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
