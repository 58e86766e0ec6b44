//! What happened to every message, as its sender and its receiver saw it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::message::{Key, Who};

/// One entry of a message's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Since the run began.
    pub at: Duration,
    /// Its place among all events of the run: a client notes things in the order it sees them.
    pub serial: u64,
    /// What happened.
    pub what: What,
}

/// What can happen to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It was written to a stream, as the stanza of this number.
    Sent {
        /// The sender's session, counted from 1.
        session: u32,
        /// Its number there (XEP-0198 §4).
        number: u32,
    },
    /// It was written again after a resumption, by the same number.
    SentAgain,
    /// The server's `h` covers it: it must not be lost any more.
    Acknowledged {
        /// That `h`.
        h: u32,
    },
    /// The sender's session was lost without the server saying whether it has the message.
    Unknown,
    /// It came back with this error.
    Bounced(String),
    /// It arrived.
    Received {
        /// The receiver's session, counted from 1.
        session: u32,
        /// Its number there.
        number: u32,
    },
}

/// The history of a message.
pub type History = Vec<Event>;

/// Something that must not be, and is not the history of one message.
#[derive(Debug, Clone)]
pub struct Offence {
    /// The property it breaks.
    pub property: Property,
    /// What was seen.
    pub text: String,
}

/// What a run proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Property {
    /// What `h` covers is received.
    NothingLost,
    /// It is received once.
    NothingTwice,
    /// The messages of a pair are received in the order in which they were sent.
    Ordered,
    /// Only what was sent is received, as it was sent, by whom it was sent to.
    NoPhantom,
    /// Nothing comes back with an error: there is no reason to.
    NothingBounced,
    /// What is accepted arrives without anybody having to log in again.
    NothingStuck,
    /// A roster has the items whose changes were acknowledged.
    RosterKept,
    /// A vCard is the one whose change was acknowledged.
    VcardKept,
    /// A session can be resumed, by the rules of XEP-0198.
    Resumed,
    /// The server speaks XMPP as the RFCs say.
    Protocol,
}

impl Property {
    /// Every one.
    pub const ALL: [Property; 10] = [
        Property::NothingLost,
        Property::NothingTwice,
        Property::Ordered,
        Property::NoPhantom,
        Property::NothingBounced,
        Property::NothingStuck,
        Property::RosterKept,
        Property::VcardKept,
        Property::Resumed,
        Property::Protocol,
    ];

    /// By its name.
    pub fn parse(name: &str) -> Option<Property> {
        Property::ALL.into_iter().find(|property| property.name() == name)
    }

    /// Its name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Property::NothingLost => "lost",
            Property::NothingTwice => "duplicate",
            Property::Ordered => "reordered",
            Property::NoPhantom => "phantom",
            Property::NothingBounced => "bounced",
            Property::NothingStuck => "stuck",
            Property::RosterKept => "roster",
            Property::VcardKept => "vcard",
            Property::Resumed => "not-resumed",
            Property::Protocol => "protocol",
        }
    }
}

/// How often things happened.
#[derive(Debug, Default)]
pub struct Totals {
    /// Messages that were sent.
    pub sent: AtomicU64,
    /// Messages that were acknowledged.
    pub acknowledged: AtomicU64,
    /// Messages that arrived.
    pub received: AtomicU64,
    /// Changes of rosters and vCards that were acknowledged.
    pub changes: AtomicU64,
    /// Sessions that were begun.
    pub sessions: AtomicU64,
    /// Sessions that were resumed while their server lived.
    pub resumed: AtomicU64,
    /// Sessions that were resumed on a server that was started again.
    pub resumed_after_kill: AtomicU64,
    /// Resumptions that were refused.
    pub refused: AtomicU64,
}

impl Totals {
    /// Counts one more.
    pub fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// The ledger.
#[derive(Debug)]
pub struct Book {
    seed: u64,
    began: Instant,
    pages: Mutex<Pages>,
    /// How often things happened.
    pub totals: Totals,
}

#[derive(Debug, Default)]
struct Pages {
    next_serial: u64,
    pairs: BTreeMap<(Who, Who), Vec<History>>,
    offences: Vec<Offence>,
    /// When the server was killed.
    kills: Vec<Duration>,
}

impl Book {
    /// An empty one.
    pub fn new(seed: u64) -> Book {
        Book { seed, began: Instant::now(), pages: Mutex::default(), totals: Totals::default() }
    }

    /// What makes ids of this run different from others.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    fn pages(&self) -> std::sync::MutexGuard<'_, Pages> {
        self.pages.lock().expect("nobody panics with the book open")
    }

    /// The next message of a pair.
    pub fn compose(&self, from: Who, to: Who) -> Key {
        let mut pages = self.pages();
        let histories = pages.pairs.entry((from, to)).or_default();
        histories.push(History::new());
        Key { from, to, nth: histories.len() - 1 }
    }

    /// Notes what happened to a message. False if there is no such message.
    pub fn note(&self, key: Key, what: What) -> bool {
        let mut pages = self.pages();
        let serial = pages.next_serial;
        pages.next_serial += 1;
        let histories = pages.pairs.get_mut(&(key.from, key.to));
        let Some(history) = histories.and_then(|histories| histories.get_mut(key.nth)) else {
            return false;
        };
        let counter = match &what {
            What::Sent { .. } if history.is_empty() => Some(&self.totals.sent),
            What::Acknowledged { .. } => Some(&self.totals.acknowledged),
            What::Received { .. } => Some(&self.totals.received),
            _ => None,
        };
        counter.into_iter().for_each(Totals::add);
        history.push(Event { at: self.began.elapsed(), serial, what });
        true
    }

    /// Notes what must not be.
    pub fn offend(&self, property: Property, text: String) {
        let at = self.began.elapsed();
        let mut pages = self.pages();
        let mut text = format!("{:.3} s: {text}", at.as_secs_f32());
        if let Some(kill) = pages.kills.last() {
            let since = at.saturating_sub(*kill).as_secs_f32();
            text.push_str(&format!(" ({since:.3} s after kill {})", pages.kills.len()));
        }
        pages.offences.push(Offence { property, text });
    }

    /// Notes that the server is killed now.
    pub fn killed(&self) {
        let at = self.began.elapsed();
        self.pages().kills.push(at);
    }

    /// Shows every history to `look`.
    pub fn each(&self, mut look: impl FnMut(Key, &History)) {
        for (&(from, to), histories) in &self.pages().pairs {
            for (nth, history) in histories.iter().enumerate() {
                look(Key { from, to, nth }, history);
            }
        }
    }

    /// What was noted by [`offend`](Book::offend).
    pub fn offences(&self) -> Vec<Offence> {
        self.pages().offences.clone()
    }

    /// Messages that are acknowledged and have not arrived: under way, or lost.
    pub fn missing(&self) -> usize {
        let mut missing = 0;
        self.each(|_, history| {
            let is = |wanted: fn(&What) -> bool| history.iter().any(|event| wanted(&event.what));
            let is_acknowledged = is(|what| matches!(what, What::Acknowledged { .. }));
            let is_received = is(|what| matches!(what, What::Received { .. }));
            missing += usize::from(is_acknowledged && !is_received);
        });
        missing
    }

    /// A history as one reads it, with the kills that fell into it.
    pub fn told(&self, key: Key) -> String {
        let pages = self.pages();
        let history = pages.pairs.get(&(key.from, key.to)).and_then(|pair| pair.get(key.nth));
        let events = history.into_iter().flatten();
        let mut lines: Vec<(Duration, String)> =
            events.map(|event| (event.at, event.what.to_string())).collect();
        let span = lines.first().zip(lines.last()).map(|((first, _), (last, _))| *first..=*last);
        let kills =
            pages.kills.iter().filter(|kill| span.as_ref().is_some_and(|s| s.contains(*kill)));
        lines.extend(kills.map(|&kill| (kill, "-- the server is killed --".to_owned())));
        lines.sort_by_key(|(at, _)| *at);
        let mut told = format!("message {} from {} to {}", key.id(self.seed), key.from, key.to);
        for (at, line) in lines {
            told.push_str(&format!("\n    {:9.3} s  {line}", at.as_secs_f64()));
        }
        told
    }
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            What::Sent { session, number } => {
                write!(f, "sent as number {number} of the sender's session {session}")
            }
            What::SentAgain => write!(f, "sent again after a resumption"),
            What::Acknowledged { h } => write!(f, "acknowledged by h={h}"),
            What::Unknown => write!(f, "its session is lost; whether the server has it is unknown"),
            What::Bounced(condition) => write!(f, "came back with {condition}"),
            What::Received { session, number } => {
                write!(f, "received as number {number} of the receiver's session {session}")
            }
        }
    }
}
