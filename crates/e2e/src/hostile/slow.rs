//! The act of dawdling (T14): clients that send a byte now and then, at every phase, hold nothing
//! for longer than the phase may last.

use std::time::{Duration, Instant};

use super::crowd::{self, Beside, Crowd};
use super::metrics::Metrics;
use super::stage::{enter, role};
use super::table::Phase;
use super::tabled::unharmed;
use super::{Finding, Play, farewell};
use crate::connection::Connection;
use crate::error::Result;
use crate::server::Server;

/// The healthy beside it.
const SESSIONS: usize = 200;

/// Each phase, and what a client sends there byte by byte and never ends.
const PHASES: &[(Phase, &str)] = &[
    (Phase::Connected, "<stream:stream "),
    (Phase::PreTls, "<starttls "),
    (Phase::PreHandshake, "\x16\x03\x01\x02\x00\x01\x00\x01\u{1}\x03\x03"),
    (Phase::PreAuth, "<auth "),
    (Phase::InSasl, "<response "),
    (Phase::Authenticated, "<iq "),
];

/// Clients of each phase.
const EACH: usize = 250;

/// A bound client may be slow for as long as it likes: half a stanza costs its bytes.
const HALF_A_STANZA: &str = "<message to='nobody@localhost'><body>half";

/// What every phase may last, and how much later the server may notice.
const DEADLINE_SECS: u64 = 3;
const NOTICED_WITHIN: Duration = Duration::from_secs(4);

/// Between the bytes of one client.
const PACE: Duration = Duration::from_millis(250);

/// Plays the act.
pub fn play(play: &Play<'_>) -> Result<Vec<Finding>> {
    let config = format!(
        "limits.connections_per_address_max = 20000\n\
         limits.resources_per_account_max = 2000\nlog.level = 'warn'\n\
         deadlines.stream_header_timeout_secs = {DEADLINE_SECS}\n\
         deadlines.tls_handshake_timeout_secs = {DEADLINE_SECS}\n\
         deadlines.auth_timeout_secs = {DEADLINE_SECS}\n\
         deadlines.bind_timeout_secs = {DEADLINE_SECS}\n\
         deadlines.close_timeout_secs = 1\n"
    );
    let mut accounts = crowd::accounts(SESSIONS);
    accounts.push("slow".into());
    let server = super::open(play, &config, &accounts)?;
    let crowd = Crowd::gather(SESSIONS, server.listeners())?;
    crowd.say(Beside::Quiet);
    std::thread::sleep(Duration::from_secs(2));
    crowd.say(Beside::Attack);
    let mut bound = Vec::with_capacity(EACH);
    for number in 0..EACH {
        let role = role("slow", &format!("half{number}"));
        let mut connection = enter(&role, server.listeners(), Phase::PostAuth)?;
        connection.send(HALF_A_STANZA.as_bytes())?;
        bound.push(connection);
    }
    let mut findings = vec![dawdle(&server)?, go_on(bound)];
    findings.extend(unharmed(&crowd.dismiss()?));
    findings.extend(farewell(server));
    Ok(findings)
}

/// Comes in at every phase and sends a byte at a time, for longer than the server allows.
fn dawdle(server: &Server) -> Result<Finding> {
    let connections =
        || Metrics::scrape(server.listeners().http).map(|m| m.sum("xmpp_connections"));
    let before = connections()?;
    let mut slow: Vec<(Connection, &str)> = Vec::with_capacity(EACH * PHASES.len());
    for number in 0..EACH {
        for (phase, text) in PHASES {
            let role = role("slow", &format!("s{number}"));
            // Who comes late finds that the deadline of the first ones has passed; that is fine.
            slow.push((enter(&role, server.listeners(), *phase)?, text));
        }
    }
    let began = Instant::now();
    let limit = Duration::from_secs(DEADLINE_SECS) + NOTICED_WITHIN;
    let mut sent = 0;
    while connections()? > before && began.elapsed() < limit {
        for (connection, text) in &mut slow {
            let byte = text.as_bytes().get(sent).copied().unwrap_or(b' ');
            // Whoever is cut off is done.
            let _ = connection.send(&[byte]);
        }
        sent += 1;
        std::thread::sleep(PACE);
    }
    let left = connections()? - before;
    let what = format!("{} who dawdle at {} phases are cut off", slow.len(), PHASES.len());
    Ok(Finding::that(what, left <= 0.0, || format!("{left} are left after {limit:?}")))
}

/// Who is bound was not cut off, and can end the stanza.
fn go_on(bound: Vec<Connection>) -> Finding {
    let count = bound.len();
    let mut cut_off = 0;
    for mut connection in bound {
        let rest = "</body></message><iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>";
        let answered = connection.send(rest.as_bytes()).and_then(|()| connection.receive());
        cut_off += usize::from(answered.is_err());
    }
    let what = format!("{count} who dawdle with a stanza end it after all");
    Finding::that(what, cut_off == 0, || format!("{cut_off} were cut off"))
}
