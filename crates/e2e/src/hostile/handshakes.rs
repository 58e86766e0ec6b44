//! The act of handshakes (T16, bad-inputs A05): floods of them, half of them, in records of one
//! byte, while the certificate is changed.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::crowd::{self, Beside, Crowd};
use super::metrics::Metrics;
use super::stage::{DOMAIN, enter, role};
use super::table::Phase;
use super::tabled::{stand_back, unharmed};
use super::{Finding, Play, farewell, millis};
use crate::error::{Error, Result};
use crate::server::{Listeners, Server};
use crate::tls;

/// The healthy beside it.
const SESSIONS: usize = 200;

/// Clients that handshake at once, over and over.
const FLOODERS: usize = 6;

/// How long.
const FLOOD: Duration = Duration::from_secs(4);

/// Handshakes that are begun and never ended.
const HALF_OPEN: usize = 1_000;

/// What the server allows a handshake, and how much later than that it may notice.
const DEADLINE_SECS: u64 = 2;
const NOTICED_WITHIN: Duration = Duration::from_secs(4);

/// How long after the signal the new certificate may come (T16).
const ROTATED_WITHIN: Duration = Duration::from_secs(5);

/// Plays the act.
pub fn play(play: &Play<'_>) -> Result<Vec<Finding>> {
    let config = format!(
        "limits.connections_per_address_max = 20000\nlog.level = 'warn'\n\
         deadlines.tls_handshake_timeout_secs = {DEADLINE_SECS}\n\
         domains = [{{ name = '{DOMAIN}', certificate = 'own.pem', key = 'own.key' }}]\n"
    );
    let mut accounts = crowd::accounts(SESSIONS);
    accounts.push("romeo".into());
    let mut server = Server::prepare(play.launch, &config)?;
    renew_certificate(&server)?;
    let jids: Vec<String> = accounts.iter().map(|name| format!("{name}@{DOMAIN}")).collect();
    let users: Vec<_> = jids.iter().map(|jid| (jid.as_str(), super::stage::PASSWORD)).collect();
    server.add_users(&users)?;
    server.start()?;
    let crowd = Crowd::gather(SESSIONS, server.listeners())?;
    let mut findings = vec![
        Finding::new("a handshake in records of one byte ends", bytewise(&server)),
        Finding::new("nothing is left of an end behind ClientHello", end_early(&server)),
    ];
    findings.extend(flood(&server, &crowd)?);
    findings.push(half_open(&server)?);
    findings.extend(unharmed(&crowd.dismiss()?));
    findings.extend(farewell(server));
    Ok(findings)
}

/// Puts a new certificate where the configuration looks for one.
fn renew_certificate(server: &Server) -> Result<()> {
    let made = rcgen::generate_simple_self_signed([DOMAIN.to_owned()])
        .map_err(|error| Error::unexpected(error.to_string()))?;
    let write = |name: &str, text: String| {
        std::fs::write(server.folder().join(name), text).map_err(Error::io("a certificate"))
    };
    write("own.key", made.signing_key.serialize_pem())?;
    write("own.pem", made.cert.pem())
}

/// Full handshakes without end; in the middle of it the certificate changes.
fn flood(server: &Server, crowd: &Crowd) -> Result<Vec<Finding>> {
    let at = server.listeners();
    let mut live = enter(&role("romeo", "live"), at, Phase::Secured)?;
    let before = shown_certificate(at)?;
    crowd.say(Beside::Quiet);
    std::thread::sleep(FLOOD / 2);
    crowd.say(Beside::Attack);
    let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let rotated = std::thread::scope(|scope| {
        for _ in 0..FLOODERS {
            scope.spawn(|| {
                stand_back();
                while !stop.load(Ordering::Relaxed) {
                    done.fetch_add(usize::from(shown_certificate(at).is_ok()), Ordering::Relaxed);
                }
            });
        }
        let until = Instant::now() + FLOOD;
        let rotated = rotate(server, &before);
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        stop.store(true, Ordering::Relaxed);
        rotated
    });
    crowd.say(Beside::Quiet);
    let what = format!("{} handshakes in {} s", done.into_inner(), FLOOD.as_secs());
    let what = match &rotated {
        Ok(took) => format!("{what}, a new certificate after {}", millis(*took)),
        Err(_) => what,
    };
    live.send(b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='NONE'/>")?;
    let lives = live.receive().map(drop).map_err(|error| error.to_string());
    Ok(vec![
        Finding::new(what, rotated.map(drop).map_err(|error| error.to_string())),
        Finding::new("a stream under the old certificate goes on", lives),
    ])
}

/// Changes the certificate; how long it takes until clients see the new one.
fn rotate(server: &Server, before: &[u8]) -> Result<Duration> {
    renew_certificate(server)?;
    let began = Instant::now();
    server.signal("HUP")?;
    while began.elapsed() < ROTATED_WITHIN {
        if shown_certificate(server.listeners())? != before {
            return Ok(began.elapsed());
        }
    }
    Err(Error::unexpected("the old certificate is still shown"))
}

fn shown_certificate(at: &Listeners) -> Result<Vec<u8>> {
    let tcp = TcpStream::connect(at.direct_tls).map_err(Error::io("connecting"))?;
    tcp.set_read_timeout(Some(ROTATED_WITHIN)).map_err(Error::io("read timeout"))?;
    let stream = tls::connect(DOMAIN, Some("xmpp-client"), &[], None, tcp)?;
    let chain = stream.conn.peer_certificates().unwrap_or_default();
    Ok(chain.first().map(|first| first.to_vec()).unwrap_or_default())
}

/// What a client sends first, as TLS records.
fn client_hello() -> Result<Vec<u8>> {
    let mut connection = tls::client(DOMAIN, Some("xmpp-client"), None)?;
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).map_err(Error::io("TLS"))?;
    Ok(hello)
}

/// ClientHello in records of one byte each (RFC 8446 §5.1 allows it): answered, or refused at once.
fn bytewise(server: &Server) -> std::result::Result<(), String> {
    let talk = || -> Result<usize> {
        let hello = client_hello()?;
        let (header, body) = hello.split_at(5);
        let mut tcp = connect(server.listeners())?;
        for byte in body {
            let record = [header[0], header[1], header[2], 0, 1, *byte];
            if tcp.write_all(&record).is_err() {
                break;
            }
        }
        tcp.read(&mut [0; 1024]).map_err(Error::io("the answer to ClientHello"))
    };
    talk().map(drop).map_err(|error| error.to_string())
}

/// The client's side closes right behind ClientHello.
fn end_early(server: &Server) -> std::result::Result<(), String> {
    let talk = || -> Result<()> {
        let hello = client_hello()?;
        for alert in [true, false] {
            let mut tcp = connect(server.listeners())?;
            tcp.write_all(&hello).map_err(Error::io("ClientHello"))?;
            if alert {
                // close_notify
                let _ = tcp.write_all(&[21, 3, 3, 0, 2, 1, 0]);
            }
            tcp.shutdown(Shutdown::Write).map_err(Error::io("shutdown"))?;
            let mut rest = Vec::new();
            // A reset ends it as well.
            let _ = tcp.read_to_end(&mut rest);
        }
        Ok(())
    };
    talk().map_err(|error| error.to_string())
}

fn connect(at: &Listeners) -> Result<TcpStream> {
    let tcp = TcpStream::connect(at.direct_tls).map_err(Error::io("connecting"))?;
    tcp.set_read_timeout(Some(NOTICED_WITHIN)).map_err(Error::io("read timeout"))?;
    Ok(tcp)
}

/// Handshakes that stop behind ClientHello are gone when their time is over.
fn half_open(server: &Server) -> Result<Finding> {
    let hello = client_hello()?;
    let connections =
        || Metrics::scrape(server.listeners().http).map(|m| m.sum("xmpp_connections"));
    let before = connections()?;
    let mut open = Vec::with_capacity(HALF_OPEN);
    for _ in 0..HALF_OPEN {
        let mut tcp = connect(server.listeners())?;
        // The deadline of the first may pass before the last is open.
        let _ = tcp.write_all(&hello);
        open.push(tcp);
    }
    let began = Instant::now();
    let limit = Duration::from_secs(DEADLINE_SECS) + NOTICED_WITHIN;
    while connections()? > before && began.elapsed() < limit {
        std::thread::sleep(Duration::from_millis(50));
    }
    let left = connections()? - before;
    let what = format!("{HALF_OPEN} half-open handshakes end by their deadline");
    Ok(Finding::that(what, left <= 0.0, || format!("{left} are left after {limit:?}")))
}
