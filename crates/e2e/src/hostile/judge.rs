//! Sends an input and judges what comes of it.

use std::time::Duration;

use jackdaw_xml::{Element, ns};

use super::cuts::Cut;
use super::table::Expect;
use crate::connection::{Arrival, Connection};
use crate::error::{Error, Result};
use crate::login::shown;

/// Between the pieces of an input, so that most of them are read apart. The machines' own tests cut
/// exactly; here it is about sockets, whose buffers decide.
const PACE: Duration = Duration::from_micros(100);

/// Of a drip of many bytes, so many are paced.
const PACED_MAX: usize = 64;

/// Sends the pieces. A server that has heard enough may close before the last one.
pub fn send(connection: &mut Connection, input: &[u8], cut: &Cut) {
    for (number, piece) in cut.pieces(input).enumerate() {
        if (1..PACED_MAX).contains(&number) {
            std::thread::sleep(PACE);
        }
        // What the server said before it closed can still be received, and is judged.
        if connection.send(piece).is_err() {
            return;
        }
    }
}

/// Receives what comes of an input and says what is wrong with it.
pub fn judge(connection: &mut Connection, expect: &Expect) -> Result<()> {
    match expect {
        Expect::Accepted => lives(connection).and_then(|(heard, ())| nothing(&heard)),
        Expect::Answered(text) => {
            let (heard, ()) = lives(connection)?;
            match heard.iter().any(|element| xml(element).contains(text)) {
                true => Ok(()),
                false => Err(wrong(&format!("something with {text}"), &heard)),
            }
        }
        Expect::StanzaError(condition) => {
            let (heard, ()) = lives(connection)?;
            match heard.as_slice() {
                [stanza] if is_stanza_error(stanza, condition) => Ok(()),
                _ => Err(wrong(&format!("the stanza error {condition}"), &heard)),
            }
        }
        Expect::StreamError(condition) => {
            let heard = until_the_end(connection)?;
            match heard.as_slice() {
                [error] if is_stream_error(error, condition) => Ok(()),
                _ => Err(wrong(&format!("the stream error {condition}"), &heard)),
            }
        }
        Expect::SaslFailure(condition) => {
            let failure = next(connection)?;
            match failure.name() == "failure" && failure.children().any(|c| c.name() == condition) {
                true => Ok(()),
                false => Err(wrong(&format!("the SASL failure {condition}"), &[failure])),
            }
        }
        Expect::TlsFailure => {
            let heard = until_the_end(connection)?;
            match heard.as_slice() {
                [failure, ..] if failure.name() == "failure" => Ok(()),
                _ => Err(wrong("<failure/> of STARTTLS", &heard)),
            }
        }
        Expect::Closed => connection.drain(),
        Expect::Http(status) => {
            let answer = connection.receive_raw()?;
            match answer.split(' ').nth(1) == Some(&status.to_string()) {
                true => Ok(()),
                false => Err(Error::unexpected(format!("HTTP {status} expected, got {answer}"))),
            }
        }
    }
}

/// Whether the stream goes on: a ping is answered. Returns what came before the answer.
fn lives(connection: &mut Connection) -> Result<(Vec<Element>, ())> {
    let ping = "<iq type='get' id='still-there'><ping xmlns='urn:xmpp:ping'/></iq>";
    connection.send(ping.as_bytes())?;
    let mut heard = Vec::new();
    loop {
        let element = next(connection)?;
        if element.attr("id") == Some("still-there") {
            return Ok((heard, ()));
        }
        let is_the_end = element.is(ns::STREAMS, "error");
        heard.push(element);
        if is_the_end {
            return Err(wrong("a stream that goes on", &heard));
        }
    }
}

/// Everything up to the end of the stream and the connection, but for headers and features.
fn until_the_end(connection: &mut Connection) -> Result<Vec<Element>> {
    let mut heard = Vec::new();
    loop {
        match connection.receive()? {
            Arrival::Header(_) => {}
            Arrival::Element(element) if element.is(ns::STREAMS, "features") => {}
            Arrival::Element(element) => heard.push(element),
            Arrival::StreamEnd => {}
            Arrival::Eof => return Ok(heard),
        }
    }
}

/// The next element that is no header and no features.
fn next(connection: &mut Connection) -> Result<Element> {
    loop {
        match connection.receive()? {
            Arrival::Header(_) => {}
            Arrival::Element(element) if element.is(ns::STREAMS, "features") => {}
            Arrival::Element(element) => return Ok(element),
            other => return Err(Error::unexpected(format!("got {}", shown(&other)))),
        }
    }
}

fn nothing(heard: &[Element]) -> Result<()> {
    match heard {
        [] => Ok(()),
        heard => Err(wrong("nothing", heard)),
    }
}

fn is_stream_error(element: &Element, condition: &str) -> bool {
    let conditions = "urn:ietf:params:xml:ns:xmpp-streams";
    element.is(ns::STREAMS, "error") && element.child(conditions, condition).is_some()
}

fn is_stanza_error(element: &Element, condition: &str) -> bool {
    let conditions = "urn:ietf:params:xml:ns:xmpp-stanzas";
    element.attr("type") == Some("error")
        && element
            .child(ns::CLIENT, "error")
            .is_some_and(|error| error.child(conditions, condition).is_some())
}

fn wrong(wanted: &str, heard: &[Element]) -> Error {
    let mut got: String = heard.iter().map(xml).collect();
    got.truncate(got.char_indices().nth(400).map_or(got.len(), |(at, _)| at));
    Error::unexpected(format!("expected {wanted}, got `{got}`"))
}

fn xml(element: &Element) -> String {
    element.to_xml(ns::CLIENT)
}
