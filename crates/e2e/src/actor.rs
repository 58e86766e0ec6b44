//! An actor: a role with its connection, its inbox and its stream-management counters.

use std::collections::VecDeque;

use jackdaw_xml::Element;

use crate::connection::{Arrival, Connection};
use crate::error::{Error, Result};
use crate::login;
use crate::script::{Role, Stage};
use crate::server::Listeners;

/// Stream management's namespace (XEP-0198).
pub const SM: &str = "urn:xmpp:sm:3";
const BIND2: &str = "urn:xmpp:bind:0";
const PING: &str = "urn:xmpp:ping";

/// Somebody of the cast.
pub struct Actor {
    /// Who it is.
    pub role: Role,
    /// The address that was bound.
    pub jid: Option<String>,
    connection: Option<Connection>,
    /// What arrived while something else was waited for.
    inbox: VecDeque<Arrival>,
    sm: Option<Counters>,
    pings: u32,
}

/// XEP-0198 §4, from the actor's side.
#[derive(Debug, Default)]
struct Counters {
    id: String,
    received: u32,
    sent: u32,
    /// What the server has not acknowledged, oldest first.
    unacked: VecDeque<String>,
}

impl Actor {
    /// Somebody not yet connected.
    pub fn new(role: Role) -> Actor {
        Actor { role, jid: None, connection: None, inbox: VecDeque::new(), sm: None, pings: 0 }
    }

    /// Stanzas sent and received since stream management is on.
    pub fn counters(&self) -> Option<(u32, u32)> {
        self.sm.as_ref().map(|counters| (counters.sent, counters.received))
    }

    /// Connects as far as `stage`; a bound session switches stream management on if its role has
    /// it.
    pub fn connect(&mut self, at: &Listeners, stage: Stage) -> Result<()> {
        self.inbox.clear();
        self.sm = None;
        let (connection, jid) = login::connect(&self.role, at, stage)?;
        self.connection = Some(connection);
        self.jid = jid;
        match self.role.sm {
            Some(sm) if stage == Stage::Bind => self.enable(sm.resume),
            _ => Ok(()),
        }
    }

    fn enable(&mut self, resume: bool) -> Result<()> {
        let resume = resume.then_some("true");
        self.send(&Element::new(SM, "enable").with_optional_attr("resume", resume))?;
        let enabled = self.next(true)?;
        match &enabled {
            Arrival::Element(element) if element.is(SM, "enabled") => Ok(()),
            other => Err(login::unexpected("<enabled/>", other)),
        }
    }

    /// Comes back on a new connection (XEP-0198 §5) and sends again what the server has not got.
    pub fn resume(&mut self, at: &Listeners) -> Result<()> {
        let (connection, _) = login::connect(&self.role, at, Stage::Auth)?;
        self.connection = Some(connection);
        self.inbox.clear();
        let counters = self.counting()?;
        let resume = Element::new(SM, "resume")
            .with_attr("h", counters.received.to_string())
            .with_attr("previd", counters.id.clone());
        self.send(&resume)?;
        let resumed = self.next(true)?;
        let h = match &resumed {
            Arrival::Element(element) if element.is(SM, "resumed") => element.attr("h"),
            other => return Err(login::unexpected("<resumed/>", other)),
        };
        self.acknowledged(h)?;
        let again: Vec<String> = self.counting()?.unacked.iter().cloned().collect();
        again.iter().try_for_each(|stanza| self.write(stanza.as_bytes()))
    }

    /// The server has had `h` of ours.
    fn acknowledged(&mut self, h: Option<&str>) -> Result<()> {
        let Some(counters) = &mut self.sm else { return Ok(()) };
        let h: u32 = h
            .and_then(|h| h.parse().ok())
            .ok_or_else(|| Error::unexpected(format!("h is {h:?}, no number")))?;
        let outstanding = counters.sent.wrapping_sub(h) as usize;
        if outstanding > counters.unacked.len() {
            let sent = counters.sent;
            return Err(Error::unexpected(format!("h='{h}', but {sent} stanzas were sent")));
        }
        while counters.unacked.len() > outstanding {
            counters.unacked.pop_front();
        }
        Ok(())
    }

    fn counting(&mut self) -> Result<&mut Counters> {
        let name = &self.role.name;
        let off = || Error::unexpected(format!("{name} has no stream management"));
        self.sm.as_mut().ok_or_else(off)
    }

    /// Handshakes after `<proceed/>`; `early` leaves together with the end of the handshake.
    pub fn start_tls(&mut self, early: &[u8]) -> Result<()> {
        let connection = self.connection.as_mut().ok_or(Error::Closed)?;
        login::start_tls(&self.role, connection, early)
    }

    /// Whether the server showed a certificate for `domain`.
    pub fn certificate_names(&self, domain: &str) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.certificate_names(domain))
    }

    /// SASL on a stream whose features have come.
    pub fn authenticate(&mut self) -> Result<()> {
        let connection = self.connection.as_mut().ok_or(Error::Closed)?;
        login::authenticate(&self.role, connection)
    }

    /// SASL2 (XEP-0388), with `inline` asked for along with it. What the server grants, the
    /// `<success/>`, is the next thing that is received.
    pub fn authenticate_by_sasl2(&mut self, password: &str, inline: Vec<Element>) -> Result<()> {
        let connection = self.connection.as_mut().ok_or(Error::Closed)?;
        let resumes = inline.iter().any(|element| element.is(SM, "resume"));
        let success = login::authenticate_by_sasl2(&self.role, connection, password, inline)?;
        let bound = success.child(BIND2, "bound");
        if bound.is_some_and(|bound| bound.child(SM, "enabled").is_some()) && !resumes {
            self.sm = Some(Counters::default());
        }
        self.keep_house(&success)?;
        self.inbox.push_back(Arrival::Element(success));
        Ok(())
    }

    /// Sends an element, and counts it if it is a stanza.
    pub fn send(&mut self, element: &Element) -> Result<()> {
        let text = element.to_xml(jackdaw_xml::ns::CLIENT);
        if let Some(counters) = &mut self.sm
            && is_stanza(element)
        {
            counters.sent = counters.sent.wrapping_add(1);
            counters.unacked.push_back(text.clone());
        }
        if element.is(SM, "enable") {
            self.sm = Some(Counters::default());
        }
        self.write(text.as_bytes())
    }

    /// Sends bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.connection.as_mut().ok_or(Error::Closed)?.send(bytes)
    }

    /// What comes next. Requests and answers of stream management are seen to on the way, unless
    /// they are `wanted`.
    pub fn next(&mut self, wanted: bool) -> Result<Arrival> {
        loop {
            let arrival = match self.inbox.pop_front() {
                Some(arrival) => arrival,
                None => self.read()?,
            };
            match &arrival {
                Arrival::Element(element) if !wanted && is_housekeeping(element) => {}
                _ => return Ok(arrival),
            }
        }
    }

    /// Reads from the connection, counts, and answers what stream management asks.
    fn read(&mut self) -> Result<Arrival> {
        let arrival = self.connection.as_mut().ok_or(Error::Closed)?.receive()?;
        if let Arrival::Element(element) = &arrival {
            self.keep_house(element)?;
        }
        Ok(arrival)
    }

    fn keep_house(&mut self, element: &Element) -> Result<()> {
        if let Some(jid) = bound_jid(element) {
            self.jid = Some(jid);
        }
        let Some(counters) = &mut self.sm else { return Ok(()) };
        if is_stanza(element) {
            counters.received = counters.received.wrapping_add(1);
        }
        let received = counters.received;
        if element.is(SM, "enabled") {
            counters.id = element.attr("id").unwrap_or_default().to_owned();
        }
        if element.is(SM, "a") {
            return self.acknowledged(element.attr("h"));
        }
        let answers = self.role.sm.is_some_and(|sm| sm.answers);
        match element.is(SM, "r") && answers {
            true => self.send(&Element::new(SM, "a").with_attr("h", received.to_string())),
            false => Ok(()),
        }
    }

    /// Pings the server and waits for the answer; all else that arrives stays in the inbox.
    ///
    /// The server handles a stream's stanzas in order (RFC 6120 §10.1), so whatever was sent before
    /// has been handled when this returns. `false` if there is no session to ping from.
    pub fn ping(&mut self) -> Result<bool> {
        if self.jid.is_none() || self.connection.is_none() {
            return Ok(false);
        }
        self.pings += 1;
        let id = format!("e2e-ping-{}", self.pings);
        let iq = Element::new(jackdaw_xml::ns::CLIENT, "iq")
            .with_attr("type", "get")
            .with_attr("id", &id)
            .with_attr("to", self.role.domain())
            .with_child(Element::new(PING, "ping"));
        self.send(&iq)?;
        loop {
            match self.read()? {
                Arrival::Element(element) if element.attr("id") == Some(&id) => return Ok(true),
                Arrival::Eof => return Err(Error::Closed),
                other => self.inbox.push_back(other),
            }
        }
    }

    /// What lies in the inbox unexpectedly.
    pub fn unread(&self) -> Option<&Arrival> {
        self.inbox.iter().find(|arrival| match arrival {
            Arrival::Element(element) => !is_housekeeping(element),
            _ => true,
        })
    }

    /// Stanzas sent that the server has not acknowledged.
    pub fn unacknowledged(&self) -> u32 {
        self.sm.as_ref().map_or(0, |counters| counters.unacked.len() as u32)
    }

    /// Takes what lies in the inbox and is no housekeeping.
    pub fn take_unread(&mut self) -> Option<Arrival> {
        let place = self.inbox.iter().position(|arrival| match arrival {
            Arrival::Element(element) => !is_housekeeping(element),
            _ => true,
        });
        place.and_then(|place| self.inbox.remove(place))
    }

    /// Closes the stream and waits until the server has, too (RFC 6120 §4.4).
    pub fn disconnect(&mut self) -> Result<()> {
        self.write(b"</stream:stream>")?;
        while self.read()? != Arrival::Eof {}
        self.forget();
        Ok(())
    }

    /// Breaks the connection.
    pub fn drop_connection(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.drop_abruptly();
        }
    }

    /// The connection is over.
    pub fn forget(&mut self) {
        self.connection = None;
        self.jid = None;
    }
}

/// The address that was bound, where this element says so: by RFC 6120 §7.6 or XEP-0388 §2.6.1.
fn bound_jid(element: &Element) -> Option<String> {
    let bound = element.child(login::BIND, "bind").and_then(|bind| bind.child(login::BIND, "jid"));
    let authorized = element
        .child(login::SASL2, "authorization-identifier")
        .filter(|_| element.is(login::SASL2, "success"));
    bound.or(authorized).map(Element::text).filter(|jid| jid.contains('/'))
}

fn is_stanza(element: &Element) -> bool {
    let is = |name| element.is(jackdaw_xml::ns::CLIENT, name);
    is("message") || is("presence") || is("iq")
}

fn is_housekeeping(element: &Element) -> bool {
    element.is(SM, "r") || element.is(SM, "a")
}
