//! The healthy: sessions that send each other messages at a steady rate, whatever happens beside
//! them, and keep a ledger of what arrived.
//!
//! Rate and schedule do not depend on answers (an open loop), so that a server that stalls shows in
//! the latency of everything that should have been sent meanwhile.

use std::io::{self, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::stage::{DOMAIN, role};
use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::login;
use crate::script::Stage;
use crate::server::Listeners;

/// Sessions of one account: below the limit of the server.
const RESOURCES: usize = 25;

/// Messages a second, all sessions together.
const RATE: u32 = 1_000;

/// Over which latencies are summed up: so many that the worst hundredth is several messages.
const WINDOW: Duration = Duration::from_millis(500);

/// How long the last messages may take to arrive.
const PATIENCE: Duration = Duration::from_secs(20);

/// Logins at once.
const LOGINS: usize = 8;

/// What goes on beside the healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Beside {
    /// They are silent themselves.
    Pause,
    /// Nothing.
    Quiet,
    /// An attack.
    Attack,
}

/// Names of the accounts that so many sessions need.
pub fn accounts(sessions: usize) -> Vec<String> {
    (0..sessions.div_ceil(RESOURCES)).map(|number| format!("healthy{number}")).collect()
}

/// The address of one of them.
pub fn address(number: usize) -> String {
    format!("healthy{}@{DOMAIN}/r{number}", number / RESOURCES)
}

/// What the healthy noticed.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Messages sent.
    pub sent: u64,
    /// Messages that never arrived.
    pub lost: u64,
    /// Messages that arrived again, or behind a later one.
    pub misplaced: u64,
    /// Sessions whose connection ended.
    pub disconnected: u64,
    /// The 99th percentile of each window in which nothing else went on, ascending.
    pub quiet: Vec<Duration>,
    /// Of each window in which an attack went on, ascending.
    pub attacked: Vec<Duration>,
}

impl Report {
    /// Whether nothing was lost, repeated or reordered, and nobody disconnected.
    pub fn is_clean(&self) -> bool {
        self.sent > 0 && self.lost + self.misplaced + self.disconnected == 0
    }
}

/// The middle of ascending values.
pub fn median(values: &[Duration]) -> Duration {
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Sessions at work, on a thread of their own.
pub struct Crowd {
    beside: Arc<AtomicU8>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Report>>,
}

impl Crowd {
    /// Logs `sessions` in, an even number, and lets them begin in silence.
    pub fn gather(sessions: usize, at: &Listeners) -> Result<Crowd> {
        let members = log_in(sessions, at)?;
        let beside = Arc::new(AtomicU8::new(Beside::Pause as u8));
        let stop = Arc::new(AtomicBool::new(false));
        let mut work = Work::new(members, Arc::clone(&beside), Arc::clone(&stop))?;
        let thread = std::thread::Builder::new()
            .name("healthy".into())
            .spawn(move || work.run())
            .map_err(Error::io("starting a thread"))?;
        Ok(Crowd { beside, stop, thread })
    }

    /// Says what goes on from now on.
    pub fn say(&self, beside: Beside) {
        self.beside.store(beside as u8, Ordering::Relaxed);
    }

    /// Lets the last messages arrive and reports.
    pub fn dismiss(self) -> Result<Report> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| Error::unexpected("the healthy panicked"))?
    }
}

struct Member {
    stream: TcpStream,
    jid: String,
    received: Vec<u8>,
    unsent: Vec<u8>,
    /// Of the messages this member sends, the next; of those it receives, the next expected.
    next_out: u64,
    next_in: u64,
    gone: bool,
}

fn log_in(sessions: usize, at: &Listeners) -> Result<Vec<(Connection, String)>> {
    let member = |number: usize| {
        let role = role(&format!("healthy{}", number / RESOURCES), &format!("r{number}"));
        let (connection, jid) = login::connect(&role, at, Stage::Bind)?;
        Ok((connection, jid.unwrap_or_default()))
    };
    let share = sessions.div_ceil(LOGINS);
    let part =
        |first: usize| (first..sessions.min(first + share)).map(member).collect::<Result<Vec<_>>>();
    std::thread::scope(|scope| {
        let firsts = (0..sessions).step_by(share);
        let parts: Vec<_> = firsts.map(|first| scope.spawn(move || part(first))).collect();
        let mut members = Vec::with_capacity(sessions);
        for part in parts {
            members.extend(part.join().map_err(|_| Error::unexpected("a login panicked"))??);
        }
        Ok(members)
    })
}

struct Work {
    poll: Poll,
    members: Vec<Member>,
    beside: Arc<AtomicU8>,
    stop: Arc<AtomicBool>,
    began: Instant,
    window: Window,
    report: Report,
}

/// Latencies of one window.
struct Window {
    beside: Option<Beside>,
    until: Instant,
    latencies: Vec<Duration>,
}

impl Work {
    fn new(
        members: Vec<(Connection, String)>,
        beside: Arc<AtomicU8>,
        stop: Arc<AtomicBool>,
    ) -> Result<Work> {
        let poll = Poll::new().map_err(Error::io("epoll"))?;
        let mut joined = Vec::with_capacity(members.len());
        for (number, (connection, jid)) in members.into_iter().enumerate() {
            let tcp = connection.into_tcp().ok_or(Error::Closed)?;
            tcp.set_nonblocking(true).map_err(Error::io("a non-blocking socket"))?;
            let mut stream = TcpStream::from_std(tcp);
            let interest = Interest::READABLE | Interest::WRITABLE;
            let registered = poll.registry().register(&mut stream, Token(number), interest);
            registered.map_err(Error::io("epoll"))?;
            let (received, unsent) = (Vec::new(), Vec::new());
            let (next_out, next_in, gone) = (0, 0, false);
            joined.push(Member { stream, jid, received, unsent, next_out, next_in, gone });
        }
        let now = Instant::now();
        let window = Window { beside: None, until: now, latencies: Vec::new() };
        let report = Report::default();
        Ok(Work { poll, members: joined, beside, stop, began: now, window, report })
    }

    fn run(&mut self) -> Result<Report> {
        let every = Duration::from_secs(1) / RATE;
        let mut turn = 0usize;
        let mut next = Instant::now();
        let mut over = None;
        let mut events = Events::with_capacity(1024);
        loop {
            let now = Instant::now();
            let beside = self.beside();
            if self.stop.load(Ordering::Relaxed) {
                let over = *over.get_or_insert(now + PATIENCE);
                if self.all_arrived() || now > over {
                    break;
                }
                next = now + WINDOW;
            } else if beside == Beside::Pause {
                next = now + every;
            }
            self.turn_window(now, beside);
            while next <= now {
                // The time it should have been sent counts, not the time it was.
                self.send_one(turn, next);
                turn += 1;
                next += every;
            }
            let wait = next.saturating_duration_since(Instant::now()).min(WINDOW / 10);
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => result.map_err(Error::io("epoll"))?,
            }
            for event in &events {
                let Token(number) = event.token();
                self.receive(number);
                self.send_rest(number);
            }
        }
        self.sum_up();
        Ok(std::mem::take(&mut self.report))
    }

    fn beside(&self) -> Beside {
        match self.beside.load(Ordering::Relaxed) {
            1 => Beside::Quiet,
            2 => Beside::Attack,
            _ => Beside::Pause,
        }
    }

    /// A window that something else began in is dropped, so that none is of two kinds.
    fn turn_window(&mut self, now: Instant, beside: Beside) {
        let window = &mut self.window;
        if window.beside != Some(beside) {
            window.latencies.clear();
        } else if now >= window.until {
            if let Some(p99) = percentile(&mut window.latencies) {
                match beside {
                    Beside::Quiet => self.report.quiet.push(p99),
                    Beside::Attack => self.report.attacked.push(p99),
                    Beside::Pause => {}
                }
            }
            window.latencies.clear();
        } else {
            return;
        }
        window.beside = Some(beside);
        window.until = now + WINDOW;
    }

    fn send_one(&mut self, turn: usize, due: Instant) {
        let from = turn % self.members.len();
        let to = self.members[from ^ 1].jid.clone();
        let sender = &mut self.members[from];
        if sender.gone {
            return;
        }
        let sequence = sender.next_out;
        sender.next_out += 1;
        self.report.sent += 1;
        let at = due.saturating_duration_since(self.began).as_micros();
        let message = format!(
            "<message to='{to}' type='chat' id='h-{sequence}-{at}'><body>Good morrow.</body></message>"
        );
        sender.unsent.extend_from_slice(message.as_bytes());
        self.send_rest(from);
    }

    fn send_rest(&mut self, number: usize) {
        let member = &mut self.members[number];
        while !member.unsent.is_empty() && !member.gone {
            match member.stream.write(&member.unsent) {
                Ok(count) => drop(member.unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => member.gone = true,
            }
        }
    }

    fn receive(&mut self, number: usize) {
        let member = &mut self.members[number];
        let mut chunk = [0; 16 * 1024];
        while !member.gone {
            match member.stream.read(&mut chunk) {
                Ok(0) => member.gone = true,
                Ok(count) => member.received.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => member.gone = true,
            }
        }
        let now = Instant::now();
        while let Some(end) = find(&member.received, b"</message>") {
            let message: Vec<u8> = member.received.drain(..end).collect();
            let Some((sequence, at)) = read_id(&message) else { continue };
            if sequence < member.next_in {
                self.report.misplaced += 1;
                continue;
            }
            self.report.lost += sequence - member.next_in;
            member.next_in = sequence + 1;
            let sent = self.began + Duration::from_micros(at);
            self.window.latencies.push(now.saturating_duration_since(sent));
        }
    }

    fn all_arrived(&self) -> bool {
        let mut pairs = self.members.chunks_exact(2);
        pairs.all(|pair| pair[0].next_out <= pair[1].next_in && pair[1].next_out <= pair[0].next_in)
    }

    fn sum_up(&mut self) {
        for pair in self.members.chunks_exact(2) {
            self.report.lost += pair[0].next_out.saturating_sub(pair[1].next_in);
            self.report.lost += pair[1].next_out.saturating_sub(pair[0].next_in);
        }
        self.report.disconnected = self.members.iter().filter(|member| member.gone).count() as u64;
        self.report.quiet.sort_unstable();
        self.report.attacked.sort_unstable();
    }
}

/// `None` of fewer than what makes a hundredth.
fn percentile(latencies: &mut [Duration]) -> Option<Duration> {
    if latencies.len() < 100 {
        return None;
    }
    latencies.sort_unstable();
    latencies.get(latencies.len() * 99 / 100).copied()
}

/// The offset behind the first `needle`.
fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle).map(|at| at + needle.len())
}

/// Number and time (microseconds) of a message of ours, from its `id`.
fn read_id(message: &[u8]) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(message).ok()?;
    let (_, rest) = text.split_once(" id=")?;
    let rest = rest.trim_start_matches(['\'', '"']).strip_prefix("h-")?;
    let (sequence, rest) = rest.split_once('-')?;
    let end = rest.find(['\'', '"'])?;
    Some((sequence.parse().ok()?, rest[..end].parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_tells_its_number_and_time_however_it_is_quoted() {
        assert_eq!(read_id(b"<message id='h-7-99' to='a@b/h'/>"), Some((7, 99)));
        assert_eq!(read_id(b"<message to=\"a@b\" id=\"h-7-99\">"), Some((7, 99)));
        assert_eq!(read_id(b"<message id='x'><body>h-7-99'</body></message>"), None);
    }

    #[test]
    fn a_window_of_few_messages_says_nothing() {
        let mut few = vec![Duration::from_millis(1); 99];
        assert_eq!(percentile(&mut few), None);
        let mut many: Vec<_> = (0..200).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&mut many), Some(Duration::from_millis(198)));
    }
}
