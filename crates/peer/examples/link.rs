//! What a link costs, both ends together: CPU per stanza, beside the same bytes over plain TCP.
//!
//! ```text
//! cargo run --release -p jackdaw-peer --example link -- [bytes [seconds [rounds]]]
//! ```
//!
//! Both ends are in this process. At most `window` stanzas are under way; each is taken, accepted,
//! and the accept told on the control stream. `raw` writes frames of the same length to a TCP
//! stream, as many as wait, and answers each frame with one byte.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jackdaw_peer::frame::{
    Control, Epoch, Generation, Incarnation, Item, LinkId, Origin, Shard, Stanza, Tenure, Worker,
};
use jackdaw_peer::handshake::{Features, Myself, NodeName, Versions};
use jackdaw_peer::link::{Fence, Intake, IntakeEvent, Local, Uplink, UplinkConfig, UplinkEvent};
use jackdaw_peer::transport::{
    Accepted, Answer, Answers, BATCH_BYTES, CallError, CallKind, ControlLink, CredentialFiles,
    Credentials, Dialer, Listener, OwnerLink, SocketLink, Target,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

const OWNER: Incarnation = Incarnation(2);
const SOCKET: LinkId = LinkId { incarnation: Incarnation(1), worker: Worker::FIRST };

/// How many stanzas are under way: one alone, a handful, a worker at full load.
const WINDOWS: [u64; 4] = [1, 8, 64, 1024];

/// Stanzas, the CPU time they took, and how long.
type Spent = (u64, Duration, Duration);

fn main() {
    let numbers: Vec<u64> =
        std::env::args().skip(1).map(|text| text.parse().expect("a number")).collect();
    let number = |index: usize, default| numbers.get(index).copied().unwrap_or(default);
    let (bytes, time) = (number(0, 300) as usize, Duration::from_secs(number(1, 2)));
    println!("{bytes} bytes a stanza; CPU us per stanza, both ends; stanzas/s");
    for _ in 0..number(2, 3) {
        for window in WINDOWS {
            report("raw", window, run(raw(bytes, window, time)));
            report("link", window, run(link(bytes, window, time)));
        }
    }
}

fn report(name: &str, window: u64, (count, cpu, wall): Spent) {
    let micros = cpu.as_secs_f64() * 1e6 / count as f64;
    let rate = count as f64 / wall.as_secs_f64();
    println!("{name:5} window {window:5}  {micros:8.2} us  {rate:9.0}/s");
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().expect("a runtime").block_on(future)
}

/// CPU time of all threads of this process.
fn cpu() -> Duration {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux");
    let spent = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(spent.sum())
}

#[expect(clippy::disallowed_methods, reason = "this measures")]
fn now() -> Instant {
    Instant::now()
}

/// Frames over TCP; whoever reads answers with a byte per frame.
async fn raw(bytes: usize, window: u64, time: Duration) -> Spent {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let reader = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("TCP");
        let (mut buffer, mut left) = (vec![0; 1 << 16], 0);
        while let Ok(length @ 1..) = stream.read(&mut buffer).await {
            let whole = (left + length) / bytes;
            left = (left + length) % bytes;
            if whole > 0 && stream.write_all(&vec![0; whole]).await.is_err() {
                break;
            }
        }
    });
    let writer = tokio::spawn(async move {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("TCP");
        let (frames, mut answers) = (vec![b'x'; bytes * window as usize], vec![0; 1 << 16]);
        let (began, before, mut count, mut free) = (now(), cpu(), 0, window);
        while began.elapsed() < time {
            stream.write_all(&frames[..bytes * free as usize]).await.expect("open");
            free = stream.read(&mut answers).await.expect("open") as u64;
            count += free;
        }
        (count, cpu() - before, began.elapsed())
    });
    let spent = writer.await.expect("no panic");
    reader.abort();
    spent
}

async fn link(bytes: usize, window: u64, time: Duration) -> Spent {
    let (socket, owner, control, owner_control, _accepted) = connect().await;
    let owning = tokio::spawn(own(owner, owner_control));
    let sending = tokio::spawn(send(socket, control, bytes, window, time));
    let spent = sending.await.expect("no panic");
    owning.abort();
    spent
}

fn tenure() -> Tenure {
    Tenure { shard: Shard::new(1).expect("a shard"), epoch: Epoch(5) }
}

/// The socket node: keeps `window` stanzas under way.
async fn send(
    link: SocketLink,
    mut control: ControlLink,
    bytes: usize,
    window: u64,
    time: Duration,
) -> Spent {
    let fence = Fence::default();
    let usual = UplinkConfig::new(Worker::FIRST, 64 << 20);
    let mut uplink = Uplink::new(UplinkConfig { session_bytes_max: 64 << 20, ..usual });
    uplink.assign(&fence, tenure(), OWNER);
    uplink.handle_connected(OWNER);
    let payload = Bytes::from(vec![b'x'; bytes]);
    let session = Generation { epoch: Epoch(1), counter: 1 };
    let (mut sent, mut handled) = (0, 0);
    let (began, before) = (now(), cpu());
    while began.elapsed() < time {
        while sent - handled < window {
            sent += 1;
            let origin = Some(Origin { session, inbound: sent });
            let item = Item::Stanza(Stanza { origin, stanza: payload.clone() });
            uplink.send(tenure().shard, Some(Local(1)), item).expect("room");
        }
        // What has come together goes when there is room; answers are read meanwhile.
        while uplink.has_unsent(OWNER) {
            let Some(permit) = link.outlet.try_ready().expect("open") else { break };
            permit.send(uplink.poll_transmit(now(), OWNER, BATCH_BYTES));
        }
        for frame in control.inlet.next().await.expect("open").expect("a batch") {
            let result = match frame {
                Control::Receipt(it) => uplink.handle_receipt(now(), OWNER, it, &fence),
                Control::Accepts(it) => uplink.handle_accepts(now(), OWNER, &it, &fence),
                _ => Ok(()),
            };
            result.expect("an honest peer");
        }
        while let Some(event) = uplink.poll_event() {
            if let UplinkEvent::Accepted { handled: now, .. } = event {
                handled = now;
            }
        }
    }
    (handled, cpu() - before, began.elapsed())
}

/// The owner: takes, accepts, tells.
async fn own(mut link: OwnerLink, control: ControlLink) {
    let fence = Fence::default();
    let mut intake = Intake::default();
    intake.claim(&fence, tenure(), Vec::new()).expect("nothing is sound");
    while let Ok(Some(batch)) = link.inlet.next().await {
        for sends in batch {
            intake.handle_sends(SOCKET, sends, &fence).expect("an honest peer");
        }
        while let Some(event) = intake.poll_event() {
            if let IntakeEvent::Taken { tenure, link, number, .. } = event {
                intake.accept(&fence, tenure, link, number);
            }
        }
        let Ok(permit) = control.outlet.ready().await else { return };
        permit.send(intake.poll_answers(SOCKET.incarnation, 64));
    }
}

/// No calls are made here.
struct NoAnswers;

impl Answers for NoAnswers {
    fn answer(&self, _: &NodeName, _: CallKind, _: Bytes) -> Answer {
        Box::pin(async { Err(CallError::Refused(String::new())) })
    }
}

fn node(name: &str, incarnation: Incarnation) -> watch::Receiver<Myself> {
    let name = NodeName::new(name).expect("a name");
    let (versions, features) = (Versions::OURS, Features(0));
    watch::channel(Myself { versions, features, cluster: None, name, incarnation }).1
}

/// One certificate for both names, read as a node reads its own.
fn credentials() -> Arc<Credentials> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(params, key).expect("an authority");
    let names = ["socket.test".to_owned(), "owner.test".to_owned()];
    let params = CertificateParams::new(names).expect("names");
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, &authority).expect("a certificate");
    let path = |name: &str| folder.path().join(name);
    let (authority_file, certificate_file, key_file) =
        (path("ca.crt"), path("node.crt"), path("node.key"));
    fs::write(&authority_file, authority.pem()).expect("a folder");
    fs::write(&certificate_file, certificate.pem()).expect("a folder");
    fs::write(&key_file, key.serialize_pem()).expect("a folder");
    let files =
        CredentialFiles { authority: authority_file, certificate: certificate_file, key: key_file };
    Arc::new(Credentials::read(files).expect("credentials"))
}

type Connected = (SocketLink, OwnerLink, ControlLink, ControlLink, mpsc::Receiver<Accepted>);

async fn connect() -> Connected {
    let credentials = credentials();
    let port = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = port.local_addr().expect("an address").to_string();
    let myself = node("owner.test", OWNER);
    let (listener, mut accepted) =
        Listener::new(port, myself, credentials.clone(), Arc::new(NoAnswers));
    tokio::spawn(listener.run());
    let dialer = Dialer::new(node("socket.test", SOCKET.incarnation), credentials);
    let target = Target { address, name: None };
    let socket = dialer.link(&target, Worker::FIRST).await.expect("a link");
    let Some(Accepted::Link(owner)) = accepted.recv().await else {
        unreachable!("a link was dialled")
    };
    let (control, _) = dialer.control(&target).await.expect("a control stream");
    let Some(Accepted::Control(owner_control)) = accepted.recv().await else {
        unreachable!("a control stream was dialled")
    };
    (socket, owner, control, owner_control, accepted)
}
