//! SASL over the wire (RFC 6120 §6), by the RFC's own profile or by SASL2 (XEP-0388).

use super::event::{Event, Outcome, Request};
use super::inline::Inline;
use super::negotiation::Authenticated;
use super::state::State;
use super::{C2s, Cx};
use crate::StreamError;
use crate::sasl::{
    self, Context, ExpectAnswer, ExpectResponse, Mechanism, NONCE_BYTES, Nonce, SaslFailure, Step,
    Success,
};
use crate::xml::declare;
use bytes::Bytes;
use jackdaw_jid::Jid;
use jackdaw_stanza::{Address, Stanza, ns};
use jackdaw_xml::{Element, escape_text};
use std::sync::Arc;

/// An attempt to authenticate that waits for something.
#[derive(Debug)]
pub(super) struct Attempt<Waiting> {
    waiting: Waiting,
    profile: Profile,
}

/// The XML in which SASL is wrapped.
#[derive(Debug)]
pub(super) enum Profile {
    /// RFC 6120's.
    Sasl,
    /// XEP-0388's, with what is to be done besides.
    Sasl2(Box<Inline>),
}

impl Profile {
    fn ns(&self) -> &'static str {
        match self {
            Profile::Sasl => ns::SASL,
            Profile::Sasl2(_) => ns::SASL2,
        }
    }
}

impl C2s {
    pub(super) fn expect_auth(
        &mut self,
        cx: &mut Cx<'_>,
        element: &Element,
        xml: &[u8],
    ) -> Result<State, StreamError> {
        match (element.ns(), element.name()) {
            (ns::SASL, "auth") => self.begin_sasl(cx, element),
            (ns::SASL2, "authenticate") if self.offers_sasl2() => self.begin_sasl2(cx, element),
            (ns::TLS, "starttls") => self.start_optional_tls(cx),
            (ns::SASL, "abort") => self.refuse(cx, ns::SASL, &SaslFailure::aborted()),
            (ns::CLIENT, "iq") if self.config.registration => self.register(cx, element, xml),
            (ns::CLIENT | ns::SASL | ns::SASL2, _) => Err(StreamError::not_authorized()),
            _ => Err(StreamError::unsupported_stanza_type()),
        }
    }

    fn offers_sasl2(&self) -> bool {
        self.config.sasl2 && self.negotiation.as_ref().is_some_and(|n| n.allows_sasl2())
    }

    /// In-band registration (XEP-0077 §3.1.1), which is the driver's to judge.
    fn register(
        &mut self,
        cx: &mut Cx<'_>,
        element: &Element,
        xml: &[u8],
    ) -> Result<State, StreamError> {
        if element.child(ns::REGISTER, "query").is_none() {
            return Err(StreamError::not_authorized());
        }
        let xml = Bytes::copy_from_slice(xml);
        let mut stanza = Stanza::parse(xml, &self.input.scope, self.limits())
            .map_err(|_| StreamError::not_authorized())?;
        if matches!(stanza.to_address(), Address::Absent) {
            // Without `to` it is for the domain that the stream is for.
            let domain = self.negotiation.as_ref().and_then(|n| n.domain.as_deref());
            if let Some(Ok(domain)) = domain.map(Jid::parse) {
                stanza.set_to(domain);
            }
        }
        cx.events.push_back(Event::Request(Request::Register(stanza)));
        Ok(State::Registering)
    }

    /// `<auth/>` (RFC 6120 §6.4.2).
    fn begin_sasl(&mut self, cx: &mut Cx<'_>, element: &Element) -> Result<State, StreamError> {
        let initial = match element.text() {
            absent if absent.is_empty() => Ok(None),
            text => sasl::decode(&text).map(Some),
        };
        let mechanism = element.attr("mechanism").and_then(Mechanism::parse);
        match (mechanism, initial) {
            (None, _) => self.refuse(cx, ns::SASL, &SaslFailure::invalid_mechanism()),
            (Some(_), Err(failure)) => self.refuse(cx, ns::SASL, &failure),
            (Some(mechanism), Ok(initial)) => self.start(
                cx,
                Profile::Sasl,
                mechanism,
                initial.as_ref().map(|message| message.as_slice()),
            ),
        }
    }

    /// Starts an exchange.
    pub(super) fn start(
        &mut self,
        cx: &mut Cx<'_>,
        profile: Profile,
        mechanism: Mechanism,
        initial: Option<&[u8]>,
    ) -> Result<State, StreamError> {
        let nonce = Nonce(self.ids.bytes::<NONCE_BYTES>());
        if let Some(negotiation) = &mut self.negotiation {
            negotiation.mechanism = Some(mechanism);
        }
        let negotiation = self.negotiation.as_ref();
        let Some((negotiation, domain)) = negotiation.and_then(|n| Some((n, n.domain.as_ref()?)))
        else {
            return Err(StreamError::internal_server_error());
        };
        let context = Context {
            domain: Arc::clone(domain),
            channel: Arc::clone(&negotiation.channel),
            offer: Arc::clone(&negotiation.offer),
            decoy: Arc::clone(&self.config.decoy),
            nonce,
            fast: match &profile {
                Profile::Sasl => None,
                Profile::Sasl2(inline) => inline.fast_request(),
            },
        };
        self.step(cx, profile, sasl::start(mechanism, initial, context))
    }

    /// Goes on with an exchange as it says.
    fn step(
        &mut self,
        cx: &mut Cx<'_>,
        profile: Profile,
        step: Step,
    ) -> Result<State, StreamError> {
        match step {
            Step::Challenge(data, waiting) => {
                write_challenge(cx.out, profile.ns(), &data);
                Ok(State::ExpectSaslResponse(Box::new(Attempt { waiting, profile })))
            }
            Step::Need(need, waiting) => {
                let client = match &profile {
                    Profile::Sasl => None,
                    Profile::Sasl2(inline) => Some(Arc::clone(inline.client())),
                };
                cx.events.push_back(Event::Request(Request::Sasl { need, client }));
                Ok(State::Authenticating(Box::new(Attempt { waiting, profile })))
            }
            Step::Success(success) => self.succeed(cx, profile, success),
            Step::Failure(failure) => self.refuse(cx, profile.ns(), &failure),
        }
    }

    /// `<response/>` or `<abort/>`, of the profile in use, and nothing else (RFC 6120 §6.4.3,
    /// XEP-0388 §2.4).
    pub(super) fn expect_sasl_response(
        &mut self,
        cx: &mut Cx<'_>,
        attempt: Attempt<ExpectResponse>,
        element: &Element,
    ) -> Result<State, StreamError> {
        let Attempt { waiting, profile } = attempt;
        if element.ns() != profile.ns() {
            return Err(StreamError::not_authorized());
        }
        match (element.name(), sasl::decode(&element.text())) {
            ("response", Ok(message)) => self.step(cx, profile, waiting.respond(&message)),
            ("response", Err(failure)) => self.refuse(cx, profile.ns(), &failure),
            ("abort", _) => self.refuse(cx, profile.ns(), &SaslFailure::aborted()),
            _ => Err(StreamError::not_authorized()),
        }
    }

    pub(super) fn sasl_answered(
        &mut self,
        cx: &mut Cx<'_>,
        attempt: Attempt<ExpectAnswer>,
        answer: sasl::Answer,
    ) -> Result<State, StreamError> {
        self.step(cx, attempt.profile, attempt.waiting.answer(answer))
    }

    fn succeed(
        &mut self,
        cx: &mut Cx<'_>,
        profile: Profile,
        success: Success,
    ) -> Result<State, StreamError> {
        match profile {
            Profile::Sasl => {
                write_success(cx.out, success.additional_data.as_deref());
                self.set_authenticated(cx, &success, None);
                self.restart(cx);
                Ok(State::ExpectHeader)
            }
            Profile::Sasl2(inline) => self.begin_completion(cx, *inline, success),
        }
    }

    pub(super) fn set_authenticated(
        &mut self,
        cx: &mut Cx<'_>,
        success: &Success,
        client: Option<Arc<super::UserAgent>>,
    ) {
        let mechanism = Some(success.mechanism);
        let outcome = Outcome::Authentication { mechanism, failure: None };
        cx.events.push_back(Event::Outcome(outcome));
        if let Some(negotiation) = &mut self.negotiation {
            negotiation.set_authenticated(Some(Authenticated {
                account: success.account.clone(),
                generation: success.generation,
                client,
            }));
        }
    }

    /// The attempt failed, in the profile of this namespace. The client may try again, but not for
    /// ever (RFC 6120 §6.4.5).
    pub(super) fn refuse(
        &mut self,
        cx: &mut Cx<'_>,
        ns: &'static str,
        failure: &SaslFailure,
    ) -> Result<State, StreamError> {
        write_failure(cx.out, ns, failure);
        let Some(negotiation) = &mut self.negotiation else { return Ok(State::closed()) };
        let failure = Some(failure.condition());
        let mechanism = negotiation.mechanism.take();
        cx.events.push_back(Event::Outcome(Outcome::Authentication { mechanism, failure }));
        negotiation.set_authenticated(None);
        negotiation.failed_attempts = negotiation.failed_attempts.saturating_add(1);
        if negotiation.failed_attempts >= self.config.sasl_attempts_max {
            return Err(StreamError::policy_violation().text("too many failed attempts"));
        }
        Ok(State::ExpectAuth)
    }
}

fn write_challenge(out: &mut Vec<u8>, ns: &str, data: &[u8]) {
    out.extend_from_slice(b"<challenge");
    declare(out, ns);
    out.push(b'>');
    if !data.is_empty() {
        out.extend_from_slice(sasl::encode(data).as_bytes());
    }
    out.extend_from_slice(b"</challenge>");
}

/// RFC 6120 §6.4.6.
fn write_success(out: &mut Vec<u8>, additional_data: Option<&[u8]>) {
    out.extend_from_slice(b"<success");
    declare(out, ns::SASL);
    out.push(b'>');
    if let Some(data) = additional_data {
        out.extend_from_slice(sasl::encode(data).as_bytes());
    }
    out.extend_from_slice(b"</success>");
}

/// RFC 6120 §6.4.5, XEP-0388 §2.6.2. The condition is in the RFC's namespace in both.
fn write_failure(out: &mut Vec<u8>, ns: &str, failure: &SaslFailure) {
    out.extend_from_slice(b"<failure");
    declare(out, ns);
    out.extend_from_slice(b"><");
    out.extend_from_slice(failure.condition().element().as_bytes());
    if ns != ns::SASL {
        declare(out, ns::SASL);
    }
    out.extend_from_slice(b"/>");
    if let Some(description) = failure.description() {
        out.extend_from_slice(b"<text xml:lang='en'>");
        escape_text(out, description);
        out.extend_from_slice(b"</text>");
    }
    out.extend_from_slice(b"</failure>");
}
