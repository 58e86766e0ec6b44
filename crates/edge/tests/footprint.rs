//! What a message and an idle connection cost in memory: counted, not estimated.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use jackdaw_edge::*;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::ServerName;
use support::*;

/// Counts what the workers' threads allocate; test threads and clients do not count.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicI64 = AtomicI64::new(0);

thread_local! {
    static IS_WORKER: Cell<bool> = const { Cell::new(false) };
}

fn count(bytes: i64) {
    if IS_WORKER.try_with(Cell::get).unwrap_or(false) {
        ALLOCATIONS.fetch_add(u64::from(bytes > 0), Ordering::SeqCst);
        BYTES.fetch_add(bytes, Ordering::SeqCst);
    }
}

// SAFETY: everything is left to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Tests here look at counters of the whole process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Echoes without allocating, unlike the laboratory.
struct Echo;

impl Protocol for Echo {
    type Connection = [u8; 16];
    type Mail = ();

    fn open(&mut self, _: &mut Io<'_, ()>, _: &Peer) -> Option<[u8; 16]> {
        Some([0; 16])
    }

    fn bytes(&mut self, io: &mut Io<'_, ()>, _: &mut [u8; 16], bytes: &[u8]) -> usize {
        io.set_timer(Some(io.now() + PATIENCE));
        io.write(|out| out.extend_from_slice(bytes));
        bytes.len()
    }

    fn mail(&mut self, _: &mut Io<'_, ()>, _: &mut [u8; 16], (): ()) {}

    fn undelivered(&mut self, _: &mut WorkerIo<'_, ()>, _: ConnectionId, (): ()) {}

    fn closed(&mut self, _: &mut Io<'_, ()>, _: &mut [u8; 16], _: CloseReason) -> Fate {
        Fate::Free
    }
}

fn start(config: EdgeConfig) -> RunningEdge<()> {
    Edge::start(config, |_, _| {
        IS_WORKER.set(true);
        Echo
    })
    .expect("the edge starts")
}

struct Secured {
    config: EdgeConfig,
    client: Arc<ClientConfig>,
}

fn secured(driver: DriverChoice) -> Secured {
    let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).expect("a pair");
    let certificate = Certificate::from_pem(&made.cert.pem(), &made.signing_key.serialize_pem());
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a certificate");
    let mut config = config(driver, 1);
    config.listeners[0].tls = TlsMode::Direct;
    let settings = TlsSettings::new(certificate.expect("what was just made"));
    config.tls = Some(TlsConfig::new(settings).expect("settings"));
    let client = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Secured { config, client: Arc::new(client) }
}

impl Secured {
    fn connect(&self, edge: &RunningEdge<()>) -> impl std::io::Read + Write + use<> {
        let name = ServerName::try_from("a.example").expect("a name");
        let client = ClientConnection::new(Arc::clone(&self.client), name).expect("a client");
        StreamOwned::new(client, connect(edge.addresses()[0]))
    }
}

/// Exchanges messages until pools and tables have grown, then counts.
fn allocations_of(mut exchange: impl FnMut()) -> u64 {
    (0..200).for_each(|_| exchange());
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    (0..500).for_each(|_| exchange());
    ALLOCATIONS.load(Ordering::SeqCst) - before
}

#[test]
fn a_message_allocates_nothing() {
    let _alone = ONE_AT_A_TIME.lock();
    on_every_driver(|driver| {
        let edge = start(config(driver, 1));
        let mut stream = connect(edge.addresses()[0]);
        assert_eq!(allocations_of(|| exchange(&mut stream, &[b'x'; 300], &[b'x'; 300])), 0);
        drop(stream);
        edge.shutdown(PATIENCE);
    });
}

#[test]
fn a_message_over_tls_allocates_nothing() {
    let _alone = ONE_AT_A_TIME.lock();
    on_every_driver(|driver| {
        let place = secured(driver);
        let edge = start(place.config.clone());
        let mut stream = place.connect(&edge);
        let allocations = allocations_of(|| {
            stream.write_all(&[b'x'; 300]).expect("the edge reads");
            expect_bytes(&mut stream, &[b'x'; 300]);
        });
        assert_eq!(allocations, 0);
        drop(stream);
        edge.shutdown(PATIENCE);
    });
}

/// Bytes per connection that has talked once and is silent since.
fn idle_bytes<S: std::io::Read + Write>(mut connect: impl FnMut() -> S) -> i64 {
    const CONNECTIONS: usize = 512;
    let mut talk = || {
        let mut stream = connect();
        stream.write_all(b"hello").expect("the edge reads");
        expect_bytes(&mut stream, b"hello");
        stream
    };
    let warm: Vec<S> = (0..64).map(|_| talk()).collect();
    let before = BYTES.load(Ordering::SeqCst);
    let idle: Vec<S> = (0..CONNECTIONS).map(|_| talk()).collect();
    let bytes = (BYTES.load(Ordering::SeqCst) - before) / CONNECTIONS as i64;
    drop((warm, idle));
    bytes
}

#[test]
fn an_idle_connection_takes_a_few_hundred_bytes() {
    let _alone = ONE_AT_A_TIME.lock();
    on_every_driver(|driver| {
        let edge = start(config(driver, 1));
        let bytes = idle_bytes(|| connect(edge.addresses()[0]));
        eprintln!("{bytes} bytes");
        assert!(bytes <= 400, "{bytes}");
        edge.shutdown(PATIENCE);
    });
}

#[test]
fn an_idle_connection_with_tls_takes_less_than_a_kilobyte_besides_its_keys() {
    let _alone = ONE_AT_A_TIME.lock();
    on_every_driver(|driver| {
        let place = secured(driver);
        let edge = start(place.config.clone());
        let bytes = idle_bytes(|| place.connect(&edge));
        eprintln!("{bytes} bytes");
        // The key schedules are in C's heap, about 600 bytes for each direction.
        assert!(bytes <= 1024, "{bytes}");
        edge.shutdown(PATIENCE);
    });
}
