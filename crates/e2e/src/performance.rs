//! Performs a script, step by step.

use std::sync::Arc;

use jackdaw_test_postgres::Postgres;
use jackdaw_xml::{Element, Limits, Scope};

use crate::actor::{Actor, SM};
use crate::connection::Arrival;
use crate::error::{Error, Result};
use crate::identity::Authority;
use crate::login::shown;
use crate::pattern::{compare, without_layout};
use crate::script::{Act, Fate, Order, Role, Script, Step};
use crate::server::{Launch, Server};
use crate::splitter::{Piece, split_off};
use crate::template::{Captures, fill};

/// How often everybody pings before nothing may be on its way any more. A stanza goes from its
/// sender's worker over the owner to the receiver's: each ping outlasts one of these hand-overs.
const PINGS_FOR_SILENCE: usize = 3;

/// How often is asked again what the server has accepted, which waits a second before it answers
/// with less than all. Far more than a slow disk needs; only failures ask so often.
const ASKS_MAX: usize = 30;

/// What `/readyz` answers with: 200, and 503 (Service Unavailable).
const READY: u16 = 200;
const NOT_READY: u16 = 503;

/// Where a script failed, and how.
#[derive(Debug)]
pub struct Failure {
    /// The line of the step; 0 if it was not a step.
    pub line: usize,
    /// What went wrong.
    pub error: Error,
    /// The end of the server's log.
    pub log: String,
}

/// Performs `script` on a server of its own.
pub fn perform(script: &Script, launch: &Launch) -> std::result::Result<(), Failure> {
    let outside = |error, log| Failure { line: 0, error, log };
    let database = script.has_database.then(|| Arc::new(Postgres::start()));
    let mut launch = launch.clone();
    if database.is_some() {
        launch.postgres.clone_from(&database);
    }
    let mut server =
        Server::prepare(&launch, &script.server).map_err(|error| outside(error, String::new()))?;
    let cast = script.cast.iter().filter(|role| role.has_account);
    let mut accounts: Vec<(&str, &str)> =
        cast.map(|role| (role.bare(), role.password.as_str())).collect();
    accounts.extend(script.accounts.iter().map(|account| (account.as_str(), "nobody-speaks")));
    accounts.sort_unstable();
    accounts.dedup();
    let cast = identified(&script.cast, &server).map_err(|error| outside(error, String::new()))?;
    let started = server.add_users(&accounts).and_then(|()| server.start());
    started.map_err(|error| outside(error, server.log()))?;

    let mut performance = Performance {
        actors: cast.into_iter().map(Actor::new).collect(),
        captures: Captures::new(),
        server,
        database,
    };
    for step in &script.steps {
        performance.step(step).map_err(|error| Failure {
            line: step.line,
            error,
            log: performance.server.log(),
        })?;
    }
    drop(performance.actors);
    let stopped = performance.server.stop();
    stopped.map_err(|error| outside(error, performance.server.log()))
}

/// The cast, with its certificates issued.
fn identified(cast: &[Role], server: &Server) -> Result<Vec<Role>> {
    let mut cast = cast.to_vec();
    if cast.iter().all(|role| role.certificate.is_none()) {
        return Ok(cast);
    }
    let authority = Authority::establish(server.folder())?;
    for role in &mut cast {
        role.identity = role.certificate.as_deref().map(|jid| authority.issue(jid)).transpose()?;
    }
    Ok(cast)
}

struct Performance {
    actors: Vec<Actor>,
    captures: Captures,
    server: Server,
    /// That of this server alone, if it has one.
    database: Option<Arc<Postgres>>,
}

impl Performance {
    fn step(&mut self, step: &Step) -> Result<()> {
        self.name_counters();
        match &step.act {
            Act::Connects(who, stage) => {
                self.actors[*who].connect(self.server.listeners(), *stage)?;
                self.name(*who);
                Ok(())
            }
            Act::StartsTls(who, text) => {
                let early = self.filled(text, step.line)?;
                self.actors[*who].start_tls(early.as_bytes())
            }
            Act::SeesCertificate(who, domain) => {
                match self.actors[*who].certificate_names(domain) {
                    true => Ok(()),
                    false => Err(Error::unexpected(format!("no certificate for {domain}"))),
                }
            }
            Act::Authenticates(who) => self.actors[*who].authenticate(),
            Act::AuthenticatesBySasl2(who, text) => {
                let inline = match text.as_str() {
                    "" => Vec::new(),
                    text => elements(&self.filled(text, step.line)?, step.line)?,
                };
                // A token is not known before the server has handed it out.
                let password = self.filled(&self.actors[*who].role.password, step.line)?;
                self.actors[*who].authenticate_by_sasl2(&password, inline)?;
                self.name(*who);
                Ok(())
            }
            Act::Sends(who, text) => self.sends(*who, text, step.line),
            Act::SendsRaw(who, text) => {
                let text = self.filled(text, step.line)?;
                self.actors[*who].write(text.as_bytes())
            }
            Act::Receives(who, text, order) => {
                let expected = elements(text, step.line)?;
                self.receives(*who, expected, *order)
            }
            Act::ReceivesHeader(who, text) => self.receives_header(*who, text, step.line),
            Act::ReceivesNothing(who) => self.receives_nothing(*who),
            Act::ReceivesEnd(who) => self.receives_end(*who),
            Act::IsDisconnected(who) => self.is_disconnected(*who),
            Act::Disconnects(who) => self.actors[*who].disconnect(),
            Act::Drops(who) => {
                self.actors[*who].drop_connection();
                Ok(())
            }
            Act::Resumes(who) => self.actors[*who].resume(self.server.listeners()),
            // What it says to those who are connected can still be received.
            Act::ServerRestarts => {
                self.server.stop()?;
                self.server.start()
            }
            Act::ServerIsKilled => {
                self.actors.iter_mut().for_each(Actor::forget);
                self.server.kill()?;
                self.server.start()
            }
            Act::ServerSays(text) => {
                let status = if text == "ready" { READY } else { NOT_READY };
                self.server.wait_for_readiness(status, text)
            }
            Act::Database(fate) => self.database(*fate, step.line),
        }
    }

    fn database(&self, fate: Fate, line: usize) -> Result<()> {
        let why = "a script with [Database] has one".to_owned();
        let database = self.database.as_ref().ok_or(Error::Script { line, why })?;
        match fate {
            Fate::Paused => database.pause(),
            Fate::Resumed => database.resume(),
            Fate::Killed => database.stop(),
            Fate::Started => database.restart(),
        }
        Ok(())
    }

    /// `{Romeo}`, `{Romeo.full}` and `{Romeo.resource}`.
    fn name(&mut self, who: usize) {
        let actor = &self.actors[who];
        let name = &actor.role.name;
        self.captures.insert(name.clone(), actor.role.bare().to_owned());
        if let Some(jid) = &actor.jid {
            let resource = jid.split_once('/').map_or("", |(_, resource)| resource);
            self.captures.insert(format!("{name}.resource"), resource.to_owned());
            self.captures.insert(format!("{name}.full"), jid.clone());
        }
    }

    /// `{Romeo.sent}` and `{Romeo.received}`, as stream management counts (XEP-0198 §4).
    fn name_counters(&mut self) {
        for actor in &self.actors {
            if let Some((sent, received)) = actor.counters() {
                let name = &actor.role.name;
                self.captures.insert(format!("{name}.sent"), sent.to_string());
                self.captures.insert(format!("{name}.received"), received.to_string());
            }
        }
    }

    fn filled(&self, text: &str, line: usize) -> Result<String> {
        fill(text, &self.captures)
            .map_err(|name| Error::Script { line, why: format!("{{{name}}} has met nothing yet") })
    }

    fn sends(&mut self, who: usize, text: &str, line: usize) -> Result<()> {
        let text = self.filled(text, line)?;
        elements(&text, line)?.iter().try_for_each(|element| self.actors[who].send(element))
    }

    fn receives(&mut self, who: usize, mut expected: Vec<Element>, order: Order) -> Result<()> {
        let mut asks_left = ASKS_MAX;
        while !expected.is_empty() {
            let wanted = expected.iter().any(|element| element.ns() == SM);
            let candidates = match order {
                Order::Written => 1,
                Order::Any => expected.len(),
            };
            let waited_for = |why: String, expected: &[Element]| {
                let list: Vec<String> = expected[..candidates].iter().map(readable).collect();
                Error::unexpected(format!("{why}\nexpected: {}", list.join("\n      or: ")))
            };
            let arrival = self.actors[who]
                .next(wanted)
                .map_err(|error| waited_for(error.to_string(), &expected))?;
            let Arrival::Element(actual) = &arrival else {
                return Err(waited_for(format!("got {}", shown(&arrival)), &expected));
            };
            let mut why = String::new();
            let found = expected[..candidates].iter().position(|pattern| {
                let result = compare(pattern, actual, &mut self.captures);
                result.map_err(|reason| why = reason).is_ok()
            });
            match found {
                Some(at) => drop(expected.remove(at)),
                None if asks_left > 0 && expected.iter().any(|a| is_behind(actual, a)) => {
                    asks_left -= 1;
                    self.actors[who].send(&Element::new(SM, "r"))?;
                }
                None => {
                    return Err(waited_for(
                        format!("{why}\n     got: {}", readable(actual)),
                        &expected,
                    ));
                }
            }
        }
        Ok(())
    }

    fn receives_header(&mut self, who: usize, text: &str, line: usize) -> Result<()> {
        let closed = text.trim_end().strip_suffix('>').unwrap_or(text);
        let pattern = element(format!("{closed}/>").trim().as_bytes(), line)?;
        match &self.actors[who].next(false)? {
            Arrival::Header(header) => compare(&pattern, header, &mut self.captures)
                .map_err(|why| Error::unexpected(format!("{why}\n     got: {}", readable(header)))),
            other => Err(Error::unexpected(format!("got {}", shown(other)))),
        }
    }

    fn receives_nothing(&mut self, who: usize) -> Result<()> {
        for _ in 0..PINGS_FOR_SILENCE {
            for actor in &mut self.actors {
                actor.ping()?;
            }
        }
        if !self.actors[who].ping()? {
            return Err(Error::unexpected("only somebody with a session can prove the silence"));
        }
        match self.actors[who].unread() {
            Some(arrival) => Err(Error::unexpected(format!("got {}", shown(arrival)))),
            None => Ok(()),
        }
    }

    fn receives_end(&mut self, who: usize) -> Result<()> {
        match self.actors[who].next(false)? {
            Arrival::StreamEnd => {}
            other => return Err(Error::unexpected(format!("got {}", shown(&other)))),
        }
        // RFC 6120 §4.4: who is closed upon closes as well. The server may be gone already.
        let _ = self.actors[who].write(b"</stream:stream>");
        self.is_disconnected(who)
    }

    fn is_disconnected(&mut self, who: usize) -> Result<()> {
        loop {
            match self.actors[who].next(false)? {
                Arrival::Eof => break,
                Arrival::StreamEnd => {}
                other => return Err(Error::unexpected(format!("got {}", shown(&other)))),
            }
        }
        self.actors[who].forget();
        Ok(())
    }
}

/// Whether `actual` acknowledges less than `expected` (XEP-0198 §4). The server answers `<r/>`
/// after a while with what is on disk by then; that the rest takes longer than this is no fault.
fn is_behind(actual: &Element, expected: &Element) -> bool {
    let h = |a: &Element| a.attr("h").and_then(|h| h.parse::<u32>().ok());
    let are_both = actual.is(SM, "a") && expected.is(SM, "a");
    are_both && matches!((h(actual), h(expected)), (Some(so_far), Some(all)) if so_far < all)
}

/// Reads the elements of a block, one after the other as on a stream.
fn elements(text: &str, line: usize) -> Result<Vec<Element>> {
    let mut bytes = text.as_bytes().to_vec();
    let mut elements = Vec::new();
    while let Some(piece) = split_off(&mut bytes) {
        match piece {
            Piece::Element(bytes) => elements.push(element(&bytes, line)?),
            Piece::Header(_) | Piece::End => return Err(no_element(line)),
        }
    }
    match elements.is_empty() || !bytes.is_empty() {
        true => Err(no_element(line)),
        false => Ok(elements),
    }
}

fn element(bytes: &[u8], line: usize) -> Result<Element> {
    Element::parse(bytes, &Scope::client(), &Limits::after_auth())
        .map(|element| without_layout(&element))
        .map_err(|error| Error::Script { line, why: format!("{error} in the block below") })
}

fn no_element(line: usize) -> Error {
    Error::Script { line, why: "whole elements belong below, indented".into() }
}

fn readable(element: &Element) -> String {
    element.to_xml(jackdaw_xml::ns::CLIENT)
}
