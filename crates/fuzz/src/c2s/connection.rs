//! A connection as the edge would drive it: events are handled in order, requests answered when the
//! script says so.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use jackdaw_jid::{BareJid, FullJid};
use jackdaw_stanza::{Builder, Delivery, Settle, Stanza, StanzaError};
use jackdaw_stdx::Arena;
use jackdaw_stream::c2s::{
    Answer, Bind, C2sConfig, CsiConfig, Cx, Deadlines, Disconnected, Event, Host, IssuedToken,
    KeepaliveConfig, Kept, Request, Resume, ResumeFailed, Seed, SmConfig, StartTls, StreamLimits,
    TlsInfo, Transport,
};
use jackdaw_stream::sasl::{self, SaslConfig, SaslFailure, Secret};
use jackdaw_stream::{C2s, StreamError};

use super::Ledger;
use super::output::Output;
use crate::account::{self, DOMAIN, JULIET};

/// Deliveries a client may leave unacknowledged.
const UNACKED_STANZAS_MAX: usize = 20;

/// What one call may write, besides a multiple of what it read: a header with features, or all that
/// is unacknowledged.
const OUTPUT_BYTES_MAX: usize = 16 * 1024;

/// Bytes of an answer per byte read: `<r/>` is answered with a longer `<a/>`.
const OUTPUT_FACTOR_MAX: usize = 16;

/// Bits of a character, so that seeds can be typed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options(pub u8);

impl Options {
    fn has(self, bit: u8) -> bool {
        self.0 & 1 << bit != 0
    }

    /// Direct TLS.
    fn is_secure(self) -> bool {
        self.has(0)
    }

    /// Requests are answered, stanzas accepted and handshakes done without a sign.
    fn is_at_once(self) -> bool {
        self.has(1)
    }

    /// TLS is optional where it is not direct.
    fn is_tls_optional(self) -> bool {
        self.has(2)
    }

    /// The client has a certificate, and accounts can be registered.
    fn has_certificate(self) -> bool {
        self.has(3)
    }

    fn transport(self) -> Transport {
        match (self.is_secure(), self.is_tls_optional()) {
            (true, _) => Transport::Secure(self.tls()),
            (false, true) => Transport::Plain(StartTls::Optional),
            (false, false) => Transport::Plain(StartTls::Required),
        }
    }

    fn tls(self) -> TlsInfo {
        let juliet = || BareJid::parse(JULIET).expect("a JID");
        TlsInfo {
            exporter: Some([0xe0; 32]),
            server_end_point: Some([0xed; 32].into()),
            sni: None,
            identities: self.has_certificate().then(juliet).into_iter().collect(),
        }
    }

    fn config(self) -> Arc<C2sConfig> {
        static CONFIGS: LazyLock<[Arc<C2sConfig>; 2]> =
            LazyLock::new(|| [false, true].map(|registration| Arc::new(config(registration))));
        Arc::clone(&CONFIGS[usize::from(self.has_certificate())])
    }
}

/// One domain, every mechanism, small bounds.
fn config(registration: bool) -> C2sConfig {
    let sasl = SaslConfig { anonymous: true, external: true, plain: true, ..SaslConfig::default() };
    C2sConfig {
        hosts: [Host { domain: DOMAIN.into(), sasl }].into_iter().collect(),
        deadlines: Deadlines::default(),
        limits: StreamLimits::default(),
        sasl_attempts_max: 3,
        decoy: account::decoy(),
        resource_secret: [5; 32],
        sm: SmConfig {
            unacked_stanzas_max: UNACKED_STANZAS_MAX,
            request_every: 5,
            ..SmConfig::default()
        },
        csi: CsiConfig { held_stanzas_max: 4, ..CsiConfig::default() },
        keepalive: KeepaliveConfig::default(),
        sasl2: true,
        registration,
        extra_features: Default::default(),
    }
}

/// What there was to see of a connection.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Transcript {
    written: String,
    events: Vec<String>,
}

/// A stream machine and what its driver keeps for it.
#[derive(Debug)]
pub(super) struct Connection {
    options: Options,
    c2s: C2s,
    /// None: the socket is gone.
    output: Option<Output>,
    arena: Arena,
    out: Vec<u8>,
    events: VecDeque<Event>,
    /// What was not consumed.
    backlog: Vec<u8>,
    waiting: VecDeque<Request>,
    in_handshake: bool,
    /// `<starttls/>` was among these bytes.
    is_deaf: bool,
    /// Stanzas that are not accepted.
    received: VecDeque<u32>,
    is_closed: bool,
    is_ended: bool,
    was_bound: bool,
    transcript: Transcript,
}

impl Connection {
    pub fn new(options: Options, seed: Seed, now: Instant) -> Connection {
        Connection {
            options,
            c2s: C2s::new(options.config(), options.transport(), seed, now),
            output: Some(Output::new()),
            arena: Arena::new(),
            out: Vec::new(),
            events: VecDeque::new(),
            backlog: Vec::new(),
            waiting: VecDeque::new(),
            in_handshake: false,
            is_deaf: false,
            received: VecDeque::new(),
            is_closed: false,
            is_ended: false,
            was_bound: false,
            transcript: Transcript::default(),
        }
    }

    /// Bytes of the socket, if there still is one.
    pub fn hear(
        &mut self,
        now: Instant,
        old: &mut Option<Connection>,
        ledger: &mut Ledger,
        bytes: &[u8],
        read_bytes_max: usize,
    ) {
        self.is_deaf = false;
        for read in bytes.chunks(read_bytes_max) {
            // What stands behind `<starttls/>` is dropped, and a closed socket gives nothing.
            if self.output.is_none() || self.is_closed || self.in_handshake || self.is_deaf {
                return;
            }
            self.backlog.extend_from_slice(read);
            self.read_on(now, old, ledger);
        }
    }

    /// Offers what was not consumed, as long as some of it is.
    fn read_on(&mut self, now: Instant, old: &mut Option<Connection>, ledger: &mut Ledger) {
        while !self.backlog.is_empty() {
            let backlog = std::mem::take(&mut self.backlog);
            let offered = backlog.len();
            let mut consumed = 0;
            self.call(now, ledger, offered, |c2s, cx| consumed = c2s.handle_bytes(cx, &backlog));
            let starts_tls = self.events.iter().any(|event| matches!(event, Event::StartTls));
            self.is_deaf |= starts_tls;
            if !starts_tls {
                self.backlog = backlog.get(consumed..).expect("no more than offered").to_vec();
            }
            self.handle_events(now, old, ledger);
            if consumed == 0 || self.is_closed || self.in_handshake {
                return;
            }
        }
    }

    /// Calls the machine and looks at what it wrote.
    fn call(
        &mut self,
        now: Instant,
        ledger: &mut Ledger,
        read: usize,
        call: impl FnOnce(&mut C2s, &mut Cx<'_>),
    ) {
        let mut cx = Cx {
            now,
            out: &mut self.out,
            unsent: 0,
            arena: &mut self.arena,
            events: &mut self.events,
        };
        call(&mut self.c2s, &mut cx);
        let written = std::mem::take(&mut self.out);
        assert!(written.len() <= OUTPUT_BYTES_MAX + OUTPUT_FACTOR_MAX * read, "out of proportion");
        if let Some(output) = &mut self.output {
            output.read(&written);
            output.check_whole();
        }
        assert!(!self.c2s.is_established() || self.c2s.next_timeout().is_some(), "never probed");
        for event in &self.events {
            if let Event::Settled(Settle(number)) = event {
                ledger.close(*number);
            }
        }
        self.events.retain(|event| !matches!(event, Event::Settled(_)));
    }

    fn handle_events(&mut self, now: Instant, old: &mut Option<Connection>, ledger: &mut Ledger) {
        while let Some(event) = self.events.pop_front() {
            self.note(&event);
            match event {
                Event::Request(request) if self.options.is_at_once() => {
                    let answer = find_out(request, now, old, ledger);
                    self.answer(now, ledger, answer);
                }
                Event::Request(request) => self.waiting.push_back(request),
                Event::StartTls => {
                    self.in_handshake = true;
                    if self.options.is_at_once() {
                        self.secure(now, ledger);
                    }
                }
                Event::Stanza { stanza, number } => {
                    check_stanza(&stanza);
                    self.received.extend(number);
                    if self.options.is_at_once() {
                        self.accept(now, ledger, VecDeque::pop_front);
                    }
                }
                Event::Ended => {
                    assert!(!self.is_ended, "a session that ends twice");
                    self.is_ended = true;
                }
                Event::Close => {
                    assert!(!self.is_closed, "a connection that is closed twice");
                    self.is_closed = true;
                }
                Event::Leaving => self.call(now, ledger, 0, C2s::left),
                Event::Record(h) => self.call(now, ledger, 0, |c2s, cx| c2s.recorded(cx, h)),
                Event::Numbered { .. } => unreachable!("nothing that is held is delivered"),
                Event::Settled(_)
                | Event::Room
                | Event::Resumed { .. }
                | Event::ClientState(_)
                | Event::SmEnabled { .. }
                | Event::Outcome(_) => {}
            }
            assert!(self.waiting.len() <= 1, "asked before the answer was there");
        }
    }

    /// What does not depend on the cuts, for comparison.
    fn note(&mut self, event: &Event) {
        let line = match event {
            Event::Stanza { stanza, number } => format!("{number:?} {:?}", stanza.to_bytes()),
            other => format!("{other:?}"),
        };
        self.transcript.events.push(line);
    }

    /// Answers the request that waits: with what there is, or that it cannot be found out.
    pub fn answer_next(
        &mut self,
        now: Instant,
        old: &mut Option<Connection>,
        ledger: &mut Ledger,
        is_found: bool,
    ) {
        let Some(request) = self.waiting.pop_front() else { return };
        let answer = match is_found {
            true => find_out(request, now, old, ledger),
            false => refuse(request),
        };
        self.answer(now, ledger, answer);
        self.handle_events(now, old, ledger);
        self.read_on(now, old, ledger);
    }

    fn answer(&mut self, now: Instant, ledger: &mut Ledger, answer: Answer) {
        self.was_bound |= matches!(answer, Answer::Bound { .. } | Answer::Resumed(_));
        self.call(now, ledger, 0, |c2s, cx| c2s.answer(cx, answer));
    }

    /// Answers everything, with nobody left to resume.
    pub fn answer_all(&mut self, now: Instant, ledger: &mut Ledger) {
        while !self.waiting.is_empty() {
            self.answer_next(now, &mut None, ledger, true);
        }
    }

    /// The handshake is done, if there is one.
    pub fn finish_handshake(
        &mut self,
        now: Instant,
        old: &mut Option<Connection>,
        ledger: &mut Ledger,
    ) {
        if self.in_handshake && !self.is_closed && self.output.is_some() {
            self.secure(now, ledger);
            self.handle_events(now, old, ledger);
        }
    }

    fn secure(&mut self, now: Instant, ledger: &mut Ledger) {
        self.in_handshake = false;
        let tls = self.options.tls();
        self.call(now, ledger, 0, |c2s, cx| c2s.handle_secured(cx, tls));
    }

    /// A message from somebody who waits for its fate.
    pub fn deliver_message(&mut self, now: Instant, ledger: &mut Ledger) {
        let message = Builder::message().raw_payload(b"<body>Ay me!</body>");
        let number = ledger.propose();
        self.deliver(now, ledger, message, Some(number));
    }

    /// Presence, which nobody waits for and an inactive client need not see at once.
    pub fn deliver_presence(&mut self, now: Instant, ledger: &mut Ledger) {
        self.deliver(now, ledger, Builder::presence(), None);
    }

    fn deliver(&mut self, now: Instant, ledger: &mut Ledger, stanza: Builder, number: Option<u64>) {
        let from = FullJid::parse("romeo@example.org/orchard").expect("a JID");
        let to = FullJid::parse("juliet@example.org/balcony").expect("a JID");
        let stanza = stanza.from(from).to(to).build();
        // It may be settled before the call returns.
        number.into_iter().for_each(|number| ledger.open(number));
        let delivery = Delivery { stanza, settle: number.map(Settle), position: 0 };
        let mut refused = false;
        self.call(now, ledger, 0, |c2s, cx| refused = c2s.send(cx, delivery).is_err());
        // Without stream management it is settled when the socket has it.
        if refused || !self.c2s.is_sm_enabled() {
            number.into_iter().for_each(|number| ledger.close(number));
        }
        self.handle_events(now, &mut None, ledger);
    }

    /// The oldest stanza of the client that is not accepted is.
    pub fn accept_first(
        &mut self,
        now: Instant,
        old: &mut Option<Connection>,
        ledger: &mut Ledger,
    ) {
        self.accept(now, ledger, VecDeque::pop_front);
        self.handle_events(now, old, ledger);
        self.read_on(now, old, ledger);
    }

    /// The youngest one is.
    pub fn accept_last(&mut self, now: Instant, old: &mut Option<Connection>, ledger: &mut Ledger) {
        self.accept(now, ledger, VecDeque::pop_back);
        self.handle_events(now, old, ledger);
        self.read_on(now, old, ledger);
    }

    fn accept(
        &mut self,
        now: Instant,
        ledger: &mut Ledger,
        take: fn(&mut VecDeque<u32>) -> Option<u32>,
    ) {
        if let Some(number) = take(&mut self.received) {
            self.call(now, ledger, 0, |c2s, cx| c2s.accepted(cx, number));
        }
    }

    /// Later stanzas of the client are held back.
    pub fn pause(&mut self) {
        self.c2s.pause();
    }

    /// They are not.
    pub fn go_on(&mut self, now: Instant, old: &mut Option<Connection>, ledger: &mut Ledger) {
        self.call(now, ledger, 0, |c2s, cx| c2s.resume(cx));
        self.handle_events(now, old, ledger);
        self.read_on(now, old, ledger);
    }

    /// The socket is gone.
    pub fn disconnect(&mut self, now: Instant) -> Disconnected {
        if let Some(output) = self.output.take() {
            self.transcript.written = output.into_text();
        }
        self.backlog.clear();
        self.c2s.handle_disconnect(now)
    }

    /// The server ends the stream.
    pub fn close(&mut self, now: Instant, ledger: &mut Ledger, error: StreamError) {
        self.call(now, ledger, 0, |c2s, cx| c2s.close(cx, Some(error)));
        self.handle_events(now, &mut None, ledger);
    }

    /// Timers fire as they are due.
    pub fn wait_until(&mut self, until: Instant, ledger: &mut Ledger) {
        while let Some(due) = self.c2s.next_timeout().filter(|due| *due <= until) {
            self.call(due, ledger, 0, |c2s, cx| c2s.handle_timeout(cx));
            assert!(self.c2s.next_timeout().is_none_or(|next| next > due), "due again at once");
            self.handle_events(due, &mut None, ledger);
        }
    }

    /// Nothing is left, and nothing was lost.
    pub fn check_over(mut self, ledger: &mut Ledger, was_resumable: bool) -> Transcript {
        assert_eq!(self.c2s.next_timeout(), None);
        assert_eq!(self.c2s.jid(), None);
        assert!(!was_resumable || self.is_ended, "kept for a resumption, and never ended");
        assert!(self.was_bound || !self.is_ended, "the end of a session that never was");
        let left = self.c2s.take_unacknowledged();
        assert!(left.len() <= UNACKED_STANZAS_MAX);
        give_back(left, ledger);
        self.transcript
    }
}

fn give_back(left: Vec<Delivery>, ledger: &mut Ledger) {
    left.into_iter().filter_map(|delivery| delivery.settle).for_each(|Settle(number)| {
        ledger.close(number);
    });
}

/// What is handed on can be written and read.
fn check_stanza(stanza: &Stanza) {
    let bytes = stanza.to_bytes();
    let (_, is_canonical) = crate::events::ours(&bytes).expect("a stanza is well-formed");
    assert!(is_canonical, "{bytes:?}");
}

fn find_out(
    request: Request,
    now: Instant,
    old: &mut Option<Connection>,
    ledger: &mut Ledger,
) -> Answer {
    match request {
        Request::Sasl { need, .. } => Answer::Sasl(account::find_out(&need)),
        Request::Fast(work) => Answer::Fast(Ok(work.issue.map(|_| IssuedToken {
            token: Secret::new("token".to_owned()),
            expiry: "2030-01-01T00:00:00Z".to_owned(),
        }))),
        Request::Bind(Bind { jid, .. }) => Answer::Bound { jid, session: 7 },
        Request::Resume(resume) => take_session(&resume, now, old, ledger),
        Request::Enable(_) => Answer::Enabled(Kept::Durably),
        Request::Register(iq) => Answer::Register(iq.result(None)),
    }
}

fn take_session(
    resume: &Resume,
    now: Instant,
    old: &mut Option<Connection>,
    ledger: &mut Ledger,
) -> Answer {
    let Some(old) = old else {
        return Answer::ResumeFailed(ResumeFailed::NotFound { h: None });
    };
    let mut detached = None;
    old.call(now, ledger, 0, |c2s, cx| detached = Some(c2s.detach(cx, resume)));
    old.handle_events(now, &mut None, ledger);
    match detached.expect("it was called") {
        Ok(detached) => Answer::Resumed(detached),
        Err(failed) => Answer::ResumeFailed(failed),
    }
}

fn refuse(request: Request) -> Answer {
    match request {
        Request::Sasl { .. } => Answer::Sasl(sasl::Answer::Unavailable),
        Request::Fast(_) => Answer::Fast(Err(SaslFailure::temporary_auth_failure())),
        Request::Bind(_) => Answer::BindRefused(StanzaError::conflict()),
        Request::Resume(_) => Answer::ResumeFailed(ResumeFailed::NotFound { h: Some(1) }),
        Request::Enable(_) => Answer::Enabled(Kept::Not),
        Request::Register(iq) => Answer::Register(iq.error(&StanzaError::not_allowed())),
    }
}
