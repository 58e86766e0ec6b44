//! The act of storms (T15, bad-inputs A08): wrong passwords by the thousand, and everybody coming
//! back at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jackdaw_xml::Element;

use super::crowd::{self, Beside, Crowd};
use super::stage::{PASSWORD, enter, role};
use super::table::Phase;
use super::tabled::{stand_back, unharmed};
use super::tokens::enable;
use super::{Finding, Play, farewell, millis};
use crate::connection::{Arrival, Connection};
use crate::error::{Error, Result};
use crate::login::{SASL2, authenticate_by_sasl2, base64, shown, unexpected};
use crate::script::Role;
use crate::server::{Listeners, Server};

/// The healthy beside it.
const SESSIONS: usize = 200;

/// Clients that guess passwords at once.
const GUESSERS: usize = 24;

/// How long they guess.
const STORM: Duration = Duration::from_secs(4);

/// Logins by SCRAM that are timed, before and in the storm.
const TIMED: usize = 60;

/// A login of less than this is not slow, whatever it was before.
const PROMPT: Duration = Duration::from_millis(25);

/// Sessions that are lost at once, and clients that bring them back.
const LOST: usize = 240;
const RETURNING: usize = 12;

/// How long it may take until nine of ten are back: two cores do 240 key derivations in a second.
const BACK_WITHIN: Duration = Duration::from_secs(10);

/// Accounts of those who come back by token: one has tokens for 64 clients at most.
const TOKEN_ACCOUNTS: usize = 4;

/// Namespaces of Bind 2 (XEP-0386) and FAST (XEP-0484).
const BIND2: &str = "urn:xmpp:bind:0";
const FAST: &str = "urn:xmpp:fast:0";

/// How a token proves itself.
const BY_TOKEN: &str = "HT-SHA-256-NONE";

const CONFIG: &str = "
auth.mechanisms = ['SCRAM-SHA-256', 'PLAIN']
limits.connections_per_address_max = 20000
limits.resources_per_account_max = 2000
log.level = 'warn'
";

/// Plays the act.
pub fn play(play: &Play<'_>) -> Result<Vec<Finding>> {
    let mut accounts = crowd::accounts(SESSIONS);
    accounts.extend(["guessed".into(), "romeo".into()]);
    accounts.extend((0..TOKEN_ACCOUNTS).map(token_account));
    let server = super::open(play, CONFIG, &accounts)?;
    let crowd = Crowd::gather(SESSIONS, server.listeners())?;
    let mut findings = guess(&server, &crowd)?;
    for way in [Way::Scram, Way::Plain, Way::Fast, Way::Resume] {
        findings.push(come_back(&server, way)?);
    }
    findings.extend(unharmed(&crowd.dismiss()?));
    findings.extend(farewell(server));
    Ok(findings)
}

/// Wrong passwords by PLAIN, which cost a key derivation each, beside logins by SCRAM.
fn guess(server: &Server, crowd: &Crowd) -> Result<Vec<Finding>> {
    let at = server.listeners();
    crowd.say(Beside::Quiet);
    let before = time_logins(at)?;
    std::thread::sleep(STORM / 2);
    crowd.say(Beside::Attack);
    let (stop, refused, odd) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let during = std::thread::scope(|scope| {
        for _ in 0..GUESSERS {
            scope.spawn(|| {
                stand_back();
                while !stop.load(Ordering::Relaxed) {
                    match wrong_password(at) {
                        Ok(()) => refused.fetch_add(1, Ordering::Relaxed),
                        Err(_) => odd.fetch_add(1, Ordering::Relaxed),
                    };
                }
            });
        }
        let until = Instant::now() + STORM;
        let during = time_logins(at);
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        stop.store(true, Ordering::Relaxed);
        during
    })?;
    crowd.say(Beside::Quiet);
    let (refused, odd) = (refused.into_inner(), odd.into_inner());
    let what = format!("a login by SCRAM takes {}, {} in a storm", millis(before), millis(during));
    Ok(vec![
        Finding::that(format!("{refused} wrong passwords are refused"), odd == 0, || {
            format!("{odd} ended otherwise")
        }),
        Finding::that(what, during <= (before * 2).max(PROMPT), || {
            format!("twice as much or {} at most", millis(PROMPT))
        })
        .of_time(),
    ])
}

/// The median of logins by SCRAM.
fn time_logins(at: &Listeners) -> Result<Duration> {
    let mut times = Vec::with_capacity(TIMED);
    for number in 0..TIMED {
        let began = Instant::now();
        let mut connection = enter(&role("romeo", &format!("r{number}")), at, Phase::PostAuth)?;
        times.push(began.elapsed());
        connection.send(b"</stream:stream>")?;
    }
    times.sort_unstable();
    Ok(crowd::median(&times))
}

/// An attempt that must fail: for the password, or for the crowd at the pool of checks.
fn wrong_password(at: &Listeners) -> Result<()> {
    let mut connection = enter(&role("guessed", "x"), at, Phase::PreAuth)?;
    send_plain(&mut connection, "guessed", "wrong")?;
    match connection.receive()? {
        Arrival::Element(failure) if failure.name() == "failure" => {
            let condition = failure.children().next().map(|child| child.name().to_owned());
            match condition.as_deref() {
                Some("not-authorized" | "temporary-auth-failure") => Ok(()),
                _ => Err(Error::unexpected(format!("failed with {condition:?}"))),
            }
        }
        other => Err(unexpected("<failure/>", &other)),
    }
}

fn send_plain(connection: &mut Connection, user: &str, password: &str) -> Result<()> {
    let message = base64(&format!("\0{user}\0{password}"));
    let auth = "auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'";
    connection.send(format!("<{auth}>{message}</auth>").as_bytes())
}

/// How a client comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Scram,
    Plain,
    /// SASL2 by a token, with a resource (XEP-0484, XEP-0386), inside TLS.
    Fast,
    /// SCRAM, then XEP-0198 §5 instead of a bind.
    Resume,
}

/// Everybody loses the connection at once and comes back as fast as it goes.
fn come_back(server: &Server, way: Way) -> Result<Finding> {
    let at = server.listeners();
    let mut sessions = Vec::with_capacity(LOST);
    for number in 0..LOST {
        sessions.push(leave_one(at, way, number)?);
    }
    let ids: Vec<String> = sessions
        .into_iter()
        .map(|(connection, id)| {
            connection.drop_abruptly();
            id
        })
        .collect();
    let next = AtomicUsize::new(0);
    let began = Instant::now();
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        let returning: Vec<_> = (0..RETURNING)
            .map(|_| {
                scope.spawn(|| {
                    let mut times = Vec::new();
                    let mut kept = Vec::new();
                    while let number = next.fetch_add(1, Ordering::Relaxed)
                        && number < LOST
                    {
                        // Whoever fails is not back.
                        if let Ok(connection) = return_one(at, way, number, &ids[number]) {
                            times.push(began.elapsed());
                            kept.push(connection);
                        }
                    }
                    times
                })
            })
            .collect();
        returning.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    });
    times.sort_unstable();
    let most = times.get(LOST * 9 / 10).copied();
    let took = most.map_or("too long".to_owned(), millis);
    let what = format!("{LOST} come back by {way:?}, nine of ten of them in {took}");
    let holds = times.len() == LOST && most.is_some_and(|most| most <= BACK_WITHIN);
    Ok(Finding::that(what, holds, || format!("{} came back at all", times.len())))
}

/// A session that is about to be lost, and what brings it back.
fn leave_one(at: &Listeners, way: Way, number: usize) -> Result<(Connection, String)> {
    if way == Way::Fast {
        return ask_for_token(at, number);
    }
    let mut connection = enter(&role("romeo", &format!("b{number}")), at, Phase::PostAuth)?;
    let id = if way == Way::Resume { enable(&mut connection)? } else { String::new() };
    Ok((connection, id))
}

fn token_account(number: usize) -> String {
    format!("token{number}")
}

/// One of those who have a token, and what it says of itself (XEP-0388 §2.3).
fn token_client(number: usize) -> (Role, Element) {
    let role = role(&token_account(number % TOKEN_ACCOUNTS), "x");
    let id = format!("d4565fa7-4d72-4749-b3d3-{number:012}");
    (role, Element::new(SASL2, "user-agent").with_attr("id", id))
}

/// Logs in by SCRAM, and asks for a token.
fn ask_for_token(at: &Listeners, number: usize) -> Result<(Connection, String)> {
    let (role, agent) = token_client(number);
    let mut connection = enter(&role, at, Phase::Secured)?;
    let ask = Element::new(FAST, "request-token").with_attr("mechanism", BY_TOKEN);
    let inline = vec![agent, Element::new(BIND2, "bind"), ask];
    let success = authenticate_by_sasl2(&role, &mut connection, PASSWORD, inline)?;
    let token = success.child(FAST, "token").and_then(|token| token.attr("token"));
    let token = token.ok_or_else(|| Error::unexpected("no token"))?.to_owned();
    Ok((connection, token))
}

/// Logs in by the token.
fn use_token(at: &Listeners, number: usize, token: &str) -> Result<Connection> {
    let (mut role, agent) = token_client(number);
    role.mechanism = BY_TOKEN.to_owned();
    let mut connection = enter(&role, at, Phase::Secured)?;
    let inline = vec![agent, Element::new(BIND2, "bind"), Element::new(FAST, "fast")];
    let success = authenticate_by_sasl2(&role, &mut connection, token, inline)?;
    match success.child(BIND2, "bound") {
        Some(_) => Ok(connection),
        None => Err(Error::unexpected("nothing is bound")),
    }
}

fn return_one(at: &Listeners, way: Way, number: usize, id: &str) -> Result<Connection> {
    let own = role("romeo", &format!("b{number}"));
    match way {
        Way::Scram => enter(&own, at, Phase::PostAuth),
        Way::Fast => use_token(at, number, id),
        Way::Plain => {
            let mut plain = own;
            plain.mechanism = "PLAIN".to_owned();
            enter(&plain, at, Phase::PostAuth)
        }
        Way::Resume => {
            let mut connection = enter(&own, at, Phase::Authenticated)?;
            let resume = format!("<resume xmlns='urn:xmpp:sm:3' h='0' previd='{id}'/>");
            connection.send(resume.as_bytes())?;
            match connection.receive()? {
                Arrival::Element(resumed) if resumed.name() == "resumed" => Ok(connection),
                other => Err(Error::unexpected(shown(&other))),
            }
        }
    }
}
