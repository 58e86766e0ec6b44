//! A stream machine, a driver that answers its requests, and what passed between it and a client.

use jackdaw_jid::{BareJid, FullJid};
use jackdaw_stanza::{Builder, Delivery, Settle, Stanza};
use jackdaw_stdx::Arena;
use jackdaw_stream::c2s::{
    Answer, Bind, C2sConfig, CsiConfig, Cx, Deadlines, Detached, Event, FastWork, Host,
    IssuedToken, KeepaliveConfig, Kept, Request, Restored, Resume, ResumeFailed, Seed, SmConfig,
    StartTls, StreamLimits, TlsInfo, Transport,
};
use jackdaw_stream::sasl::{
    self, Credentials, Decoy, FastTokens, Generation, ITERATIONS_MIN, Need, Password, SALT_BYTES,
    SaslConfig, Secret, UnixSeconds,
};
use jackdaw_stream::{C2s, StreamError};
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

pub const HEADER: &str = "<?xml version='1.0'?><stream:stream to='example.org' version='1.0' \
    xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
pub const AUTH: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>\
    AGp1bGlldAByMG0zMA==</auth>";
pub const BIND: &str = "<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
    <resource>balcony</resource></bind></iq>";

const ITERATIONS: NonZeroU32 = NonZeroU32::new(ITERATIONS_MIN).expect("not zero");
pub const GENERATION: Generation = Generation(42);
pub const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

/// The account `juliet@example.org` with the password `r0m30`.
static JULIET: LazyLock<Credentials> = LazyLock::new(|| {
    let password = Password::prepare("r0m30").expect("a password");
    Credentials::derive(GENERATION, &password, [3; SALT_BYTES], ITERATIONS)
});

/// The clock's zero. No test waits for it to move.
#[expect(clippy::disallowed_methods, reason = "an `Instant` has no other origin")]
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Two domains, PLAIN too, and small bounds.
pub fn config() -> C2sConfig {
    let sasl = SaslConfig { plain: true, ..SaslConfig::default() };
    let host = |domain: &str| Host { domain: domain.into(), sasl: sasl.clone() };
    C2sConfig {
        hosts: ["example.org", "example.net"].into_iter().map(host).collect(),
        deadlines: Deadlines::default(),
        limits: StreamLimits::default(),
        sasl_attempts_max: 3,
        decoy: Arc::new(Decoy::new([9; 32], ITERATIONS)),
        resource_secret: [5; 32],
        sm: SmConfig { unacked_stanzas_max: 20, request_every: 5, ..SmConfig::default() },
        csi: CsiConfig::default(),
        keepalive: KeepaliveConfig::default(),
        sasl2: true,
        registration: false,
        extra_features: Default::default(),
    }
}

pub fn tls() -> TlsInfo {
    TlsInfo {
        exporter: Some([0xe0; 32]),
        server_end_point: Some([0xed; 32].into()),
        sni: None,
        identities: Vec::new(),
    }
}

pub fn secure() -> Transport {
    Transport::Secure(tls())
}

/// How the client's bytes are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    Whole,
    Bytes,
}

/// A connection and what is around it.
pub struct Pair {
    pub c2s: C2s,
    pub now: Instant,
    cut: Cut,
    arena: Arena,
    out: Vec<u8>,
    /// What the socket has not taken.
    pub unsent: usize,
    events: VecDeque<Event>,
    /// What was not consumed.
    backlog: Vec<u8>,
    /// What happened, a line each.
    log: Vec<String>,
    pub answers: Answers,
    /// The last stanza that came.
    pub last: Option<Stanza>,
    pub last_number: Option<u32>,
}

/// How the driver answers.
pub struct Answers {
    /// Whether it does so at once.
    pub at_once: bool,
    pub waiting: VecDeque<Request>,
    pub tokens: FastTokens,
    pub issue: Option<IssuedToken>,
    /// The session that may be resumed.
    pub old: Option<Box<Pair>>,
    pub bind: Result<u64, jackdaw_stanza::StanzaError>,
    /// How long sessions are kept that can be resumed.
    pub kept: Kept,
    /// The session that is on record.
    pub restored: Option<Restored>,
    /// Whether stanzas are accepted as they come.
    pub accept: bool,
}

impl Pair {
    pub fn new(cut: Cut, config: C2sConfig, transport: Transport) -> Pair {
        Pair::seeded(cut, config, transport, 1)
    }

    pub fn seeded(cut: Cut, config: C2sConfig, transport: Transport, seed: u8) -> Pair {
        let now = *EPOCH;
        Pair {
            c2s: C2s::new(Arc::new(config), transport, Seed([seed; 32]), now),
            now,
            cut,
            arena: Arena::new(),
            out: Vec::new(),
            unsent: 0,
            events: VecDeque::new(),
            backlog: Vec::new(),
            log: Vec::new(),
            answers: Answers {
                at_once: true,
                waiting: VecDeque::new(),
                tokens: FastTokens::default(),
                issue: None,
                old: None,
                bind: Ok(7),
                kept: Kept::InMemory,
                restored: None,
                accept: true,
            },
            last: None,
            last_number: None,
        }
    }

    /// Bound as `juliet@example.org/balcony`, by PLAIN over direct TLS; nothing logged.
    pub fn established(cut: Cut, config: C2sConfig) -> Pair {
        let mut pair = Pair::new(cut, config, secure());
        pair.log_in();
        pair
    }

    pub fn log_in(&mut self) {
        self.authenticate();
        self.client(BIND);
        assert!(self.c2s.is_established(), "{}", self.log());
        self.log.clear();
    }

    pub fn authenticate(&mut self) {
        for xml in [HEADER, AUTH, HEADER] {
            self.client(xml);
        }
    }

    /// The client sends this.
    pub fn client(&mut self, xml: &str) -> &mut Pair {
        self.client_bytes(xml.as_bytes())
    }

    pub fn client_bytes(&mut self, bytes: &[u8]) -> &mut Pair {
        match self.cut {
            Cut::Whole => self.feed(bytes),
            Cut::Bytes => bytes.chunks(1).for_each(|byte| self.feed(byte)),
        }
        self
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.backlog.extend_from_slice(bytes);
        self.read_on();
    }

    /// Offers what was not consumed, as long as some of it is.
    pub fn read_on(&mut self) {
        loop {
            let backlog = std::mem::take(&mut self.backlog);
            let consumed = self.call(|c2s, cx| c2s.handle_bytes(cx, &backlog));
            let is_done = consumed == 0 || consumed == backlog.len();
            let mut rest = backlog.get(consumed..).expect("no more than offered").to_vec();
            // STARTTLS drops what came behind it.
            if self.log.last().is_some_and(|line| line == "* secured") {
                rest.clear();
            }
            self.backlog = rest;
            if is_done {
                return;
            }
        }
    }

    /// Calls the machine, then does what a driver does.
    pub fn call<R>(&mut self, call: impl FnOnce(&mut C2s, &mut Cx<'_>) -> R) -> R {
        let mut cx = Cx {
            now: self.now,
            out: &mut self.out,
            unsent: self.unsent,
            arena: &mut self.arena,
            events: &mut self.events,
        };
        let result = call(&mut self.c2s, &mut cx);
        self.drive();
        result
    }

    fn drive(&mut self) {
        self.log_output();
        while let Some(event) = self.events.pop_front() {
            match event {
                Event::Request(request) if self.answers.at_once => {
                    let answer = self.find_out(request);
                    self.call(|c2s, cx| c2s.answer(cx, answer));
                }
                Event::Request(request) => self.answers.waiting.push_back(request),
                Event::StartTls if !self.answers.at_once => self.log.push("* handshake".to_owned()),
                Event::StartTls => {
                    self.call(|c2s, cx| c2s.handle_secured(cx, tls()));
                    self.log.push("* secured".to_owned());
                }
                Event::Stanza { stanza, number } => self.take(stanza, number),
                Event::Settled(Settle(number)) => self.log.push(format!("* settled {number}")),
                Event::Room => self.log.push("* room".to_owned()),
                Event::ClientState(state) => self.log.push(format!("* {state:?}")),
                Event::Numbered { settle: Settle(settle), number } => {
                    self.log.push(format!("* {settle} has number {number}"));
                }
                Event::Leaving => self.log.push("* leaving".to_owned()),
                Event::Record(h) => self.log.push(format!("* record h={h}")),
                Event::Resumed { h, is_restored } => {
                    if is_restored {
                        self.log.push(format!("* restored, h={h}"));
                    }
                }
                Event::SmEnabled { resumable, .. } => {
                    self.log.push(format!("* managed, resumable: {resumable}"));
                }
                // Counted by the edge; what the client sees of it is in the log already.
                Event::Outcome(_) => {}
                Event::Ended => self.log.push("* ended".to_owned()),
                Event::Close => self.log.push("* close".to_owned()),
            }
        }
    }

    fn take(&mut self, stanza: Stanza, number: Option<u32>) {
        let mut xml = Vec::new();
        stanza.write_to(&mut xml);
        let xml = String::from_utf8(xml).expect("UTF-8");
        let number_text = number.map(|number| format!(" {number}")).unwrap_or_default();
        self.log.push(format!("* stanza{number_text}: {xml}"));
        self.last = Some(stanza);
        self.last_number = number;
        if let Some(number) = number.filter(|_| self.answers.accept) {
            self.call(|c2s, cx| c2s.accepted(cx, number));
        }
    }

    /// Answers the oldest request that waits, and reads on.
    pub fn answer_next(&mut self) {
        let request = self.answers.waiting.pop_front().expect("a request");
        let answer = self.find_out(request);
        self.call(|c2s, cx| c2s.answer(cx, answer));
        self.read_on();
    }

    fn find_out(&mut self, request: Request) -> Answer {
        match request {
            Request::Sasl { need, .. } => Answer::Sasl(self.find_account(need)),
            Request::Fast(work) => self.fast(&work),
            Request::Bind(Bind { jid, carbons, .. }) => {
                self.log.push(format!("* bind {jid}, carbons: {carbons:?}"));
                match self.answers.bind.clone() {
                    Ok(session) => Answer::Bound { jid, session },
                    Err(error) => Answer::BindRefused(error),
                }
            }
            Request::Resume(resume) => match self.take_old(&resume) {
                Ok(detached) => Answer::Resumed(detached),
                Err(failed) => Answer::ResumeFailed(failed),
            },
            Request::Enable(_) => Answer::Enabled(self.answers.kept),
            Request::Register(iq) => Answer::Register(iq.result(None)),
        }
    }

    fn take_old(&mut self, resume: &Resume) -> Result<Box<Detached>, ResumeFailed> {
        self.log.push(format!("* resume {} h={}", resume.account, resume.h));
        match &mut self.answers.old {
            Some(old) => old.call(|c2s, cx| c2s.detach(cx, resume)),
            None => match self.answers.restored.take() {
                Some(restored) => {
                    let acknowledged = resume.h;
                    let id = resume.id;
                    Ok(Box::new(Restored { id, acknowledged, ..restored }.into()))
                }
                None => Err(ResumeFailed::NotFound { h: None }),
            },
        }
    }

    fn find_account(&self, need: Need) -> sasl::Answer {
        let credentials =
            |account: &BareJid| (account.as_str() == "juliet@example.org").then(|| JULIET.clone());
        match need {
            Need::Credentials { account } => sasl::Answer::Credentials(credentials(&account)),
            Need::PasswordCheck { account, password } => {
                let decoy = Decoy::new([9; 32], ITERATIONS);
                let held = credentials(&account);
                let checked = decoy.check_password(&account, held.as_ref(), &password);
                sasl::Answer::PasswordChecked(checked)
            }
            Need::FastTokens { .. } => sasl::Answer::FastTokens {
                generation: Some(GENERATION),
                tokens: self.answers.tokens.clone(),
                now: NOW,
            },
        }
    }

    fn fast(&mut self, work: &FastWork) -> Answer {
        self.log.push(format!(
            "* fast: used {:?}, revoke {:?}, issue {:?}",
            work.used, work.revoke, work.issue
        ));
        Answer::Fast(Ok(self.answers.issue.clone()))
    }

    fn log_output(&mut self) {
        if !self.out.is_empty() {
            let text = String::from_utf8(std::mem::take(&mut self.out)).expect("UTF-8");
            self.log.push(text.replace("><", ">\n  <"));
        }
    }

    /// Time passes, and timers fire as they are due.
    pub fn wait(&mut self, time: Duration) -> &mut Pair {
        let until = self.now + time;
        while let Some(due) = self.c2s.next_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.call(|c2s, cx| c2s.handle_timeout(cx));
        }
        self.now = until;
        self
    }

    pub fn deliver(&mut self, stanza: Stanza) -> &mut Pair {
        self.deliver_tracked(stanza, None)
    }

    pub fn deliver_tracked(&mut self, stanza: Stanza, settle: Option<Settle>) -> &mut Pair {
        let is_sent =
            self.call(|c2s, cx| c2s.send(cx, Delivery { stanza, settle, position: 0 }).is_ok());
        if !is_sent {
            self.log.push("* refused".to_owned());
        }
        self
    }

    /// Everything that was handed over before has come.
    pub fn fence(&mut self) -> &mut Pair {
        let takes_more = self.call(|c2s, cx| c2s.fence(cx));
        self.log.push(format!("* takes more: {takes_more}"));
        self
    }

    /// The socket has so much left to take.
    pub fn drain_to(&mut self, unsent: usize) -> &mut Pair {
        self.unsent = unsent;
        self.call(|c2s, cx| c2s.drained(cx));
        self
    }

    pub fn accept(&mut self, number: u32) -> &mut Pair {
        self.call(|c2s, cx| c2s.accepted(cx, number));
        self
    }

    pub fn close(&mut self, error: StreamError) -> &mut Pair {
        self.call(|c2s, cx| c2s.close(cx, Some(error)));
        self
    }

    /// What happened since it was last asked.
    pub fn log(&mut self) -> String {
        self.log.drain(..).map(|line| line + "\n").collect()
    }
}

/// A chat message from romeo.
pub fn message(body: &str) -> Stanza {
    Builder::message()
        .from(FullJid::parse("romeo@example.org/orchard").expect("a JID"))
        .to(FullJid::parse("juliet@example.org/balcony").expect("a JID"))
        .with_type("chat")
        .raw_payload(format!("<body>{body}</body>").as_bytes())
        .build()
}

/// Runs a script whole and byte by byte; both must give the same.
pub fn each_cut(script: impl Fn(Cut) -> String) -> String {
    let whole = script(Cut::Whole);
    assert_eq!(script(Cut::Bytes), whole, "cut into bytes it gives something else");
    whole
}

pub fn token(text: &str) -> IssuedToken {
    IssuedToken { token: Secret::new(text.to_owned()), expiry: "2030-01-01T00:00:00Z".to_owned() }
}

pub fn starttls() -> Transport {
    Transport::Plain(StartTls::Required)
}
