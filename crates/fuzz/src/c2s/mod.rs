//! The client stream: whole conversations, with time passing and requests answered in between.
//!
//! Nothing panics, memory and output stay in proportion, what is written is a well-formed stream,
//! every session ends once, and every delivery is settled or given back, once.

mod connection;
mod output;

use std::collections::HashSet;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use jackdaw_stream::StreamError;
use jackdaw_stream::c2s::{Disconnected, Seed};

use crate::script::{Piece, pieces};
use connection::{Connection, Options, Transcript};

/// The clock's zero. Nothing waits for it to move.
#[expect(clippy::disallowed_methods, reason = "an `Instant` has no other origin")]
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// How much time each digit lets pass, in milliseconds: around the delay of an acknowledgement,
/// the deadlines of negotiation, keep-alive, and the end of a resumption.
const WAITS: [u64; 10] = [1, 20, 500, 1_000, 5_000, 10_000, 30_000, 61_000, 301_000, 700_000];

/// Past every deadline there is.
const FOR_EVER: Duration = Duration::from_secs(1_000_000);

/// Connections of one conversation. More show nothing new and cost time.
const CONNECTIONS_MAX: u8 = 4;

/// A character for the connections (see [`Options`]), then what the client sends, with signs:
///
/// | sign | what happens |
/// |---|---|
/// | `^0` … `^9` | time passes, see [`WAITS`] |
/// | `^a`, `^f` | what the stream asked first is answered, or cannot be found out |
/// | `^h` | the TLS handshake is done |
/// | `^m`, `^u` | a message that somebody waits for, or presence, is delivered |
/// | `^k`, `^l` | the first, or the last, stanza of the client is accepted |
/// | `^p`, `^r` | the stream is paused, goes on |
/// | `^d`, `^n` | the connection breaks, or another one is opened |
/// | `^x` | the server shuts down |
/// | `^,` | nothing: what is before and behind it comes by two reads |
///
/// Played twice, with the client's bytes whole and one at a time, it has to give the same.
pub(crate) fn run(data: &[u8]) {
    let Some((options, script)) = data.split_first() else { return };
    let options = Options(*options);
    let whole = Conversation::play(options, script, usize::MAX);
    let cut = Conversation::play(options, script, 1);
    assert_eq!(cut, whole, "cut into bytes it gives something else");
}

fn is_sign(byte: u8) -> bool {
    byte.is_ascii_digit() || b"afhmuklprdnx,".contains(&byte)
}

/// A client with one connection at a time, and the one it had before.
struct Conversation {
    options: Options,
    now: Instant,
    /// Bytes per read.
    read_bytes_max: usize,
    current: Connection,
    /// Its session can be resumed by `current`.
    old: Option<Connection>,
    opened: u8,
    ledger: Ledger,
    transcripts: Vec<Transcript>,
}

impl Conversation {
    fn play(options: Options, script: &[u8], read_bytes_max: usize) -> Vec<Transcript> {
        let mut conversation = Conversation {
            options,
            now: *EPOCH,
            read_bytes_max,
            current: Connection::new(options, Seed([1; 32]), *EPOCH),
            old: None,
            opened: 1,
            ledger: Ledger::default(),
            transcripts: Vec::new(),
        };
        for piece in pieces(script, is_sign) {
            match piece {
                Piece::Bytes(bytes) => conversation.hear(bytes),
                Piece::Sign(sign) => conversation.happen(sign),
            }
        }
        conversation.finish()
    }

    fn hear(&mut self, bytes: &[u8]) {
        let (old, ledger) = (&mut self.old, &mut self.ledger);
        self.current.hear(self.now, old, ledger, bytes, self.read_bytes_max);
    }

    fn happen(&mut self, sign: u8) {
        let (now, ledger) = (self.now, &mut self.ledger);
        match sign {
            b'0'..=b'9' => {
                self.wait(Duration::from_millis(WAITS[usize::from(sign - b'0')]));
            }
            b'a' => self.current.answer_next(now, &mut self.old, ledger, true),
            b'f' => self.current.answer_next(now, &mut self.old, ledger, false),
            b'h' => self.current.finish_handshake(now, &mut self.old, ledger),
            b'm' => self.current.deliver_message(now, ledger),
            b'u' => self.current.deliver_presence(now, ledger),
            b'k' => self.current.accept_first(now, &mut self.old, ledger),
            b'l' => self.current.accept_last(now, &mut self.old, ledger),
            b'p' => self.current.pause(),
            b'r' => self.current.go_on(now, &mut self.old, ledger),
            b'd' => drop(self.current.disconnect(now)),
            b'n' => self.connect(),
            b'x' => self.current.close(now, ledger, StreamError::system_shutdown()),
            _ => {}
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        for connection in self.old.iter_mut().chain([&mut self.current]) {
            connection.wait_until(self.now, &mut self.ledger);
        }
    }

    fn connect(&mut self) {
        if self.opened == CONNECTIONS_MAX {
            return;
        }
        self.opened += 1;
        let fresh = Connection::new(self.options, Seed([self.opened; 32]), self.now);
        let before = std::mem::replace(&mut self.current, fresh);
        if let Some(forgotten) = self.old.replace(before) {
            self.end(forgotten);
        }
    }

    fn finish(mut self) -> Vec<Transcript> {
        if let Some(old) = self.old.take() {
            self.end(old);
        }
        let current = std::mem::replace(
            &mut self.current,
            Connection::new(self.options, Seed([0; 32]), self.now),
        );
        self.end(current);
        assert!(self.ledger.open.is_empty(), "neither settled nor given back");
        self.transcripts
    }

    /// Nobody is there any more. In the end nothing is left of a connection.
    fn end(&mut self, mut connection: Connection) {
        let ledger = &mut self.ledger;
        connection.wait_until(self.now + FOR_EVER, ledger);
        let is_resumable = connection.disconnect(self.now) == Disconnected::Resumable;
        connection.wait_until(self.now + 2 * FOR_EVER, ledger);
        // What was under way arrives late, and is not forgotten either.
        connection.answer_all(self.now + 2 * FOR_EVER, ledger);
        connection.wait_until(self.now + 3 * FOR_EVER, ledger);
        self.transcripts.push(connection.check_over(ledger, is_resumable));
    }
}

/// The deliveries that somebody waits for.
#[derive(Default)]
pub(super) struct Ledger {
    next: u64,
    open: HashSet<u64>,
}

impl Ledger {
    /// A new one, which is under way if the stream takes it.
    pub(super) fn propose(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// A stream took it.
    pub(super) fn open(&mut self, number: u64) {
        self.open.insert(number);
    }

    /// The client has it, or it is given back.
    pub(super) fn close(&mut self, number: u64) {
        assert!(self.open.remove(&number), "{number} is settled or given back a second time");
    }
}
