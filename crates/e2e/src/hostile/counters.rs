//! The act of counters (T22): stream management whose numbers cannot be, and sessions that two
//! resume at once. Counters near 2^32 are seeded where they live, in `stream/src/c2s/sm_test.rs`.

use super::stage::{enter, role};
use super::table::{Expect, Phase};
use super::tokens::enable;
use super::{Finding, Play, farewell, judge};
use crate::connection::{Arrival, Connection};
use crate::error::{Error, Result};
use crate::login::shown;
use crate::script::Role;
use crate::server::Server;

/// Values of `h` that no client can mean, behind two deliveries.
const IMPOSSIBLE: &[&str] =
    &["3", "2147483647", "4294967296", "-1", "", " ", "1e9", "0x1", "NaN", "99999999999999999999"];

/// Sessions that two clients resume at once.
const RACES: usize = 60;

/// Plays the act.
pub fn play(play: &Play<'_>) -> Result<Vec<Finding>> {
    let config = "limits.resources_per_account_max = 1000\nlog.level = 'warn'";
    let server = super::open(play, config, &["romeo".into(), "juliet".into()])?;
    let mut findings = Vec::new();
    for h in IMPOSSIBLE {
        findings.push(check(format!("h='{h}' ends the stream"), impossible(&server, h)));
    }
    findings.push(check("an h that goes back says nothing", backwards(&server)));
    findings.push(check("a second <enable/> fails", enable_twice(&server)));
    findings.push(check("nobody resumes another account's session", resume_of_others(&server)));
    findings.push(check(format!("of two who resume at once one wins, {RACES} times"), {
        (0..RACES).try_for_each(|race| resume_at_once(&server, race))
    }));
    findings.extend(farewell(server));
    Ok(findings)
}

fn check(what: impl Into<String>, result: Result<()>) -> Finding {
    Finding::new(what, result.map_err(|error| error.to_string()))
}

/// Romeo with stream management, and what resumes his session.
fn managed(server: &Server, resource: &str) -> Result<(Connection, String)> {
    let mut connection = enter(&role("romeo", resource), server.listeners(), Phase::PostAuth)?;
    let id = enable(&mut connection)?;
    Ok((connection, id))
}

fn impossible(server: &Server, h: &str) -> Result<()> {
    let (mut romeo, _) = managed(server, "counts")?;
    for _ in 0..2 {
        romeo.send(b"<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>")?;
        loop {
            match romeo.receive()? {
                Arrival::Element(element) if element.name() == "iq" => break,
                Arrival::Element(_) => {}
                other => return Err(Error::unexpected(shown(&other))),
            }
        }
    }
    romeo.send(format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>").as_bytes())?;
    // Too high is undefined-condition (XEP-0198 §4), what is no number bad-format.
    let expected = if h.parse::<u32>().is_ok() { "undefined-condition" } else { "bad-format" };
    loop {
        match romeo.receive()? {
            Arrival::Element(element) if element.name() == "error" => {
                let is_it = element.children().any(|child| child.name() == expected);
                let xml = element.to_xml(jackdaw_xml::ns::CLIENT);
                return if is_it { Ok(()) } else { Err(Error::unexpected(xml)) };
            }
            Arrival::Element(_) => {}
            other => return Err(Error::unexpected(shown(&other))),
        }
    }
}

/// One below nothing: what was acknowledged long ago, if counters have wrapped.
fn backwards(server: &Server) -> Result<()> {
    let (mut romeo, _) = managed(server, "back")?;
    romeo.send(b"<a xmlns='urn:xmpp:sm:3' h='4294967295'/>")?;
    judge::judge(&mut romeo, &Expect::Accepted)
}

fn enable_twice(server: &Server) -> Result<()> {
    let (mut romeo, _) = managed(server, "twice")?;
    romeo.send(b"<enable xmlns='urn:xmpp:sm:3' resume='true'/>")?;
    judge::judge(&mut romeo, &Expect::Answered("unexpected-request".into()))
}

fn resume_of_others(server: &Server) -> Result<()> {
    let (mut romeo, id) = managed(server, "mine")?;
    let (won, answer) = resume(&mut authenticated(server, &role("juliet", "x"))?, &id)?;
    if won || !answer.contains("item-not-found") {
        return Err(Error::unexpected(answer));
    }
    judge::judge(&mut romeo, &Expect::Accepted)
}

/// Two streams, on workers of their own if chance wants it, ask for one session.
fn resume_at_once(server: &Server, race: usize) -> Result<()> {
    let own = role("romeo", &format!("race{race}"));
    let (romeo, id) = managed(server, &format!("race{race}"))?;
    if race.is_multiple_of(2) {
        romeo.drop_abruptly();
    }
    let mut rivals = [authenticated(server, &own)?, authenticated(server, &own)?];
    let answers = std::thread::scope(|scope| {
        let threads = rivals.each_mut().map(|rival| scope.spawn(|| resume(rival, &id)));
        threads.map(|thread| thread.join().unwrap_or(Err(Error::Closed)))
    });
    let mut alive = 0;
    let mut told = String::new();
    for (answer, rival) in answers.into_iter().zip(&mut rivals) {
        // Who resumed first may have lost the session to who resumed next: then its stream ended.
        let (won, answer) = answer?;
        told.push_str(&answer);
        alive += usize::from(won && judge::judge(rival, &Expect::Accepted).is_ok());
    }
    match alive {
        1 => Ok(()),
        count => Err(Error::unexpected(format!("{count} hold the session: {told}"))),
    }
}

fn authenticated(server: &Server, role: &Role) -> Result<Connection> {
    enter(role, server.listeners(), Phase::Authenticated)
}

/// Whether it worked, and what the server said.
fn resume(connection: &mut Connection, id: &str) -> Result<(bool, String)> {
    let resume = format!("<resume xmlns='urn:xmpp:sm:3' h='0' previd='{id}'/>");
    connection.send(resume.as_bytes())?;
    match connection.receive()? {
        Arrival::Element(element) => {
            Ok((element.name() == "resumed", element.to_xml(jackdaw_xml::ns::CLIENT)))
        }
        other => Err(Error::unexpected(shown(&other))),
    }
}
