//! A routed message allocates nothing: the whole server, from socket to socket, is in this
//! process, and everything that its threads ask of the allocator is counted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser as _;
use jackdaw_server::cli::Cli;
use jackdaw_server::command;

/// Counts what every thread but the client's asks for.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static IS_CLIENT: Cell<bool> = const { Cell::new(false) };
}

fn count() {
    if !IS_CLIENT.try_with(Cell::get).unwrap_or(true) {
        ALLOCATIONS.fetch_add(1, Ordering::SeqCst);
    }
}

// SAFETY: everything is left to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Set in a process that is to be the server with this driver: one process has one log, and so one
/// server.
const DRIVER: &str = "JACKDAW_TEST_DRIVER";

/// For whatever should happen at once and may be late on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Exchanges until every pool and table has grown, and exchanges that are counted.
const WARM_UP: usize = 300;
const COUNTED: usize = 1000;

/// One of them has to be without any. Every few seconds the metrics are tidied up on a thread that
/// no message passes; what messages cause is in every round, for each fills several buffers.
const ROUNDS: usize = 5;

#[test]
fn with_epoll() {
    in_its_own_process("with_epoll", "epoll");
}

/// Where the kernel does not allow io_uring this is epoll again.
#[test]
fn with_io_uring() {
    in_its_own_process("with_io_uring", "auto");
}

fn in_its_own_process(test: &str, driver: &str) {
    if std::env::var_os(DRIVER).is_some() {
        return check(driver);
    }
    let this = std::env::current_exe().expect("a test has a binary");
    let mut command = Command::new(this);
    command.args(["--exact", test, "--nocapture"]).env(DRIVER, driver);
    let output = command.output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{log}");
}

fn check(driver: &str) {
    IS_CLIENT.set(true);
    let directory = tempfile::tempdir().expect("a directory");
    let port = start(directory.path(), driver);
    let mut romeo = Client::login(port);
    let mut juliet = Client::login(port);
    for clump in [1, 16] {
        let message = format!(
            "<message to='{}' type='chat' id='m1'><body>Art thou not Romeo?</body></message>",
            juliet.jid
        );
        let messages = message.repeat(clump);
        let mut exchange = || {
            romeo.write(&messages);
            juliet.read_messages(clump);
        };
        (0..WARM_UP).for_each(|_| exchange());
        let mut round = || {
            let before = ALLOCATIONS.load(Ordering::SeqCst);
            (0..COUNTED).for_each(|_| exchange());
            ALLOCATIONS.load(Ordering::SeqCst) - before
        };
        let rounds: [u64; ROUNDS] = std::array::from_fn(|_| round());
        assert!(rounds.contains(&0), "{driver}: {rounds:?} of {COUNTED} times {clump} messages");
    }
}

/// Runs the server on a thread of this process, and says where.
fn start(directory: &Path, driver: &str) -> u16 {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = free.local_addr().expect("bound").port();
    drop(free);
    let config = format!(
        "server.data_dir = '{data}'\n\
         listeners.c2s.addresses = []\n\
         listeners.c2s_tls.addresses = []\n\
         listeners.c2s_plain.addresses = ['127.0.0.1:{port}']\n\
         listeners.http.addresses = []\n\
         edge = {{ driver = '{driver}', workers = 1 }}\n\
         storage.engine = 'memory'\n\
         auth.mechanisms = ['ANONYMOUS']\n",
        data = directory.join("data").display(),
    );
    let file = directory.join("jackdaw.toml");
    std::fs::write(&file, config).expect("room");
    let file = file.to_str().expect("UTF-8").to_owned();
    std::thread::spawn(move || command::run(Cli::parse_from(["jackdaw", "--config", &file])));
    port
}

/// A guest on a stream without TLS.
struct Client {
    stream: TcpStream,
    jid: String,
    received: Vec<u8>,
}

impl Client {
    fn login(port: u16) -> Client {
        let mut client = Client { stream: connect(port), jid: String::new(), received: Vec::new() };
        let header = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
                      xmlns:stream='http://etherx.jabber.org/streams'>";
        client.write(header);
        client.read_until("</stream:features>");
        client
            .write("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'>=</auth>");
        client.read_until("<success");
        client.write(header);
        client.read_until("</stream:features>");
        client.write("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
        let bound = client.read_until("</iq>");
        let (_, jid) = bound.split_once("<jid>").expect("a JID");
        let (jid, _) = jid.split_once("</jid>").expect("a JID");
        client.jid = jid.to_owned();
        client.write("<presence/>");
        client.read_until("<presence");
        client
    }

    fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).expect("the server reads");
    }

    fn read(&mut self) {
        let mut buffer = [0; 16 * 1024];
        let length = self.stream.read(&mut buffer).expect("the server answers");
        assert!(length > 0, "closed: {}", String::from_utf8_lossy(&self.received));
        self.received.extend_from_slice(&buffer[..length]);
    }

    fn read_until(&mut self, end: &str) -> String {
        loop {
            let text = String::from_utf8_lossy(&self.received).into_owned();
            if text.contains(end) {
                self.received.clear();
                return text;
            }
            self.read();
        }
    }

    fn read_messages(&mut self, count: usize) {
        loop {
            let text = String::from_utf8_lossy(&self.received);
            if text.matches("</message>").count() == count {
                return self.received.clear();
            }
            self.read();
        }
    }
}

fn connect(port: u16) -> TcpStream {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test that waits for a process reads the clock"
    )]
    let started = Instant::now();
    loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            Ok(stream) => {
                stream.set_nodelay(true).expect("a socket");
                stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
                return stream;
            }
            Err(error) => assert!(started.elapsed() < PATIENCE, "{error}"),
        }
        std::thread::yield_now();
    }
}
