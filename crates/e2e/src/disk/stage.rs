//! What the disk tests have in common: a server whose store is on a hostile disk, people who talk,
//! and a look at `/readyz` and `/metrics`.

use jackdaw_xml::Element;

use super::hostile::{HostileDisk, Mounted};
use super::image::Survivors;
use crate::actor::{Actor, SM};
use crate::connection::Arrival;
use crate::error::{Error, Result};
use crate::script::{Role, Stage, StreamManagement, Tls};
use crate::server::{Launch, Server};

/// Pings behind the last expected message before nothing more is expected.
const PINGS_FOR_MORE: usize = 3;

/// Messages before a wrong one that a report shows.
const BEFORE: usize = 12;

/// Everybody's password.
pub const PASSWORD: &str = "disk-password";

/// Who has an account. Romeo writes, Juliet is mostly away.
pub const PEOPLE: [&str; 4] = ["romeo", "juliet", "mercutio", "benvolio"];

/// A server on a disk of ours.
pub struct Play {
    /// The disk.
    pub disk: HostileDisk,
    /// The server.
    pub server: Server,
    mounted: Option<Mounted>,
}

impl Play {
    /// A server that runs, with [`PEOPLE`] on it.
    pub fn begin(launch: &Launch, disk: HostileDisk) -> Result<Play> {
        let server = Server::prepare(launch, "")?;
        let mut play = Play { disk, server, mounted: None };
        play.mount()?;
        play.people()?;
        Ok(play)
    }

    /// The same on the machine's own disk.
    pub fn begin_on_disk(launch: &Launch) -> Result<Play> {
        Play::begin_on_disk_with(launch, "")
    }

    /// The same, with these settings.
    pub fn begin_on_disk_with(launch: &Launch, overlay: &str) -> Result<Play> {
        let server = Server::prepare(launch, overlay)?;
        let mut play = Play { disk: HostileDisk::new(0), server, mounted: None };
        play.people()?;
        Ok(play)
    }

    fn people(&mut self) -> Result<()> {
        let names: Vec<String> = PEOPLE.iter().map(|name| format!("{name}@localhost")).collect();
        let accounts: Vec<_> = names.iter().map(|name| (name.as_str(), PASSWORD)).collect();
        self.server.add_users(&accounts)?;
        self.server.start()
    }

    fn mount(&mut self) -> Result<()> {
        let store = self.server.folder().join("data/store");
        std::fs::create_dir_all(&store).map_err(Error::io("making a mount point"))?;
        self.mounted = Some(self.disk.mount(&store).map_err(Error::io("mounting a disk"))?);
        Ok(())
    }

    /// Takes the power from disk and process, and gives it back.
    pub fn lose_power(&mut self, survivors: Survivors) -> Result<()> {
        self.disk.switch_off();
        self.server.kill()?;
        self.mounted = None;
        self.disk.switch_on(survivors);
        self.mount()?;
        self.server.start()
    }

    /// Kills the process and starts it again; the disk keeps what the kernel had.
    pub fn restart(&mut self) -> Result<()> {
        self.server.kill()?;
        self.server.start()
    }

    /// Somebody who connects with stream management.
    pub fn enter(&self, name: &str) -> Result<Actor> {
        let mut actor = Actor::new(role(name));
        actor.connect(self.server.listeners(), Stage::Bind)?;
        Ok(actor)
    }

    /// The same, and available.
    pub fn enter_available(&self, name: &str) -> Result<Actor> {
        let mut actor = self.enter(name)?;
        actor.send(&Element::new(jackdaw_xml::ns::CLIENT, "presence"))?;
        actor.ping()?;
        Ok(actor)
    }

    /// Status and text of `/readyz`.
    pub fn readiness(&self) -> Result<(u16, String)> {
        self.server.readiness()
    }

    /// Waits until `/readyz` has this status.
    pub fn wait_for_readiness(&self, status: u16, text: &str) -> Result<()> {
        self.server.wait_for_readiness(status, text)
    }

    /// The value of a metric, by its name with labels.
    pub fn metric(&self, name: &str) -> Result<f64> {
        self.server.metric(name)
    }
}

/// Somebody with stream management and without TLS.
pub fn role(name: &str) -> Role {
    Role {
        name: name.to_owned(),
        jid: format!("{name}@localhost/disk"),
        password: PASSWORD.to_owned(),
        tls: Tls::None,
        mechanism: "SCRAM-SHA-256".to_owned(),
        binding: None,
        sm: Some(StreamManagement { resume: false, answers: true }),
        has_account: true,
        certificate: None,
        identity: None,
        proxied: None,
    }
}

/// A message to somebody's account.
pub fn message(to: &str, id: &str) -> Element {
    let body = Element::new(jackdaw_xml::ns::CLIENT, "body").with_text(format!("text of {id}"));
    Element::new(jackdaw_xml::ns::CLIENT, "message")
        .with_attr("type", "chat")
        .with_attr("to", format!("{to}@localhost"))
        .with_attr("id", id)
        .with_child(body)
}

/// A message with so many bytes beside its body.
pub fn large(to: &str, id: &str, bytes: usize) -> Element {
    let subject = Element::new(jackdaw_xml::ns::CLIENT, "subject").with_text("x".repeat(bytes));
    message(to, id).with_child(subject)
}

/// Asks for an acknowledgement and waits until everything sent is covered, or an error came
/// instead; returns the ids and conditions of the errors.
pub fn settle(actor: &mut Actor) -> Result<Vec<(String, String)>> {
    let mut refused = Vec::new();
    loop {
        if actor.unacknowledged() == 0 {
            return Ok(refused);
        }
        actor.send(&Element::new(SM, "r"))?;
        loop {
            match actor.next(true)? {
                Arrival::Element(element) if element.is(SM, "a") => break,
                Arrival::Element(element) if element.attr("type") == Some("error") => {
                    refused
                        .push((element.attr("id").unwrap_or_default().into(), condition(&element)));
                }
                Arrival::Element(_) => {}
                other => return Err(crate::login::unexpected("<a/>", &other)),
            }
        }
    }
}

/// The condition of a stanza error (RFC 6120 §8.3.3).
pub fn condition(stanza: &Element) -> String {
    const STANZAS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
    let error = stanza.child(jackdaw_xml::ns::CLIENT, "error");
    let named = error.and_then(|error| {
        error.children().find(|child| child.ns() == STANZAS && child.name() != "text")
    });
    named.map_or_else(String::new, |child| child.name().to_owned())
}

/// The ids of the messages that are waiting for somebody who becomes available, in their order.
pub fn collect(play: &Play, name: &str, expected: usize) -> Result<Vec<String>> {
    let mut actor = play.enter(name)?;
    actor.send(&Element::new(jackdaw_xml::ns::CLIENT, "presence"))?;
    let mut ids = Vec::new();
    while ids.len() < expected {
        match actor.next(false) {
            Ok(arrival) => ids.extend(message_id(&arrival)),
            // Too few: the ledger says which.
            Err(Error::Silence(_)) => break,
            Err(error) => return Err(error),
        }
    }
    // What was sent and not acknowledged may be there as well. A page is read at a time, so a ping
    // may come between two.
    for _ in 0..PINGS_FOR_MORE {
        actor.ping()?;
        while let Some(arrival) = actor.take_unread() {
            ids.extend(message_id(&arrival));
        }
    }
    actor.disconnect()?;
    Ok(ids)
}

fn message_id(arrival: &Arrival) -> Option<String> {
    match arrival {
        Arrival::Element(element) if element.is(jackdaw_xml::ns::CLIENT, "message") => {
            Some(element.attr("id").unwrap_or_default().to_owned())
        }
        _ => None,
    }
}

/// Fails unless what arrived is what was acknowledged, once and in order; what was sent and not
/// acknowledged may be there or not.
pub fn check_ledger(acknowledged: &[String], sent: &[String], arrived: &[String]) -> Result<()> {
    let mut last = None;
    for (nth, id) in arrived.iter().enumerate() {
        let place = sent.iter().position(|other| other == id);
        if place.is_none() {
            return Err(Error::unexpected(format!("{id} arrived and was not sent, or before")));
        }
        if place <= last {
            let before = &arrived[nth.saturating_sub(BEFORE)..=nth];
            let what = if arrived[..nth].contains(id) { "twice" } else { "out of order" };
            return Err(Error::unexpected(format!("{id} arrived {what}: {before:?}")));
        }
        last = place;
    }
    let lost: Vec<&String> = acknowledged.iter().filter(|id| !arrived.contains(id)).collect();
    match lost.as_slice() {
        [] => Ok(()),
        [first, ..] => Err(Error::unexpected(format!(
            "{} acknowledged messages of {} are lost, the first is {first}",
            lost.len(),
            acknowledged.len()
        ))),
    }
}
