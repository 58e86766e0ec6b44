//! What an edge is started with.

use std::net::SocketAddr;
use std::time::Duration;

use crate::tls::TlsConfig;

/// Which system-call driver the workers use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriverChoice {
    /// io_uring, or epoll where io_uring cannot be set up.
    #[default]
    Auto,
    /// io_uring or an error.
    IoUring,
    /// epoll.
    Epoll,
}

/// When a listener's connections speak TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// Never.
    #[default]
    None,
    /// When the protocol asks for it (RFC 6120 §5).
    StartTls,
    /// From the first byte (XEP-0368).
    Direct,
}

/// One address to listen on.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// A name for logs.
    pub name: String,
    /// Where; port 0 takes any, see [`RunningEdge::addresses`](crate::RunningEdge::addresses).
    pub address: SocketAddr,
    /// Whether connections speak TLS.
    pub tls: TlsMode,
    /// Whether each connection begins with a PROXY header, version 1 or 2. If so it must.
    pub proxy_protocol: bool,
}

impl ListenerConfig {
    /// A plain listener.
    pub fn new(name: impl Into<String>, address: SocketAddr) -> ListenerConfig {
        ListenerConfig { name: name.into(), address, tls: TlsMode::None, proxy_protocol: false }
    }
}

/// Everything an edge is started with.
#[derive(Clone, Debug)]
pub struct EdgeConfig {
    /// The system-call driver.
    pub driver: DriverChoice,
    /// Worker threads; pinned to cores if there are as many of these.
    pub workers: u16,
    /// What to listen on.
    pub listeners: Vec<ListenerConfig>,
    /// How large the rings of io_uring are.
    pub uring: UringConfig,
    /// Bounds.
    pub limits: Limits,
    /// Certificates and the rest of TLS; needed if any listener has it.
    pub tls: Option<TlsConfig>,
}

impl EdgeConfig {
    /// One worker per core, default limits.
    pub fn new(listeners: Vec<ListenerConfig>) -> EdgeConfig {
        EdgeConfig {
            driver: DriverChoice::Auto,
            workers: cores().try_into().unwrap_or(u16::MAX),
            listeners,
            uring: UringConfig::default(),
            limits: Limits::default(),
            tls: None,
        }
    }
}

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get())
}

/// How large the rings of a worker are; only for the io_uring driver.
#[derive(Clone, Debug)]
pub struct UringConfig {
    /// Rings a worker may open, 256 at most. Each has its own table of sockets, and the soft
    /// `nofile` limit bounds one table, not their number: more rings hold more connections than the
    /// limit allows descriptors. A ring is opened when the tables of those before are full. Ten
    /// cost a few per cent of speed, 25 a fifth.
    pub rings_max: u16,
    /// Sockets per ring, at most the soft `nofile` limit less a few.
    pub slots_per_ring: u32,
    /// Receive buffers of 16 KiB per ring, rounded up to a power of two.
    pub buffers_per_ring: u16,
    /// Completions that fit without the kernel having to queue them elsewhere, a power of two.
    pub completions_per_ring: u32,
    /// Sockets from which nothing came for this long are only polled, which takes the kernel
    /// 260 bytes each instead of 870.
    pub idle: Duration,
}

impl Default for UringConfig {
    fn default() -> UringConfig {
        UringConfig {
            rings_max: 256,
            slots_per_ring: 65_536,
            buffers_per_ring: 64,
            completions_per_ring: 4_096,
            idle: Duration::from_secs(60),
        }
    }
}

/// The bounds of an edge. What happens at each is written beside it.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Sockets at once, all workers together. At the bound no more are accepted; they wait in
    /// the kernel's backlog until 1 % of the places are free again.
    pub connections_max: usize,
    /// Sockets at once from one address (IPv6: one /64). The next one is closed at once. Behind a
    /// proxy it is the client's address that counts.
    pub connections_per_address_max: u32,
    /// New connections a second, all workers together. Beyond it they wait in the backlog.
    pub accepts_per_second_max: u32,
    /// Connections kept without a socket ([`Fate::Keep`](crate::Fate::Keep)), per worker.
    /// Beyond it `Keep` is treated as `Free`.
    pub kept_max: usize,
    /// Descriptors left to the rest of the process: stores, HTTP, dialling out. With epoll there
    /// are never more connections than descriptors beside these; with io_uring they need none.
    pub descriptors_reserve: u64,
    /// Waiting output above which [`Protocol::writable`](crate::Protocol::writable) is promised.
    pub output_high: usize,
    /// Waiting output at which it is called.
    pub output_low: usize,
    /// Waiting output at which the connection is cut off.
    pub output_bytes_max: usize,
    /// How long output may wait without progress before the connection is cut off.
    pub stall: Duration,
    /// How long a peer may take to close after we did.
    pub linger: Duration,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// TLS handshakes that one worker moves forward in a turn of its loop; the others wait for
    /// the next turn, so that a flood of them (0.2 ms each) does not starve established streams.
    pub handshakes_per_turn_max: usize,
    /// How long a PROXY header may take.
    pub proxy_header: Duration,
    /// Mail waiting for one worker from other threads. Beyond it `send` gives the mail back.
    pub mail_max: usize,
    /// Mail waiting between connections of one worker. Beyond it `send` gives the mail back.
    pub local_mail_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_max: 2_000_000,
            connections_per_address_max: 1_000_000,
            accepts_per_second_max: 10_000,
            kept_max: 1_000_000,
            descriptors_reserve: 512,
            output_high: 64 * 1024,
            output_low: 16 * 1024,
            output_bytes_max: 8 * 1024 * 1024,
            stall: Duration::from_secs(60),
            linger: Duration::from_secs(5),
            handshake: Duration::from_secs(30),
            handshakes_per_turn_max: 8,
            proxy_header: Duration::from_secs(5),
            mail_max: 65_536,
            local_mail_max: 65_536,
        }
    }
}
