//! libexpat, which most clients in C and Python read with, reads what we write as we meant it.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use jackdaw_xml::{Element, Scope, canonicalise};
use proptest::test_runner::TestRunner;

use crate::agreement::stricter_than_xml;
use crate::events::{Event, Events, LIMITS, ours, wrap};
use crate::{corpus, generate};

/// One Python process that reads many documents.
struct Expat {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Expat {
    fn start() -> Expat {
        let mut child = Command::new("python3")
            .args(["-c", include_str!("expat_reader.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 must be installed: the output is checked against its libexpat");
        let input = child.stdin.take().expect("it is piped");
        let output = child.stdout.take().expect("it is piped");
        Expat { child, input, output }
    }

    /// What it reads in a document.
    fn read(&mut self, document: &str) -> Result<Vec<Event>, String> {
        let length = u32::try_from(document.len()).expect("documents are small").to_le_bytes();
        self.input.write_all(&length).expect("python3 reads");
        self.input.write_all(document.as_bytes()).expect("python3 reads");
        self.input.flush().expect("python3 reads");
        let mut length = [0; 4];
        self.output.read_exact(&mut length).expect("python3 answers");
        let mut answer = vec![0; u32::from_le_bytes(length) as usize];
        self.output.read_exact(&mut answer).expect("python3 answers");
        let answer = String::from_utf8(answer).expect("python3 answers in UTF-8");
        match answer.split_once('\n') {
            Some(("ok", events)) => Ok(parse(events)),
            _ => Err(answer),
        }
    }

    /// What it reads in a stanza within a stream.
    fn read_stanza(&mut self, stanza: &str) -> Result<Vec<Event>, String> {
        let mut events = Events::default();
        for event in self.read(&wrap(stanza)?)? {
            match event {
                Event::Start { ns, local, attributes } => events.start(&ns, &local, attributes),
                Event::Text(text) => events.text(&text),
                Event::End => events.end(),
            }
        }
        events.unwrap()
    }
}

impl Drop for Expat {
    fn drop(&mut self) {
        // It may be gone already, and then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parse(answer: &str) -> Vec<Event> {
    let mut events = Vec::new();
    for line in answer.lines() {
        let mut fields = line.split(' ').map(str::to_owned);
        let kind = fields.next().unwrap_or_default();
        let mut field = || fields.next().unwrap_or_default();
        match (kind.as_str(), events.last_mut()) {
            ("S", _) => {
                let (ns, local) = (field(), field());
                events.push(Event::Start { ns, local, attributes: Vec::new() });
            }
            ("A", Some(Event::Start { attributes, .. })) => {
                attributes.push((field(), field(), from_hex(&field())));
            }
            ("T", _) => events.push(Event::Text(from_hex(&field()))),
            ("E", _) => events.push(Event::End),
            _ => panic!("{line:?} in an answer"),
        }
    }
    events
}

fn from_hex(digits: &str) -> String {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal");
    let bytes = (0..digits.len()).step_by(2).map(byte).collect();
    String::from_utf8(bytes).expect("UTF-8")
}

/// A document as it came, its canonical form and its tree, all read by libexpat.
fn check(expat: &mut Expat, document: &str) {
    let theirs = expat.read_stanza(document);
    let (events, is_canonical) = match ours(document.as_bytes()) {
        Ok(read) => read,
        Err(error) => {
            let is_explained = theirs.is_err() || stricter_than_xml(document, error);
            return assert!(is_explained, "{document:?}: {error}");
        }
    };
    assert_eq!(theirs.as_ref(), Ok(&events), "{document:?}");
    let mut canonical = Vec::new();
    canonicalise(document.as_bytes(), &Scope::client(), &LIMITS, &mut canonical).expect("valid");
    let canonical = String::from_utf8(canonical).expect("UTF-8");
    assert_eq!(expat.read_stanza(&canonical).as_ref(), Ok(&events), "{canonical:?}");
    let tree = Element::parse(document.as_bytes(), &Scope::client(), &LIMITS).expect("valid");
    let written = tree.to_xml(jackdaw_xml::ns::CLIENT);
    assert_eq!(expat.read_stanza(&written).as_ref(), Ok(&events), "{written:?}");
    if is_canonical {
        check_alone(expat, document, &events);
    }
    check_alone(expat, &canonical, &events);
}

/// What leaves the server needs nothing of a stream but its default namespace.
fn check_alone(expat: &mut Expat, stanza: &str, events: &[Event]) {
    let mut wrapped = String::new();
    write!(wrapped, "<x xmlns='jabber:client'>{stanza}</x>").expect("a string takes everything");
    let mut read = expat.read(&wrapped).expect("what leaves the server is valid");
    assert_eq!(read.pop(), Some(Event::End));
    assert_eq!(read.get(1..), Some(events), "{stanza:?}");
}

#[test]
fn libexpat_reads_the_corpus_as_we_do() {
    let mut expat = Expat::start();
    for document in corpus::VALID.iter().chain(corpus::INVALID) {
        check(&mut expat, document);
    }
}

#[test]
fn libexpat_reads_any_document_as_we_do() {
    let expat = Mutex::new(Expat::start());
    let mut runner = TestRunner::new(generate::cases(4_000));
    let outcome = runner.run(&generate::any_document(), |document| {
        // A failed assertion leaves the process as it was: between two documents.
        let mut expat = expat.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        check(&mut expat, &document);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
