//! One client of the run: it talks, comes and goes, and notes what it sees.
//!
//! It lives in a thread of its own, as clients do, and has a memory that outlives its connection.
//! [`session`](super::session) has how sessions begin, go on and end; this file has what it does
//! with one.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use jackdaw_xml::Element;
use jackdaw_xml::ns::CLIENT;

use super::book::{Book, Property, Totals, What};
use super::dice::Dice;
use super::memory::{About, Memory, Outgoing};
use super::message::{Key, SID, Who};
use super::register::{self, Place, Registers};
use super::stage::{Phase, Stage};
use super::temper::Temper;
use crate::actor::SM;
use crate::connection::{Arrival, Connection};
use crate::error::{Error, Result};
use crate::login::{self, unexpected};
use crate::script::{Role, Tls};

/// Stanzas a client leaves unacknowledged before it waits. The server takes 128.
const WINDOW: usize = 60;

/// Messages written at once, at most.
const BURST_MAX: u64 = 9;

/// Between two bursts, in milliseconds.
const PAUSE: std::ops::Range<u64> = 10..60;

/// Peers that get most of a client's messages, so that pairs have long histories.
const FRIENDS: u64 = 3;

/// How long to wait for something to arrive before looking what else there is to do.
const GLANCE: Duration = Duration::from_millis(5);

/// Pieces read in a row before looking what else there is to do.
const HEARD_AT_ONCE: usize = 64;

/// From the beginning of a session to the end of what was kept for it.
const SETTLING: Duration = Duration::from_millis(500);

/// Between two requests for an acknowledgement by a client that only waits.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// What all clients of a run share.
#[derive(Debug, Clone, Copy)]
pub struct World<'a> {
    /// What happens to every message.
    pub book: &'a Book,
    /// What is going on.
    pub stage: &'a Stage,
    /// How many clients there are.
    pub clients: u16,
    /// Whether a session outlives its server.
    pub sessions_last: bool,
}

/// A client.
pub struct Client<'a> {
    pub(super) who: Who,
    pub(super) world: World<'a>,
    pub(super) role: Role,
    pub(super) dice: Dice,
    temper: Temper,
    pub(super) line: Option<Connection>,
    /// The life of the server in which the connection was opened; none if it was not up then.
    life: Option<u32>,
    /// A connection that was left open by a client that is elsewhere by now.
    pub(super) stale: Option<Connection>,
    pub(super) memory: Option<Memory>,
    /// Messages of a session that is lost. They come first in the next one.
    pub(super) homeless: VecDeque<Key>,
    pub(super) registers: Registers,
    /// Sessions so far.
    pub(super) sessions: u32,
    /// When the session in hand began.
    pub(super) came_at: Option<Instant>,
    /// Questions about registers whose answers have not come. Of two answers, which there may be
    /// if the question was sent again, the first one counts: the other one may be older.
    pub(super) questions: Vec<String>,
    pub(super) is_leaving: bool,
    pub(super) back_at: Instant,
    talk_at: Instant,
    pub(super) move_at: Instant,
    answer_at: Option<Instant>,
}

impl<'a> Client<'a> {
    /// A client that is not there yet.
    pub fn new(who: Who, world: World<'a>, password: &str) -> Client<'a> {
        let now = Instant::now();
        let role = Role {
            name: who.to_string(),
            jid: who.full(),
            password: password.to_owned(),
            tls: Tls::None,
            mechanism: "SCRAM-SHA-256".to_owned(),
            ..Role::default()
        };
        let mut dice = Dice::new(world.book.seed(), u64::from(who.0) + 1);
        let temper = Temper::of(who);
        let move_at = now + temper.stay(&mut dice);
        Client {
            who,
            world,
            role,
            temper,
            line: None,
            life: None,
            stale: None,
            memory: None,
            homeless: VecDeque::new(),
            registers: Registers::default(),
            sessions: 0,
            came_at: None,
            questions: Vec::new(),
            is_leaving: false,
            back_at: now,
            talk_at: now,
            move_at,
            answer_at: None,
            dice,
        }
    }

    /// Lives until the run says that it is over.
    pub fn live(&mut self) {
        self.is_leaving = false;
        loop {
            let phase = self.world.stage.phase();
            let is_gone = self.line.is_none() && self.memory.is_none();
            if phase == Phase::Abandon || (phase == Phase::Leave && is_gone) {
                return;
            }
            if self.line.is_none() {
                self.life = self.world.stage.life_now();
            }
            if let Err(error) = self.turn(phase) {
                self.broken(&error);
            }
            self.world.stage.says(self.who, self.is_calm());
        }
    }

    fn turn(&mut self, phase: Phase) -> Result<()> {
        if self.line.is_none() {
            if phase == Phase::Load && Instant::now() < self.back_at {
                std::thread::sleep(GLANCE);
                return Ok(());
            }
            return self.come();
        }
        match phase {
            Phase::Load if self.is_leaving => self.leave()?,
            Phase::Load => self.act()?,
            Phase::Calm => self.wait()?,
            Phase::Leave | Phase::Abandon => self.leave()?,
        }
        self.hear()
    }

    fn is_calm(&self) -> bool {
        let memory = self.memory.as_ref();
        self.line.is_some()
            && memory.is_some_and(|memory| memory.unacked.is_empty())
            && self.homeless.is_empty()
            && self.registers.pending.is_none()
            && self.questions.is_empty()
    }

    /// The connection is over. Nobody may end it but the client, and a kill.
    fn broken(&mut self, error: &Error) {
        self.line = None;
        self.answer_at = None;
        if self.life.is_some() && self.life == self.world.stage.life_now() {
            let session = self.sessions;
            let text = format!("{}, session {session}: {error}", self.who);
            self.world.book.offend(Property::Protocol, text);
        }
        // The server may be away; nobody spins.
        std::thread::sleep(GLANCE);
    }

    /// Talks if it is time, and moves if it is time for that.
    fn act(&mut self) -> Result<()> {
        let now = Instant::now();
        if now >= self.move_at {
            self.move_at = now + self.temper.stay(&mut self.dice);
            match self.temper {
                Temper::Steady => {}
                Temper::Breaks | Temper::Sluggish => {
                    self.back_at = now + self.temper.absence(&mut self.dice);
                    return self.vanish();
                }
                Temper::ComesAndGoes => self.is_leaving = true,
            }
        }
        self.answer_in_time(now)?;
        self.settle_in(now);
        let unacked = self.memory.as_ref().map_or(0, |memory| memory.unacked.len());
        if now < self.talk_at || unacked > WINDOW {
            return Ok(());
        }
        self.talk_at = now + self.dice.millis(PAUSE);
        self.talk()
    }

    /// Waits for what is under way, and says nothing new.
    fn wait(&mut self) -> Result<()> {
        let now = Instant::now();
        self.answer_in_time(now)?;
        let waits = self.memory.as_ref().is_some_and(|memory| !memory.unacked.is_empty());
        if waits && now >= self.talk_at {
            self.talk_at = now + ASK_AGAIN;
            return self.write(&request());
        }
        Ok(())
    }

    /// Logs out once everything that was sent is acknowledged.
    fn leave(&mut self) -> Result<()> {
        self.wait()?;
        if !self.is_calm() {
            return Ok(());
        }
        self.is_leaving = false;
        self.back_at = Instant::now() + self.temper.absence(&mut self.dice);
        self.say_goodbye()
    }

    /// A client that never logs out says so, once what waited for it at its login has come.
    fn settle_in(&mut self, now: Instant) {
        let is_settled = self.came_at.is_some_and(|at| now > at + SETTLING);
        if is_settled && self.temper != Temper::ComesAndGoes && self.world.sessions_last {
            self.world.stage.says_it_stays(self.who);
        }
    }

    /// Some messages, perhaps a change of a register, and a request to acknowledge them.
    fn talk(&mut self) -> Result<()> {
        let mut text = String::new();
        for _ in 0..self.dice.among(1..BURST_MAX) {
            let to = self.somebody();
            let key = self.world.book.compose(self.who, to);
            text.push_str(&self.message(key));
        }
        if self.registers.pending.is_none() && self.questions.is_empty() && self.dice.percent(30) {
            let places: Vec<Place> = Place::all().collect();
            let nth = self.dice.among(0..places.len() as u64) as usize;
            let change = self.registers.change(places[nth]);
            text.push_str(&self.count(change.to_xml(), About::Change(change)).0);
        }
        text.push_str(&request());
        self.write(&text)
    }

    fn somebody(&mut self) -> Who {
        let others = u64::from(self.world.clients) - 1;
        let step = match self.dice.percent(70) {
            true => self.dice.among(0..FRIENDS.min(others)),
            false => self.dice.among(0..others),
        };
        let number = (u64::from(self.who.0) + 1 + step) % u64::from(self.world.clients);
        Who(number as u16)
    }

    /// Counts a message and notes it as sent; gives its text.
    pub(super) fn message(&mut self, key: Key) -> String {
        // Only where the resource is known to be there: one that has bound and is not available
        // yet gets what is for its full JID at once, before what waits for it (RFC 6121 §8.5.3.1).
        let to = match self.world.stage.stays(key.to) && self.dice.percent(50) {
            true => key.to.full(),
            false => key.to.bare(),
        };
        let xml = key.to_xml(self.world.book.seed(), &to);
        let (xml, number) = self.count(xml, About::Message(key));
        self.world.book.note(key, What::Sent { session: self.sessions, number });
        xml
    }

    /// Counts a stanza that will be written next; gives it back with its number.
    pub(super) fn count(&mut self, xml: String, about: About) -> (String, u32) {
        let Some(memory) = &mut self.memory else { return (xml, 0) };
        let number = memory.push(Outgoing { xml: xml.clone(), about });
        (xml, number)
    }

    pub(super) fn write(&mut self, text: &str) -> Result<()> {
        self.line.as_mut().ok_or(Error::Closed)?.send(text.as_bytes())
    }

    /// Answers a request of the server that was left waiting.
    fn answer_in_time(&mut self, now: Instant) -> Result<()> {
        if self.answer_at.is_none_or(|at| now < at && self.world.stage.phase() == Phase::Load) {
            return Ok(());
        }
        self.answer_at = None;
        let received = self.memory.as_ref().map_or(0, |memory| memory.received);
        self.write(&format!("<a xmlns='{SM}' h='{received}'/>"))
    }

    fn hear(&mut self) -> Result<()> {
        let mut wait = GLANCE;
        for _ in 0..HEARD_AT_ONCE {
            let Some(line) = &mut self.line else { return Ok(()) };
            match line.receive_within(wait)? {
                None => return Ok(()),
                Some(Arrival::Element(element)) => self.heard(&element)?,
                Some(Arrival::Eof) => return Err(Error::Closed),
                Some(other) => return Err(unexpected("a stanza", &other)),
            }
            wait = Duration::ZERO;
        }
        Ok(())
    }

    fn heard(&mut self, element: &Element) -> Result<()> {
        if element.is(SM, "r") {
            let patience = self.temper.patience(&mut self.dice);
            self.answer_at.get_or_insert(Instant::now() + patience);
            return self.answer_in_time(Instant::now());
        }
        if element.is(SM, "a") {
            return self.acknowledged(element.attr("h"));
        }
        if element.ns() != CLIENT {
            return Err(unexpected("a stanza", &Arrival::Element(element.clone())));
        }
        let Some(memory) = &mut self.memory else { return Err(Error::Closed) };
        memory.received = memory.received.wrapping_add(1);
        match element.name() {
            "message" => self.heard_message(element),
            "iq" => return self.heard_iq(element),
            _ => {}
        }
        Ok(())
    }

    /// Notes a message; one that is not as it was sent is a phantom.
    fn heard_message(&mut self, message: &Element) {
        let book = self.world.book;
        let seed = book.seed();
        let shown = || login::shown(&Arrival::Element(message.clone()));
        let key = message.attr("id").and_then(|id| Key::parse(seed, id));
        let Some(key) = key else {
            return book.offend(Property::NoPhantom, format!("{} got {}", self.who, shown()));
        };
        if message.attr("type") == Some("error") {
            let condition = message.child(CLIENT, "error").and_then(|e| e.children().next());
            let condition = condition.map_or("an error", Element::name);
            book.note(key, What::Bounced(condition.to_owned()));
            return;
        }
        let origin = message.child(SID, "origin-id").and_then(|origin| origin.attr("id"));
        let body = message.child(CLIENT, "body").map(Element::text);
        let is_as_sent = key.to == self.who
            && message.attr("from") == Some(&key.from.full())
            && origin == Some(&key.id(seed))
            && body == Some(key.body(seed));
        let memory = self.memory.as_ref();
        let number = memory.map_or(0, |memory| memory.received);
        let session = self.sessions;
        if !is_as_sent || !book.note(key, What::Received { session, number }) {
            book.offend(Property::NoPhantom, format!("{} got {}", self.who, shown()));
        }
    }

    fn heard_iq(&mut self, iq: &Element) -> Result<()> {
        let id = iq.attr("id").unwrap_or_default();
        match iq.attr("type") {
            Some("get" | "set") => {
                let to = iq.attr("from").map_or(String::new(), |from| format!(" to='{from}'"));
                let answer = format!("<iq type='result' id='{id}'{to}/>");
                let (answer, _) = self.count(answer, About::Nothing);
                return self.write(&answer);
            }
            _ if id.starts_with("get-") => self.heard_reading(iq, id),
            kind => {
                let pending = self.registers.pending.filter(|change| change.id() == id);
                match (kind, pending) {
                    (Some("result"), Some(change)) => self.changed(change),
                    (Some("result"), None) => {}
                    (_, _) => {
                        let shown = login::shown(&Arrival::Element(iq.clone()));
                        let text = format!("{} was answered {shown}", self.who);
                        self.world.book.offend(Property::Protocol, text);
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn changed(&mut self, change: register::Change) {
        if self.registers.acknowledged(change) {
            Totals::add(&self.world.book.totals.changes);
        }
    }

    fn heard_reading(&mut self, iq: &Element, id: &str) {
        let Some(at) = self.questions.iter().position(|question| question == id) else { return };
        self.questions.remove(at);
        let mut readings = register::readings(iq);
        if readings.is_empty() && id.starts_with("get-vcard") {
            readings.push((Place::Vcard, None));
        }
        for (place, value) in readings {
            let Err(why) = self.registers.read(place, value) else { continue };
            let property = match place {
                Place::Contact(_) => Property::RosterKept,
                Place::Vcard => Property::VcardKept,
            };
            let session = self.sessions;
            self.world.book.offend(property, format!("{}, session {session}: {why}", self.who));
        }
    }
}

/// `<r/>` (XEP-0198 §4).
pub(super) fn request() -> String {
    format!("<r xmlns='{SM}'/>")
}
