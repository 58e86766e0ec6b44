//! The act of coming and going (bad-inputs X06): connections that end at every phase leave nothing.

use std::time::{Duration, Instant};

use super::gauge::Gauge;
use super::metrics::Metrics;
use super::stage::{enter, role};
use super::table::Phase;
use super::tokens::enable;
use super::{Finding, Play, farewell};
use crate::connection::Connection;
use crate::error::Result;
use crate::server::{Listeners, Server};

/// How far each connection gets before it is gone without a word.
const PHASES: &[Phase] = &[
    Phase::Connected,
    Phase::PreTls,
    Phase::PreHandshake,
    Phase::PreAuth,
    Phase::Secured,
    Phase::InSasl,
    Phase::Authenticated,
    Phase::PostAuth,
];

/// Connections of each phase in a round.
const ROUND: usize = 150;

/// Rounds until the server has all it needs, and rounds in which it must need no more.
const WARM_UP: usize = 2;
const MEASURED: usize = 3;

/// Of what is resident after the warm-up, so much more may be after the rest.
const GROWTH_PERCENT: u64 = 5;

/// How long the server may take to notice who has gone.
const PATIENCE: Duration = Duration::from_secs(20);

const CONFIG: &str = "
limits.connections_per_address_max = 20000
stream_management.resume_timeout_secs = 1
log.level = 'warn'
";

/// Plays the act.
pub fn play(play: &Play<'_>) -> Result<Vec<Finding>> {
    let server = super::open(play, CONFIG, &["guest".into(), "away".into()])?;
    let gauge = Gauge::new(server.pid()?);
    let mut before = 0;
    for round in 0..WARM_UP + MEASURED {
        if round == WARM_UP {
            before = gauge.resident_kib()?;
        }
        for &phase in PHASES {
            come_and_go(phase, server.listeners())?;
        }
        all_gone(&server)?;
    }
    let after = gauge.resident_kib()?;
    let connections = MEASURED * ROUND * PHASES.len();
    let what = format!("{connections} short connections take {before} KiB to {after} KiB");
    let holds = after <= before + before * GROWTH_PERCENT / 100;
    let mut findings = vec![Finding::that(what, holds, || format!("{GROWTH_PERCENT} % at most"))];
    findings.push(Finding::new("sessions, and all they held, return to none", Ok(())));
    findings.extend(farewell(server));
    Ok(findings)
}

fn come_and_go(phase: Phase, at: &Listeners) -> Result<()> {
    for number in 0..ROUND {
        // Some resources come again while their last session is ending.
        let mut connection = enter(&role("guest", &format!("g{}", number % 16)), at, phase)?;
        if phase == Phase::PostAuth {
            leave_work(&mut connection)?;
        }
        connection.drop_abruptly();
    }
    Ok(())
}

/// What is under way when the connection ends: presence, a message to somebody who is away, and one
/// to oneself that nobody acknowledges.
fn leave_work(connection: &mut Connection) -> Result<()> {
    enable(connection)?;
    connection.send(
        b"<presence/><message to='away@localhost'><body>a</body></message>\
          <message><body>b</body><no-store xmlns='urn:xmpp:hints'/></message>",
    )
}

/// Waits until the server knows of no connection, no session, and nothing that one held: slots,
/// timers, sockets, deliveries, messages on their way to the spool.
fn all_gone(server: &Server) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let metrics = Metrics::scrape(server.listeners().http)?;
        let left: Vec<&str> = ["xmpp_connections ", "xmpp_sessions", "xmpp_in_use"]
            .iter()
            .flat_map(|name| metrics.not_zero(name))
            .collect();
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            let why = format!("what is left: {}", left.join(", "));
            return Err(crate::error::Error::unexpected(why));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
