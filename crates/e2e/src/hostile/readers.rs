//! The act of those who do not read (T11, bad-inputs R12): what is for them takes bounded memory,
//! stops nobody else, and is there when they come back.

use std::time::Duration;

use super::crowd::{self, Beside, Crowd};
use super::gauge::Gauge;
use super::stage::{DOMAIN, enter, role};
use super::table::Phase;
use super::tabled::unharmed;
use super::tokens::enable;
use super::{Finding, Play, farewell};
use crate::connection::{Arrival, Connection};
use crate::error::{Error, Result};
use crate::login::shown;
use crate::server::Server;

/// The healthy beside it.
const SESSIONS: usize = 200;

/// Readers that stop, half of them with stream management.
const SLOW: usize = 40;

/// What each is sent: far more than anything may hold for it in memory.
const MESSAGES: usize = 900;
const BODY_BYTES: usize = 2_000;

/// In the memory of the server for a reader that stops: the output that may wait for it, twice over
/// because buffers grow by doubling, and what is on its way to the store.
const HELD_KIB_MAX: u64 = 2_048;

/// Messages for somebody who is away, in all more than a connection's output may hold.
const AWAY_MESSAGES: usize = 50;
const AWAY_BODY_BYTES: usize = 100_000;

const PAUSE: Duration = Duration::from_secs(2);

const CONFIG: &str = "
limits.outbox_bytes_max = 1048576
stream_management.unacked_bytes_max = 262144
limits.connections_per_address_max = 20000
log.level = 'warn'
";

/// Plays the act.
pub fn play(play: &Play<'_>) -> Result<Vec<Finding>> {
    let mut accounts = crowd::accounts(SESSIONS);
    accounts.extend((0..SLOW).map(|number| format!("slow{number}")));
    accounts.extend(["sender".into(), "away".into()]);
    let server = super::open(play, CONFIG, &accounts)?;
    let crowd = Crowd::gather(SESSIONS, server.listeners())?;
    crowd.say(Beside::Quiet);
    std::thread::sleep(PAUSE);
    crowd.say(Beside::Attack);
    let mut findings = vec![stop_reading(&server)?, come_back(&server)?];
    findings.extend(unharmed(&crowd.dismiss()?));
    findings.extend(farewell(server));
    Ok(findings)
}

/// Many messages for clients that read nothing.
fn stop_reading(server: &Server) -> Result<Finding> {
    let mut slow = Vec::with_capacity(SLOW);
    for number in 0..SLOW {
        let role = role(&format!("slow{number}"), "lazy");
        let mut connection = enter(&role, server.listeners(), Phase::PostAuth)?;
        connection.send(b"<presence/>")?;
        if number % 2 == 0 {
            next_named(&mut connection, "presence")?;
            enable(&mut connection)?;
        }
        slow.push(connection);
    }
    let gauge = Gauge::new(server.pid()?);
    gauge.forget_peak()?;
    let before = gauge.peak_kib()?;
    let mut sender = enter(&role("sender", "s"), server.listeners(), Phase::PostAuth)?;
    let body = "x".repeat(BODY_BYTES);
    for message in 0..MESSAGES {
        for number in 0..SLOW {
            let to = format!("slow{number}@{DOMAIN}");
            let stanza = format!("<message to='{to}' type='chat'><body>{body}</body></message>");
            sender.send(stanza.as_bytes())?;
        }
        // Its errors, if there are any, are read; the sender is no slow reader itself.
        if message % 20 == 0 {
            ping(&mut sender)?;
        }
    }
    ping(&mut sender)?;
    let each = gauge.peak_kib()?.saturating_sub(before) / SLOW as u64;
    let sent = MESSAGES * BODY_BYTES / 1_024;
    let what = format!("{SLOW} readers that stop, sent {sent} KiB each, take {each} KiB each");
    drop(slow);
    Ok(Finding::that(what, each <= HELD_KIB_MAX, || format!("{HELD_KIB_MAX} KiB at most")))
}

/// Somebody comes back to more than fits into the output of a connection, and gets all of it.
fn come_back(server: &Server) -> Result<Finding> {
    let mut sender = enter(&role("sender", "s"), server.listeners(), Phase::PostAuth)?;
    let body = "y".repeat(AWAY_BODY_BYTES);
    for number in 0..AWAY_MESSAGES {
        let stanza = format!(
            "<message to='away@{DOMAIN}' type='chat' id='a{number}'><body>{body}</body></message>"
        );
        sender.send(stanza.as_bytes())?;
    }
    ping(&mut sender)?;
    let mut away = enter(&role("away", "back"), server.listeners(), Phase::PostAuth)?;
    away.send(b"<presence/>")?;
    let mut got = Vec::with_capacity(AWAY_MESSAGES);
    let result = loop {
        if got.len() == AWAY_MESSAGES {
            break Ok(());
        }
        match away.receive() {
            Ok(Arrival::Element(element)) if element.name() == "message" => {
                got.push(element.attr("id").unwrap_or_default().to_owned());
            }
            Ok(Arrival::Element(_)) => {}
            Ok(other) => break Err(shown(&other)),
            Err(error) => break Err(error.to_string()),
        }
    };
    let mega = AWAY_MESSAGES * AWAY_BODY_BYTES / 1_000_000;
    let what = format!("{AWAY_MESSAGES} messages of {mega} MB wait for who comes back, in order");
    let expected: Vec<String> = (0..AWAY_MESSAGES).map(|number| format!("a{number}")).collect();
    let is_in_order = got == expected;
    Ok(Finding::that(what, result.is_ok() && is_in_order, || {
        format!("{} came, in order: {is_in_order}, then {result:?}", got.len())
    }))
}

/// Waits until everything sent before has been handled.
fn ping(connection: &mut Connection) -> Result<()> {
    connection.send(b"<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")?;
    next_named(connection, "iq")
}

fn next_named(connection: &mut Connection, name: &str) -> Result<()> {
    loop {
        match connection.receive()? {
            Arrival::Element(element) if element.name() == name => return Ok(()),
            Arrival::Element(_) => {}
            other => return Err(Error::unexpected(format!("got {}", shown(&other)))),
        }
    }
}
