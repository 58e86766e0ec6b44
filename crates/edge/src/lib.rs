//! The edge: every client socket of the node, one worker thread per core.
//!
//! A worker owns its connections whole: listener, sockets, slab, timers. It is generic over a
//! [`Protocol`], which sees plaintext bytes and answers into pooled buffers; nothing between a
//! socket and a protocol takes a lock, allocates per message or calls through a pointer. Two
//! drivers do the system calls, io_uring and epoll; everything above them is the same code.
//!
//! The protocol of client streams is in [`c2s`].
//!
//! Does not: dial out, or run tokio.

mod address;
mod admission;
pub mod c2s;
mod clock;
mod config;
mod core;
mod doorbell;
mod driver;
mod edge;
mod engine;
mod heap;
mod io;
mod link;
mod listen;
mod mail;
mod pages;
mod pool;
mod protocol;
mod proxy;
mod stats;
mod sys;
mod timers;
mod tls;
mod worker;

pub use config::{DriverChoice, EdgeConfig, Limits, ListenerConfig, TlsMode, UringConfig};
pub use driver::DriverKind;
pub use edge::{Edge, EdgeError, RunningEdge};
pub use heap::{Counted, heap_bytes};
pub use io::{Io, WorkerIo};
pub use mail::Mailbox;
pub use protocol::{CloseReason, ConnectionId, Fate, Peer, Protocol};
pub use stats::{EdgeStats, WorkerStats};
pub use tls::{
    Certificate, CertificateError, ClientCertificate, TlsConfig, TlsError, TlsInfo, TlsSettings,
    TlsVersion,
};
