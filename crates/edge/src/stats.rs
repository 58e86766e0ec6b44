//! What the edge counts.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::driver::DriverKind;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters of one worker, as of the end of a recent turn. What is so "now" is zero once
        /// everybody has left.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct WorkerStats { $($(#[$doc])* pub $name: u64,)* }

        /// Where a worker publishes its counters; only it writes.
        #[derive(Default)]
        pub(crate) struct Published { $($name: AtomicU64,)* }

        impl Published {
            pub(crate) fn publish(&self, stats: &WorkerStats) {
                $(self.$name.store(stats.$name, Ordering::Relaxed);)*
            }

            pub(crate) fn read(&self) -> WorkerStats {
                WorkerStats { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }

        impl std::ops::AddAssign for WorkerStats {
            fn add_assign(&mut self, other: WorkerStats) { $(self.$name += other.$name;)* }
        }
    };
}

counters! {
    /// Connections with a socket now.
    connections,
    /// Connections without one now (`Fate::Keep`).
    kept,
    /// Places of the slab in use now: connections with a socket or without, coming or going.
    slots,
    /// Timers set now.
    timers,
    /// Sockets that the driver holds now, with those that the kernel has not let go of yet.
    sockets,
    /// Buffers that the driver holds now, because the kernel reads from them.
    sending,
    /// Connections accepted.
    accepted,
    /// Refused: too many from that address.
    refused_address,
    /// Refused: no place left, in the house or in the worker's slab.
    refused_full,
    /// Refused by the protocol.
    refused_protocol,
    /// Accepting failed in the kernel, usually for want of descriptors.
    accept_errors,
    /// Bytes received from sockets.
    bytes_in,
    /// Bytes handed to sockets.
    bytes_out,
    /// Sends.
    sends,
    /// Turns of the loop.
    turns,
    /// Mail delivered to connections.
    mail,
    /// Mail for connections that were gone.
    undelivered,
    /// TLS handshakes finished.
    handshakes,
    /// TLS handshakes and records that failed.
    tls_errors,
    /// PROXY headers that were malformed or late.
    proxy_errors,
    /// Connections cut off because output made no progress.
    stalled,
    /// Connections cut off because too much was waiting.
    overflows,
    /// Handlers that panicked.
    panics,
}

/// Counters of the whole edge.
#[derive(Clone, Debug)]
pub struct EdgeStats {
    /// The sum over all workers.
    pub total: WorkerStats,
    /// Each worker.
    pub workers: Vec<WorkerStats>,
    /// The driver each worker runs on.
    pub drivers: Vec<DriverKind>,
    /// Why a worker runs on epoll although io_uring was allowed.
    pub fallback: Option<String>,
}
