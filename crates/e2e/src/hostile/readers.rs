//! The act of those who do not read (T11, bad-inputs R12): what is for them takes bounded memory,
//! stops nobody else, and is there when they come back.

use std::time::{Duration, Instant};

use super::crowd::{self, Beside, Crowd};
use super::metrics::Metrics;
use super::stage::{DOMAIN, enter, role};
use super::table::Phase;
use super::tabled::{stand_back, unharmed};
use super::tokens::enable;
use super::{Finding, Play, farewell};
use crate::connection::{Arrival, Connection};
use crate::error::{Error, Result};
use crate::login::shown;
use crate::server::Server;

/// The healthy beside it.
const SESSIONS: usize = 200;

/// Readers that stop, every other one with stream management.
const SLOW: usize = 12;

/// What each is sent, in rounds: far more than anything may hold for it in memory, and fewer
/// messages than the spool takes.
const ROUNDS: u32 = 36;
const MESSAGES: usize = 20;
const BODY_BYTES: usize = 3_000;

/// How long a round takes at least: about a thousand messages a second.
const ROUND: Duration = Duration::from_millis(240);

/// Rounds until the healthy are left alone for as long.
const ROUNDS_AT_ONCE: u32 = 4;

/// In the heap for a reader that stops: the output that may wait for it, twice over because buffers
/// grow by doubling, what it has not acknowledged, and what is on its way to the store.
const HELD_KIB_MAX: u64 = 1_024;

/// Messages for somebody who is away, in all many times what the output of a connection may hold.
const AWAY_MESSAGES: usize = 50;
const AWAY_BODY_BYTES: usize = 60_000;

const CONFIG: &str = "
limits.stanza_bytes_max = 65536
limits.outbox_bytes_max = 262144
stream_management.unacked_bytes_max = 131072
limits.connections_per_address_max = 20000
log.level = 'warn'
";

/// Plays the act.
pub fn play(play: &Play<'_>) -> Result<Vec<Finding>> {
    let mut accounts = crowd::accounts(SESSIONS);
    for name in ["gone", "slow"] {
        accounts.extend((0..SLOW).map(|number| format!("{name}{number}")));
    }
    accounts.extend(["sender".into(), "away".into()]);
    let server = super::open(play, CONFIG, &accounts)?;
    let crowd = Crowd::gather(SESSIONS, server.listeners())?;
    let reading = std::thread::scope(|scope| {
        let attack = scope.spawn(|| {
            stand_back();
            stop_reading(&server, &crowd)
        });
        attack.join().expect("it does not panic")
    });
    crowd.say(Beside::Quiet);
    let mut findings = vec![reading?];
    findings.push(come_back(&server)?);
    findings.extend(unharmed(&crowd.dismiss()?));
    findings.extend(farewell(server));
    Ok(findings)
}

/// Many messages for clients that read nothing, and what becomes of them.
///
/// The same is sent first to as many who are away: what the store holds in memory of it is no
/// matter of those who read slowly.
fn stop_reading(server: &Server, crowd: &Crowd) -> Result<Finding> {
    let mut sender = enter(&role("sender", "s"), server.listeners(), Phase::PostAuth)?;
    crowd.say(Beside::Pause);
    let mut away = 0;
    for _ in 0..ROUNDS {
        away = away.max(send_round(server, &mut sender, "gone")?);
    }
    let mut slow = Vec::with_capacity(SLOW);
    for number in 0..SLOW {
        let role = role(&format!("slow{number}"), "lazy");
        let mut connection = enter(&role, server.listeners(), Phase::PostAuth)?;
        if number.is_multiple_of(2) {
            enable(&mut connection)?;
        }
        connection.send(b"<presence/>")?;
        next_named(&mut connection, "presence")?;
        slow.push(connection);
    }
    let mut most = 0;
    for _ in 0..ROUNDS / ROUNDS_AT_ONCE {
        crowd.say(Beside::Quiet);
        std::thread::sleep(ROUND * ROUNDS_AT_ONCE);
        crowd.say(Beside::Attack);
        for _ in 0..ROUNDS_AT_ONCE {
            let began = Instant::now();
            most = most.max(send_round(server, &mut sender, "slow")?);
            std::thread::sleep(ROUND.saturating_sub(began.elapsed()));
        }
    }
    drop(slow);
    let each = most.saturating_sub(away) / SLOW as u64;
    let sent = ROUNDS as usize * MESSAGES * BODY_BYTES / 1_024;
    let what = format!("{SLOW} readers that stop, sent {sent} KiB each, take {each} KiB each");
    Ok(Finding::that(what, each <= HELD_KIB_MAX, || format!("{HELD_KIB_MAX} KiB at most")))
}

/// Sends messages to the accounts of that name; the KiB of heap that the server has then.
fn send_round(server: &Server, sender: &mut Connection, name: &str) -> Result<u64> {
    let body = "x".repeat(BODY_BYTES);
    for number in 0..SLOW * MESSAGES {
        let to = format!("{name}{}@{DOMAIN}", number % SLOW);
        let stanza = format!("<message to='{to}' type='chat'><body>{body}</body></message>");
        sender.send(stanza.as_bytes())?;
    }
    // Its errors, if there are any, are read; the sender is no slow reader itself.
    ping(sender)?;
    Ok(Metrics::scrape(server.listeners().http)?.sum("xmpp_heap_bytes") as u64 >> 10)
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
    enable(&mut away)?;
    away.send(b"<presence/>")?;
    let mut got = Vec::with_capacity(AWAY_MESSAGES);
    let mut handled = 0;
    let result = loop {
        if got.len() == AWAY_MESSAGES {
            break Ok(());
        }
        match away.receive() {
            Ok(Arrival::Element(element)) if element.name() == "r" => {
                away.send(format!("<a xmlns='urn:xmpp:sm:3' h='{handled}'/>").as_bytes())?;
            }
            Ok(Arrival::Element(element)) => {
                handled += 1;
                if element.name() == "message" {
                    got.push(element.attr("id").unwrap_or_default().to_owned());
                }
            }
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
