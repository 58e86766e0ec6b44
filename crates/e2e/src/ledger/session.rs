//! How a client's sessions begin, go on and end.

use std::collections::VecDeque;
use std::time::Instant;

use jackdaw_xml::Element;

use super::book::{Property, Totals, What};
use super::client::{Client, request};
use super::memory::{About, Memory};
use super::register;
use crate::actor::SM;
use crate::connection::{Arrival, Connection};
use crate::error::{Error, Result};
use crate::login::{self, shown, unexpected};
use crate::script::Stage as LoginStage;

impl Client<'_> {
    /// Comes back to its session, or begins one.
    pub(super) fn come(&mut self) -> Result<()> {
        match &self.memory {
            Some(_) => self.resume()?,
            None => {
                let at = &self.world.stage.listeners;
                let (line, _) = login::connect(&self.role, at, LoginStage::Bind)?;
                self.begin(line)?;
            }
        }
        self.stale = None;
        Ok(())
    }

    /// XEP-0198 §5. A session that is gone is replaced by a new one.
    fn resume(&mut self) -> Result<()> {
        let at = &self.world.stage.listeners;
        let life = self.world.stage.life();
        let (mut line, _) = login::connect(&self.role, at, LoginStage::Auth)?;
        let Some(memory) = &mut self.memory else { return Err(Error::Closed) };
        let (id, h) = (&memory.id, memory.received);
        line.send(format!("<resume xmlns='{SM}' previd='{id}' h='{h}'/>").as_bytes())?;
        let arrival = line.receive()?;
        let Arrival::Element(answer) = &arrival else {
            return Err(unexpected("<resumed/>", &arrival));
        };
        if answer.is(SM, "failed") {
            self.not_resumed(answer)?;
            login::bind(&self.role, &mut line)?;
            return self.begin(line);
        }
        if !answer.is(SM, "resumed") {
            return Err(unexpected("<resumed/>", &arrival));
        }
        let totals = &self.world.book.totals;
        let lived_on = std::mem::replace(&mut memory.life, life) == life;
        if !lived_on {
            // It has the questions, perhaps, and forgot the answers.
            self.questions.clear();
        }
        Totals::add(if lived_on { &totals.resumed } else { &totals.resumed_after_kill });
        memory.is_closing = false;
        self.line = Some(line);
        self.acknowledged(answer.attr("h"))?;
        self.send_again()
    }

    /// Sends what the server has not got (XEP-0198 §5).
    fn send_again(&mut self) -> Result<()> {
        let Some(memory) = &self.memory else { return Err(Error::Closed) };
        let mut text = String::new();
        for outgoing in &memory.unacked {
            text.push_str(&outgoing.xml);
            if let About::Message(key) = outgoing.about {
                self.world.book.note(key, What::SentAgain);
            }
        }
        text.push_str(&request());
        self.write(&text)
    }

    /// The session is gone. Only that of a client that had said goodbye may be.
    fn not_resumed(&mut self, failed: &Element) -> Result<()> {
        Totals::add(&self.world.book.totals.refused);
        let is_closing = self.memory.as_ref().is_some_and(|memory| memory.is_closing);
        if !is_closing {
            let answer = shown(&Arrival::Element(failed.clone()));
            let text = format!("{}, session {}: {answer}", self.who, self.sessions);
            self.world.book.offend(Property::Resumed, text);
        }
        if let Some(h) = failed.attr("h") {
            self.acknowledged(Some(h))?;
        }
        self.lose_session();
        Ok(())
    }

    /// What was not acknowledged is sent anew, in the next session and before anything else.
    fn lose_session(&mut self) {
        let Some(memory) = self.memory.take() else { return };
        let mut unknown = VecDeque::new();
        for outgoing in memory.unacked {
            if let About::Message(key) = outgoing.about {
                self.world.book.note(key, What::Unknown);
                unknown.push_back(key);
            }
        }
        unknown.append(&mut self.homeless);
        self.homeless = unknown;
        self.registers.pending = None;
        self.questions.clear();
    }

    /// A new session on a stream that has bound: managed, available, and caught up.
    fn begin(&mut self, mut line: Connection) -> Result<()> {
        let life = self.world.stage.life();
        line.send(format!("<enable xmlns='{SM}' resume='true'/>").as_bytes())?;
        let arrival = line.receive()?;
        let id = match &arrival {
            Arrival::Element(element) if element.is(SM, "enabled") => element.attr("id"),
            _ => None,
        };
        let id = id.ok_or_else(|| unexpected("<enabled/> with an id", &arrival))?.to_owned();
        self.sessions += 1;
        self.came_at = Some(Instant::now());
        Totals::add(&self.world.book.totals.sessions);
        self.memory = Some(Memory { id, life, ..Memory::default() });
        self.line = Some(line);
        let (mut text, _) = self.count("<presence/>".into(), About::Nothing);
        while let Some(key) = self.homeless.pop_front() {
            text.push_str(&self.message(key));
        }
        let session = self.sessions;
        let (roster, vcard) = (format!("get-roster-{session}"), format!("get-vcard-{session}"));
        for question in [register::roster_get(&roster), register::vcard_get(&vcard)] {
            text.push_str(&self.count(question, About::Nothing).0);
        }
        self.questions = vec![roster, vcard];
        text.push_str(&request());
        self.write(&text)
    }

    /// The server has handled `h` stanzas.
    pub(super) fn acknowledged(&mut self, h: Option<&str>) -> Result<()> {
        let Some(memory) = &mut self.memory else { return Err(Error::Closed) };
        let wrong = |h: &dyn std::fmt::Debug, memory: &Memory| {
            let (sent, waiting) = (memory.sent, memory.unacked.len());
            Error::unexpected(format!("h is {h:?}; {sent} were sent, {waiting} of them wait"))
        };
        let parsed = h.and_then(|h| h.parse().ok()).ok_or_else(|| wrong(&h, memory))?;
        let news = memory.acknowledge(parsed).map_err(|h| wrong(&h, memory))?;
        for outgoing in news {
            match outgoing.about {
                About::Message(key) => {
                    self.world.book.note(key, What::Acknowledged { h: parsed });
                }
                About::Change(change) => self.changed(change),
                About::Nothing => {}
            }
        }
        Ok(())
    }

    /// The connection breaks: closed by the network, or silently left behind.
    pub(super) fn vanish(&mut self) -> Result<()> {
        let line = self.line.take().ok_or(Error::Closed)?;
        match self.dice.percent(30) {
            true => self.stale = Some(line),
            false => line.drop_abruptly(),
        }
        Ok(())
    }

    /// Closes the stream (RFC 6120 §4.4). What still arrives is not acknowledged, so it counts as
    /// not received: the server has to keep it. Unless the server says goodbye too, nobody knows
    /// whether it has heard ours, and the session may be there to be resumed.
    pub(super) fn say_goodbye(&mut self) -> Result<()> {
        let Some(memory) = &mut self.memory else { return Err(Error::Closed) };
        memory.is_closing = true;
        let h = memory.received;
        self.write(&format!("<a xmlns='{SM}' h='{h}'/></stream:stream>"))?;
        let mut line = self.line.take().ok_or(Error::Closed)?;
        loop {
            match line.receive()? {
                Arrival::StreamEnd => break,
                Arrival::Element(_) => {}
                other @ (Arrival::Eof | Arrival::Header(_)) => {
                    return Err(unexpected("</stream:stream>", &other));
                }
            }
        }
        self.lose_session();
        Ok(())
    }
}
