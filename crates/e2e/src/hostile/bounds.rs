//! The act of bounds: the memory that the operator allows (T12), and the open files that the system
//! allows (T13).

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use super::crowd::{self, Beside, Crowd};
use super::gauge::Gauge;
use super::metrics::Metrics;
use super::stage::{DOMAIN, PASSWORD, enter, role};
use super::table::Phase;
use super::tabled::unharmed;
use super::{Finding, Play, farewell};
use crate::connection::{Arrival, Connection};
use crate::error::{Error, Result};
use crate::login::shown;
use crate::server::{Launch, Server};

/// Sessions that use memory up, more than there is room for, and what each is made to hold.
const HEAVY: usize = 400;
const HEAVY_BYTES: usize = 200_000;

/// Above what the heap is to begin with, so much is allowed.
const ALLOWED_MIB: u64 = 32;

/// What may come before the bound is noticed.
const LATE_MIB: u64 = 8;

/// The server's hard limit of open files, and connections that want to be let in.
const FILES: usize = 300;
const CONNECTIONS: usize = 600;

/// While it is full, a server that only waits uses less of a core than this.
const WAITING_PERCENT: u32 = 25;

const WATCHED: Duration = Duration::from_secs(2);

/// Plays the act.
pub fn play(play: &Play<'_>) -> Result<Vec<Finding>> {
    let mut findings = memory(play)?;
    findings.extend(files(play)?);
    Ok(findings)
}

/// Sessions hold more and more, until the bound turns newcomers away.
fn memory(play: &Play<'_>) -> Result<Vec<Finding>> {
    let idle = super::open(play, "log.level = 'error'", &["romeo".into()])?;
    let allowed = (heap(&idle)? >> 20) + ALLOWED_MIB;
    drop(idle);
    let config = format!(
        "limits.memory_mib_max = {allowed}\nlimits.resources_per_account_max = 2000\n\
         limits.connections_per_address_max = 20000\nlog.level = 'error'\n"
    );
    let server = super::open(play, &config, &["romeo".into(), "mab".into()])?;
    let mut before = enter(&role("romeo", "before"), server.listeners(), Phase::PostAuth)?;
    let mut heavy = Vec::with_capacity(HEAVY);
    let mut refused = None;
    for number in 0..HEAVY {
        let resource = format!("h{number}");
        let mut connection =
            enter(&role("mab", &resource), server.listeners(), Phase::Authenticated)?;
        refused = bind(&mut connection, &resource)?;
        if refused.is_some() {
            break;
        }
        // A stanza that does not end stays where it is.
        let half = format!("<message><body>{}", "z".repeat(HEAVY_BYTES));
        connection.send(half.as_bytes())?;
        heavy.push(connection);
    }
    let most = heap(&server)? >> 20;
    let is_told = Metrics::scrape(server.listeners().http)?.sum("xmpp_memory_short") == 1.0;
    let lives = ping(&mut before).map_err(|error| error.to_string());
    let count = heavy.len();
    drop(heavy);
    let again = eventually(|| {
        let mut late = enter(&role("mab", "late"), server.listeners(), Phase::Authenticated)?;
        Ok(bind(&mut late, "late")?.is_none())
    });
    let what =
        format!("with {allowed} MiB allowed, a session beside {count} heavy ones is refused");
    let holds = refused.as_deref() == Some("resource-constraint");
    let mut findings = vec![
        Finding::that(what, holds, || format!("{refused:?} at {most} MiB")),
        Finding::that(format!("the heap stays at {most} MiB"), most <= allowed + LATE_MIB, || {
            format!("{LATE_MIB} MiB above what is allowed, at most")
        }),
        Finding::that("the shortage is on /metrics", is_told, || "xmpp_memory_short is 0".into()),
        Finding::new("who was there before goes on", lives),
        Finding::that("when there is memory again, there are new sessions", again, || {
            "still refused".into()
        }),
    ];
    findings.extend(farewell(server));
    Ok(findings)
}

/// Bytes in the heap of the server.
fn heap(server: &Server) -> Result<u64> {
    Ok(Metrics::scrape(server.listeners().http)?.sum("xmpp_heap_bytes") as u64)
}

/// Binds a resource; the condition of the refusal, if it is refused.
fn bind(connection: &mut Connection, resource: &str) -> Result<Option<String>> {
    let ns = crate::login::BIND;
    let bind = format!("<bind xmlns='{ns}'><resource>{resource}</resource></bind>");
    connection.send(format!("<iq type='set' id='b'>{bind}</iq>").as_bytes())?;
    match connection.receive()? {
        Arrival::Element(answer) if answer.attr("type") == Some("result") => Ok(None),
        Arrival::Element(answer) => {
            let error = answer.child(jackdaw_xml::ns::CLIENT, "error");
            let condition = error.and_then(|error| error.children().next());
            Ok(Some(condition.map(|c| c.name().to_owned()).unwrap_or_default()))
        }
        other => Err(Error::unexpected(shown(&other))),
    }
}

/// More connections than there may be open files.
fn files(play: &Play<'_>) -> Result<Vec<Finding>> {
    let folder = tempfile::tempdir().map_err(Error::io("a folder"))?;
    let binary = folder.path().join("limited");
    let real = play.launch.binary.display();
    let script = format!("#!/bin/sh\nulimit -n {FILES}\nexec {real} \"$@\"\n");
    std::fs::write(&binary, script).map_err(Error::io("a script"))?;
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&binary, executable).map_err(Error::io("a script"))?;
    let launch = Launch { binary, ..play.launch.clone() };
    let config = "edge.descriptors_reserved = 64\nlog.level = 'error'\n\
                  limits.connections_per_address_max = 20000";
    let mut accounts = crowd::accounts(SESSIONS);
    accounts.extend(["romeo".into(), "away".into()]);
    let limited = Play { launch: &launch, ..*play };
    let server = super::open(&limited, config, &accounts)?;
    let crowd = Crowd::gather(SESSIONS, server.listeners())?;
    let mut romeo = enter(&role("romeo", "r"), server.listeners(), Phase::PostAuth)?;
    crowd.say(Beside::Quiet);
    std::thread::sleep(WATCHED);
    crowd.say(Beside::Attack);
    let mut waiting = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        // Whom the server does not accept waits in the kernel's queue.
        waiting
            .push(TcpStream::connect(server.listeners().plain).map_err(Error::io("connecting"))?);
    }
    let gauge = Gauge::new(server.pid()?);
    crowd.say(Beside::Pause);
    let (cpu, began) = (gauge.cpu()?, Instant::now());
    std::thread::sleep(WATCHED);
    let percent = (gauge.cpu()? - cpu).as_millis() * 100 / began.elapsed().as_millis().max(1);
    crowd.say(Beside::Attack);
    std::thread::sleep(WATCHED);
    let stored = store_a_message(&mut romeo, &server);
    drop(waiting);
    let again = eventually(|| {
        enter(&role("romeo", "x"), server.listeners(), Phase::PostAuth).map(|_| true)
    });
    let mut findings = vec![
        Finding::that(
            format!("{CONNECTIONS} connections with {FILES} files cost {percent} % of a core"),
            percent < u128::from(WAITING_PERCENT),
            || format!("{WAITING_PERCENT} % at most: it spins"),
        ),
        Finding::new("the store still has its files", stored.map_err(|error| error.to_string())),
        Finding::that("when the flood has gone, there are new sessions", again, || {
            "nobody gets in".into()
        }),
    ];
    findings.extend(unharmed(&crowd.dismiss()?));
    findings.extend(farewell(server));
    Ok(findings)
}

/// The healthy beside it.
const SESSIONS: usize = 100;

/// A message for somebody who is away is accepted when it is on disk (XEP-0198 of ours).
fn store_a_message(romeo: &mut Connection, server: &Server) -> Result<()> {
    romeo.send(format!("<message to='away@{DOMAIN}'><body>later</body></message>").as_bytes())?;
    ping(romeo)?;
    // The command line opens files as well, through the running server.
    server.add_users(&[(&format!("late@{DOMAIN}"), PASSWORD)])
}

/// Any answer to a ping; what comes before it must be no error.
fn ping(connection: &mut Connection) -> Result<()> {
    connection.send(b"<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")?;
    match connection.receive()? {
        Arrival::Element(answer) if answer.attr("type") == Some("result") => Ok(()),
        other => Err(Error::unexpected(shown(&other))),
    }
}

/// Whether it holds within some seconds; a failure counts as not yet.
fn eventually(mut holds: impl FnMut() -> Result<bool>) -> bool {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        if holds().unwrap_or(false) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}
