//! From a connection to an available resource (RFC 6120 §4 to §7, RFC 6121 §4.2), without I/O.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jackdaw_xml::Frame;

use crate::error::{Error, Result};
use crate::plan::{Method, Plan};
use crate::scan;
use crate::scram::{KeyCache, Scram, hashed_token};

/// The only mechanism of XEP-0484 that needs no channel binding.
const FAST_MECHANISM: &str = "HT-SHA-256-NONE";

/// What logging in needs besides the plan.
pub struct Context<'a> {
    /// The domain of the server.
    pub domain: &'a str,
    /// Keys that were derived before.
    pub cache: &'a mut KeyCache,
}

/// What a frame led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// It was the login's, and there is more to come.
    More,
    /// The stream begins anew (RFC 6120 §6.4.6).
    Restart,
    /// It is a stanza that came before the login was through, such as a contact's presence.
    Stanza,
    /// The client is where its plan says.
    Done,
}

enum State {
    /// For features; authenticates then.
    Offer,
    /// For a challenge of SCRAM.
    Challenge(Scram),
    /// For success.
    Success(Option<Scram>),
    /// For the features of a stream that has authenticated.
    Authenticated,
    /// For an address.
    Binding,
    /// For the answer to `<enable/>`.
    Enabling,
    /// For the client's own presence, which comes back to it (RFC 6121 §4.2.2).
    Available,
    /// For a sign that the relay has both ends.
    Relayed,
}

/// A login under way.
pub struct Login {
    plan: Plan,
    state: State,
    jid: String,
}

impl Login {
    /// A login that has not begun.
    pub fn new(plan: Plan) -> Login {
        Login { plan, state: State::Offer, jid: String::new() }
    }

    /// The full address, once it is bound.
    pub fn jid(&self) -> &str {
        &self.jid
    }

    /// The plan, and in it the newest token.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What a new connection says.
    pub fn begin(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) {
        if let Method::Relay(pair) = self.plan.method {
            out.extend_from_slice(&pair.to_be_bytes());
            self.state = State::Relayed;
            return;
        }
        header(cx.domain, out);
        if self.plan.method == Method::Fast {
            // A client with a token knows what the server offers, and need not wait to be told
            // (XEP-0484 §3.3).
            let user = &self.plan.identity.local;
            let token = self.plan.identity.token.as_deref().unwrap_or_default();
            let message = hashed_token(user, token);
            let fast = "<fast xmlns='urn:xmpp:fast:0'/>";
            authenticate(out, FAST_MECHANISM, &message, user, fast);
            self.state = State::Success(None);
        }
    }

    /// Takes a frame; `out` gets what there is to say to it.
    pub fn frame(
        &mut self,
        cx: &mut Context<'_>,
        frame: Frame,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Step> {
        match frame {
            Frame::StreamOpen | Frame::Whitespace => return Ok(Step::More),
            Frame::StreamClose => return Err(Error::Closed),
            Frame::Element => {}
        }
        match (&self.state, scan::name(bytes)) {
            (State::Offer, b"features") => Ok(self.authenticate(cx, out)),
            (State::Challenge(_), b"challenge") => self.respond(cx, bytes, out),
            (State::Success(_), b"success") => self.succeeded(cx, bytes, out),
            // With FAST and SASL2 they come without being waited for.
            (State::Success(None) | State::Enabling | State::Available, b"features") => {
                Ok(Step::More)
            }
            (State::Authenticated, b"features") => {
                out.extend_from_slice(
                    b"<iq type='set' id='bind'>\
                      <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
                );
                self.state = State::Binding;
                Ok(Step::More)
            }
            (State::Binding, b"iq") => {
                let jid = scan::text(bytes, "jid");
                let jid = jid.ok_or_else(|| Error::unexpected("an address", bytes))?;
                self.jid = String::from_utf8_lossy(jid).into_owned();
                Ok(self.bound(out))
            }
            (State::Enabling, b"enabled") => Ok(self.enabled(out)),
            (State::Available, b"presence") if self.is_own(bytes) => Ok(Step::Done),
            (State::Enabling | State::Available, b"message" | b"presence" | b"iq" | b"r") => {
                Ok(Step::Stanza)
            }
            (state, _) => Err(Error::unexpected(state.expects(), bytes)),
        }
    }

    /// Takes the relay's sign; how many bytes it had.
    pub fn relayed(&mut self, bytes: &[u8]) -> Option<usize> {
        matches!(self.state, State::Relayed).then(|| bytes.len().min(1))
    }

    fn authenticate(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Step {
        let identity = &self.plan.identity;
        self.state = match self.plan.method {
            Method::Plain => {
                let message = format!("\0{}\0{}", identity.local, identity.password);
                auth(out, "PLAIN", &BASE64.encode(message));
                State::Success(None)
            }
            Method::ScramSha256 => {
                let scram = Scram::begin(cx.cache, &identity.local);
                auth(out, "SCRAM-SHA-256", &scram.first());
                State::Challenge(scram)
            }
            Method::Sasl2Scram => {
                let scram = Scram::begin(cx.cache, &identity.local);
                let ask = format!(
                    "<request-token xmlns='urn:xmpp:fast:0' mechanism='{FAST_MECHANISM}'/>"
                );
                authenticate(out, "SCRAM-SHA-256", &scram.first(), &identity.local, &ask);
                State::Challenge(scram)
            }
            Method::Anonymous | Method::Fast | Method::Relay(_) => {
                auth(out, "ANONYMOUS", "=");
                State::Success(None)
            }
        };
        Step::More
    }

    fn respond(&mut self, cx: &mut Context<'_>, bytes: &[u8], out: &mut Vec<u8>) -> Result<Step> {
        let state = std::mem::replace(&mut self.state, State::Offer);
        let State::Challenge(mut scram) = state else { return Ok(Step::More) };
        let challenge = scan::text(bytes, "challenge").unwrap_or_default();
        let answer = scram.answer(cx.cache, &self.plan.identity.password, challenge)?;
        let namespace = match self.plan.method {
            Method::Sasl2Scram => "urn:xmpp:sasl:2",
            _ => "urn:ietf:params:xml:ns:xmpp-sasl",
        };
        extend(out, &["<response xmlns='", namespace, "'>", &answer, "</response>"]);
        self.state = State::Success(Some(scram));
        Ok(Step::More)
    }

    fn succeeded(&mut self, cx: &mut Context<'_>, bytes: &[u8], out: &mut Vec<u8>) -> Result<Step> {
        let state = std::mem::replace(&mut self.state, State::Authenticated);
        let is_sasl2 = matches!(self.plan.method, Method::Sasl2Scram | Method::Fast);
        if let State::Success(Some(scram)) = state {
            let tag = if is_sasl2 { "additional-data" } else { "success" };
            scram.verify(scan::text(bytes, tag).unwrap_or_default())?;
        }
        if !is_sasl2 {
            header(cx.domain, out);
            return Ok(Step::Restart);
        }
        if let Some(token) = scan::attribute(bytes, "token") {
            let token = String::from_utf8_lossy(token).into_owned();
            self.plan.identity.token = Some(token);
        }
        let jid = scan::text(bytes, "authorization-identifier").unwrap_or_default();
        self.jid = String::from_utf8_lossy(jid).into_owned();
        Ok(self.bound(out))
    }

    fn bound(&mut self, out: &mut Vec<u8>) -> Step {
        if !self.plan.managed {
            return self.enabled(out);
        }
        out.extend_from_slice(b"<enable xmlns='urn:xmpp:sm:3'/>");
        self.state = State::Enabling;
        Step::More
    }

    fn enabled(&mut self, out: &mut Vec<u8>) -> Step {
        if !self.plan.presence {
            return Step::Done;
        }
        out.extend_from_slice(b"<presence/>");
        self.state = State::Available;
        Step::More
    }

    fn is_own(&self, presence: &[u8]) -> bool {
        scan::attribute(presence, "from") == Some(self.jid.as_bytes())
    }
}

impl State {
    fn expects(&self) -> &'static str {
        match self {
            State::Offer | State::Authenticated => "stream features",
            State::Challenge(_) => "a challenge",
            State::Success(_) => "success",
            State::Binding => "a resource",
            State::Enabling => "stream management",
            State::Available => "one's own presence",
            State::Relayed => "a relay",
        }
    }
}

fn header(domain: &str, out: &mut Vec<u8>) {
    extend(
        out,
        &[
            "<?xml version='1.0'?><stream:stream to='",
            domain,
            "' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
        ],
    );
}

fn auth(out: &mut Vec<u8>, mechanism: &str, message: &str) {
    let namespace = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='";
    extend(out, &[namespace, mechanism, "'>", message, "</auth>"]);
}

/// `<authenticate/>` with Bind 2 and what FAST adds (XEP-0388 §2.3, XEP-0386 §3.2).
fn authenticate(out: &mut Vec<u8>, mechanism: &str, message: &str, user: &str, fast: &str) {
    extend(
        out,
        &[
            "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='",
            mechanism,
            "'><initial-response>",
            message,
            "</initial-response><user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>",
            user,
            "</software></user-agent><bind xmlns='urn:xmpp:bind:0'><tag>load</tag></bind>",
            fast,
            "</authenticate>",
        ],
    );
}

fn extend(out: &mut Vec<u8>, parts: &[&str]) {
    parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays `frames` of a server; what the client answered to each, and where it got.
    fn play(plan: Plan, frames: &[&str]) -> (Vec<String>, Result<Step>) {
        let mut cache = KeyCache::default();
        let mut cx = Context { domain: "example.net", cache: &mut cache };
        let mut login = Login::new(plan);
        let (mut said, mut out) = (Vec::new(), Vec::new());
        login.begin(&mut cx, &mut out);
        let mut last = Ok(Step::More);
        for frame in frames {
            said.push(String::from_utf8(std::mem::take(&mut out)).unwrap());
            last = login.frame(&mut cx, Frame::Element, frame.as_bytes(), &mut out);
        }
        said.push(String::from_utf8(out).unwrap());
        (said, last)
    }

    const FEATURES: &str = "<stream:features/>";
    const SUCCESS: &str = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
    const BOUND: &str = "<iq type='result' id='bind'><bind><jid>r@example.net/x</jid></bind></iq>";

    #[test]
    fn a_client_with_plain_becomes_available() {
        let plan = Plan::new("r", &"secret".into(), Method::Plain);
        let presence = "<presence from='r@example.net/x'/>";
        let (said, last) = play(plan, &[FEATURES, SUCCESS, FEATURES, BOUND, presence]);
        assert!(said[1].contains("mechanism='PLAIN'>AHIAc2VjcmV0</auth>"), "{}", said[1]);
        assert!(said[2].starts_with("<?xml"), "{}", said[2]);
        assert_eq!(said[4], "<presence/>");
        assert_eq!(last.unwrap(), Step::Done);
    }

    #[test]
    fn a_contacts_presence_is_not_ones_own() {
        let plan = Plan::new("r", &"".into(), Method::Anonymous);
        let other = "<presence from='j@example.net/y'/>";
        let (_, last) = play(plan, &[FEATURES, SUCCESS, FEATURES, BOUND, other]);
        assert_eq!(last.unwrap(), Step::Stanza);
    }

    #[test]
    fn a_failure_ends_the_login_and_is_shown() {
        let plan = Plan::new("r", &"".into(), Method::Plain);
        let failure = "<failure><not-authorized/></failure>";
        let (_, last) = play(plan, &[FEATURES, failure]);
        assert!(last.unwrap_err().to_string().contains("not-authorized"));
    }

    #[test]
    fn a_token_logs_in_within_the_first_flight() {
        let mut plan = Plan::new("r", &"".into(), Method::Fast);
        plan.identity.token = Some("old".into());
        let success = "<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>r@example.net/x\
                       </authorization-identifier><bound xmlns='urn:xmpp:bind:0'/></success>";
        let presence = "<presence from='r@example.net/x'/>";
        let (said, last) = play(plan, &[FEATURES, success, FEATURES, presence]);
        assert!(said[0].contains("HT-SHA-256-NONE"), "{}", said[0]);
        assert_eq!(said[2], "<presence/>");
        assert_eq!(last.unwrap(), Step::Done);
    }
}
