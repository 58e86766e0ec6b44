//! Every metric there is: its name, its labels and what it counts.

/// What a metric's values mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

/// One metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What its values mean.
    pub kind: Kind,
    /// Its labels, each from a closed set: what a peer sends never becomes a label.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub help: &'static str,
}

/// The names, for those who fill them in.
pub mod names {
    /// Sessions by state.
    pub const SESSIONS: &str = "xmpp_sessions";
    /// Connections with a socket.
    pub const CONNECTIONS: &str = "xmpp_connections";
    /// What sessions hold, by kind.
    pub const IN_USE: &str = "xmpp_in_use";
    /// Bytes in the heap.
    pub const HEAP: &str = "xmpp_heap_bytes";
    /// Whether new sessions are refused for want of memory.
    pub const MEMORY_SHORT: &str = "xmpp_memory_short";
    /// Connections accepted.
    pub const CONNECTIONS_ACCEPTED: &str = "xmpp_connections_accepted_total";
    /// Connections refused or cut off.
    pub const CONNECTIONS_REFUSED: &str = "xmpp_connections_refused_total";
    /// Stanzas by kind and direction.
    pub const STANZAS: &str = "xmpp_stanzas_total";
    /// Bytes by direction.
    pub const BYTES: &str = "xmpp_bytes_total";
    /// Authentications by mechanism and result.
    pub const AUTH: &str = "xmpp_auth_total";
    /// Stanza errors by condition.
    pub const ERRORS: &str = "xmpp_errors_total";
    /// Stream errors by condition.
    pub const STREAM_ERRORS: &str = "xmpp_stream_errors_total";
    /// Entries waiting, by queue.
    pub const QUEUE_DEPTH: &str = "xmpp_queue_depth";
    /// Time of a group commit.
    pub const COMMIT_LATENCY: &str = "xmpp_commit_latency_seconds";
    /// Bytes waiting for the store's committer.
    pub const STORE_QUEUE_BYTES: &str = "xmpp_store_queue_bytes";
    /// Commits that a database did not answer.
    pub const STORE_COMMITS_FAILED: &str = "xmpp_store_commits_failed_total";
    /// Connections to a database that were made anew.
    pub const STORE_RECONNECTS: &str = "xmpp_store_reconnects_total";
    /// Whether the store refuses new rows or has lost some, by reason.
    pub const STORE_IMPAIRED: &str = "xmpp_store_impaired";
    /// Segments of the write-ahead log that are not in tables yet.
    pub const STORE_JOURNALS: &str = "xmpp_store_journals";
    /// Group commits.
    pub const STORE_COMMITS: &str = "xmpp_store_commits_total";
    /// Rows written.
    pub const STORE_ROWS: &str = "xmpp_store_rows_total";
    /// TLS handshakes finished.
    pub const TLS_HANDSHAKES: &str = "xmpp_tls_handshakes_total";
    /// Connections whose handler panicked.
    pub const PANICS: &str = "xmpp_panics_total";
    /// Messages spooled for offline accounts.
    pub const SPOOLED: &str = "xmpp_messages_spooled_total";
    /// Stanzas ended by a rule.
    pub const ENDED: &str = "xmpp_stanzas_ended_total";
    /// The driver in use.
    pub const EDGE_INFO: &str = "xmpp_edge_info";
    /// The version that runs.
    pub const BUILD_INFO: &str = "xmpp_build_info";
    /// Resident memory.
    pub const MEMORY: &str = "process_resident_memory_bytes";
    /// CPU time.
    pub const CPU: &str = "process_cpu_seconds_total";
}

const fn metric(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, kind, labels, help }
}

/// The table from which the registry is described and the dashboard is checked.
pub const METRICS: &[Metric] = &[
    metric(
        names::SESSIONS,
        Kind::Gauge,
        &["state"],
        "Sessions: connected, or detached and waiting to be resumed (XEP-0198).",
    ),
    metric(names::CONNECTIONS, Kind::Gauge, &[], "Client connections with a socket."),
    metric(
        names::IN_USE,
        Kind::Gauge,
        &["what"],
        "What sessions hold: slots, timers, sockets, sending, sessions, deliveries, spooling. All of \
         it is zero once everybody has left; what is not, is a leak.",
    ),
    metric(
        names::HEAP,
        Kind::Gauge,
        &[],
        "Bytes in the heap, without what C libraries allocate (keys of TLS sessions). Bounded by \
         limits.memory_mib_max.",
    ),
    metric(
        names::MEMORY_SHORT,
        Kind::Gauge,
        &[],
        "1 while new sessions are refused because of limits.memory_mib_max, else 0.",
    ),
    metric(names::CONNECTIONS_ACCEPTED, Kind::Counter, &[], "Client connections accepted."),
    metric(
        names::CONNECTIONS_REFUSED,
        Kind::Counter,
        &["reason"],
        "Client connections refused or cut off by the server, by reason.",
    ),
    metric(
        names::STANZAS,
        Kind::Counter,
        &["kind", "direction"],
        "Stanzas: message, presence or iq; received from clients or sent to them.",
    ),
    metric(
        names::BYTES,
        Kind::Counter,
        &["direction"],
        "Bytes received from client sockets and sent to them, TLS included.",
    ),
    metric(
        names::AUTH,
        Kind::Counter,
        &["mechanism", "result"],
        "Authentications finished, by SASL mechanism and result (success or the failure's condition).",
    ),
    metric(
        names::ERRORS,
        Kind::Counter,
        &["condition"],
        "Stanza errors the server answered with, by condition (RFC 6120 §8.3.3).",
    ),
    metric(
        names::STREAM_ERRORS,
        Kind::Counter,
        &["condition"],
        "Streams the server ended with an error, by condition (RFC 6120 §4.9.3).",
    ),
    metric(names::QUEUE_DEPTH, Kind::Gauge, &["queue"], "Entries waiting in a bounded queue."),
    metric(
        names::COMMIT_LATENCY,
        Kind::Histogram,
        &[],
        "Time from a write's arrival at the store to its durable group commit.",
    ),
    metric(
        names::STORE_QUEUE_BYTES,
        Kind::Gauge,
        &[],
        "Bytes of writes waiting for the store's committer.",
    ),
    metric(
        names::STORE_JOURNALS,
        Kind::Gauge,
        &[],
        "Segments of the log that are not in tables yet; growth means that the store cannot keep up.",
    ),
    metric(
        names::STORE_IMPAIRED,
        Kind::Gauge,
        &["reason"],
        "1 while the disk is full, after a failed sync, with a damaged file, or while the database does \
         not answer.",
    ),
    metric(names::STORE_COMMITS, Kind::Counter, &[], "Group commits that reached the disk."),
    metric(
        names::STORE_COMMITS_FAILED,
        Kind::Counter,
        &[],
        "Group commits that were given up because the database did not answer.",
    ),
    metric(
        names::STORE_RECONNECTS,
        Kind::Counter,
        &[],
        "Connections for commits that were made in place of lost ones.",
    ),
    metric(names::STORE_ROWS, Kind::Counter, &[], "Rows written or removed."),
    metric(names::TLS_HANDSHAKES, Kind::Counter, &[], "TLS handshakes finished."),
    metric(
        names::PANICS,
        Kind::Counter,
        &[],
        "Connections closed because the server failed in one of them; always a defect to report.",
    ),
    metric(names::SPOOLED, Kind::Counter, &[], "Messages kept for accounts that were offline."),
    metric(
        names::ENDED,
        Kind::Counter,
        &["reason"],
        "Stanzas that went nowhere: stopped by an extension, or dropped as RFC 6121 says.",
    ),
    metric(names::EDGE_INFO, Kind::Gauge, &["driver"], "Workers running on an I/O driver."),
    metric(names::BUILD_INFO, Kind::Gauge, &["version"], "1 for the version that runs."),
    metric(names::MEMORY, Kind::Gauge, &[], "Resident memory of the process."),
    metric(names::CPU, Kind::Counter, &[], "CPU time of the process, user and system."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_end_in_total_and_nothing_else_does() {
        for metric in METRICS {
            let is_counter = metric.kind == Kind::Counter;
            assert_eq!(is_counter, metric.name.ends_with("_total"), "{}", metric.name);
        }
    }
}
