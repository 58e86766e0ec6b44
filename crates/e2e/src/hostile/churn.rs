//! The act of coming and going (bad-inputs X06): connections that end at every phase leave nothing.

use std::time::{Duration, Instant};

use super::gauge::Gauge;
use super::metrics::Metrics;
use super::stage::{enter, role};
use super::table::Phase;
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
log.level = 'warn'
";

/// Plays the act.
pub fn play(play: &Play<'_>) -> Result<Vec<Finding>> {
    let server = super::open(play, CONFIG, &["guest".into()])?;
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
    findings.push(Finding::new("sockets and sessions return to none", Ok(())));
    findings.extend(farewell(server));
    Ok(findings)
}

fn come_and_go(phase: Phase, at: &Listeners) -> Result<()> {
    for number in 0..ROUND {
        // Some resources come again while their last session is ending.
        enter(&role("guest", &format!("g{}", number % 16)), at, phase)
            .map(Connection::drop_abruptly)?;
    }
    Ok(())
}

/// Waits until the server knows of no connection and no session.
fn all_gone(server: &Server) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let metrics = Metrics::scrape(server.listeners().http)?;
        let left = metrics.sum("xmpp_connections") + metrics.sum("xmpp_sessions");
        if left == 0.0 {
            return Ok(());
        }
        if Instant::now() > deadline {
            let why = format!("{left} connections and sessions are left");
            return Err(crate::error::Error::unexpected(why));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
