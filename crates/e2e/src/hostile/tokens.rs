//! The act of guessing (bad-inputs A13): what names a stream or resumes a session never repeats.

use std::collections::BTreeSet;

use super::stage::{enter, role};
use super::table::Phase;
use super::{Finding, Play, farewell};
use crate::connection::{Arrival, Connection};
use crate::error::Result;
use crate::login::unexpected;
use crate::server::Server;

/// Streams before and after the restart.
const STREAMS: usize = 150;

/// Letters of base64 in what names a stream: 96 bits, which nobody meets twice. It gives no right.
const STREAM_LETTERS_MIN: usize = 16;

/// In what resumes a session: 120 bits at least, which nobody guesses.
const SESSION_LETTERS_MIN: usize = 20;

/// Plays the act.
pub fn play(play: &Play<'_>) -> Result<Vec<Finding>> {
    let config = "limits.resources_per_account_max = 400\nlog.level = 'warn'";
    let mut server = super::open(play, config, &["guest".into()])?;
    let mut streams = BTreeSet::new();
    let mut sessions = BTreeSet::new();
    for run in 0..2 {
        for number in 0..STREAMS {
            let (stream, session) = identifiers(&server, run * STREAMS + number)?;
            streams.insert(stream);
            sessions.insert(session);
        }
        if run == 0 {
            // A clone of a virtual machine, or a fork, would begin from the same seed.
            server.kill()?;
            server.start()?;
        }
    }
    let mut findings = vec![
        check("stream", &streams, STREAM_LETTERS_MIN),
        check("resumption", &sessions, SESSION_LETTERS_MIN),
    ];
    findings.extend(farewell(server));
    Ok(findings)
}

fn check(what: &str, seen: &BTreeSet<String>, letters_min: usize) -> Finding {
    let shortest = seen.iter().map(String::len).min().unwrap_or_default();
    let holds = seen.len() == 2 * STREAMS && shortest >= letters_min;
    let what = format!("{} {what} identifiers, of which none repeats", 2 * STREAMS);
    Finding::that(what, holds, || format!("{} differ, the shortest has {shortest}", seen.len()))
}

/// Of a stream, and of the session on it (XEP-0198 §5).
fn identifiers(server: &Server, number: usize) -> Result<(String, String)> {
    let role = role("guest", &format!("g{number}"));
    let mut connection = enter(&role, server.listeners(), Phase::Connected)?;
    connection.send(
        b"<stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
          xmlns:stream='http://etherx.jabber.org/streams'>",
    )?;
    let stream = match connection.receive()? {
        Arrival::Header(header) => header.attr("id").unwrap_or_default().to_owned(),
        other => return Err(unexpected("a header", &other)),
    };
    let mut connection = enter(&role, server.listeners(), Phase::PostAuth)?;
    Ok((stream, enable(&mut connection)?))
}

/// Turns stream management on; returns what resumes the session.
pub fn enable(connection: &mut Connection) -> Result<String> {
    connection.send(b"<enable xmlns='urn:xmpp:sm:3' resume='true'/>")?;
    match connection.receive()? {
        Arrival::Element(enabled) if enabled.name() == "enabled" => {
            Ok(enabled.attr("id").unwrap_or_default().to_owned())
        }
        other => Err(unexpected("<enabled/>", &other)),
    }
}
