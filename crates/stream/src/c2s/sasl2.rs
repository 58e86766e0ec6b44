//! SASL2 (XEP-0388): authentication, and what was asked for with it, in one round trip.
//!
//! After the exchange come, in this order: the token (XEP-0484), resumption (XEP-0198 §9.2), else
//! binding (XEP-0386). Each is the driver's to do; only then `<success/>` goes out, and tells all.

use super::auth::Profile;
use super::bind;
use super::event::{
    Answer, Event, FastWork, IssuedToken, Kept, Request, Resume, ResumeFailed, Revoke,
};
use super::features::{self, AfterAuth};
use super::inline::{Inline, InlineBind};
use super::resume::{Enabling, write_failed};
use super::session::Session;
use super::state::State;
use super::timer::Timer;
use super::{C2s, Cx};
use crate::StreamError;
use crate::sasl::{self, Mechanism, SaslFailure, Success};
use crate::xml::{attribute, declare, text};
use jackdaw_stanza::{Condition, StanzaError, ns};
use jackdaw_xml::Element;
use std::sync::Arc;

/// A client that has proven who it is, and waits for the rest.
#[derive(Debug)]
pub(super) struct Completion {
    success: Success,
    work: Option<FastWork>,
    token: Option<IssuedToken>,
    /// What the driver is asked to resume.
    resuming: Option<Resume>,
    /// Why it was not resumed.
    resume_failed: Option<ResumeFailed>,
    /// What the driver is asked to bind.
    binding: Option<InlineBind>,
    /// Why it was not bound.
    bind_refused: Option<StanzaError>,
    /// The session that is bound, and that the driver is asked to make a record of.
    enabling: Option<(Box<Enabling>, InlineBind)>,
}

impl C2s {
    /// `<authenticate/>` (XEP-0388 §2.3).
    pub(super) fn begin_sasl2(
        &mut self,
        cx: &mut Cx<'_>,
        element: &Element,
    ) -> Result<State, StreamError> {
        let mechanism = element.attr("mechanism").and_then(Mechanism::parse);
        let parsed = mechanism.ok_or(SaslFailure::invalid_mechanism()).and_then(|mechanism| {
            let initial = element.child(ns::SASL2, "initial-response");
            let initial = initial.map(|initial| sasl::decode(&initial.text())).transpose()?;
            Ok((mechanism, initial, Inline::parse(element, mechanism)?))
        });
        match parsed {
            Ok((mechanism, initial, inline)) => self.start(
                cx,
                Profile::Sasl2(Box::new(inline)),
                mechanism,
                initial.as_ref().map(|message| message.as_slice()),
            ),
            Err(failure) => self.refuse_sasl2(cx, &failure),
        }
    }

    fn refuse_sasl2(
        &mut self,
        cx: &mut Cx<'_>,
        failure: &SaslFailure,
    ) -> Result<State, StreamError> {
        self.refuse(cx, ns::SASL2, failure)
    }

    /// The exchange succeeded.
    pub(super) fn begin_completion(
        &mut self,
        cx: &mut Cx<'_>,
        mut inline: Inline,
        success: Success,
    ) -> Result<State, StreamError> {
        // Who says in the header that it is somebody else is not let in (XEP-0388 §2.3).
        let claimed = self.negotiation.as_ref().and_then(|n| n.claimed.as_ref());
        if claimed.is_some_and(|claimed| *claimed != success.account)
            && success.generation.is_some()
        {
            return self.refuse_sasl2(cx, &SaslFailure::invalid_authzid());
        }
        self.set_authenticated(cx, &success, Some(Arc::clone(inline.client())));
        let work = self.fast_work(&inline, &success);
        let (resume, binding) = (inline.resume.take(), inline.bind.take());
        let mut completion = Completion {
            work,
            token: None,
            resuming: None,
            resume_failed: None,
            binding,
            bind_refused: None,
            enabling: None,
            success,
        };
        match resume.map(|resume| (resume.id, resume.h)) {
            Some((Some(id), h)) => {
                let account = completion.success.account.clone();
                completion.resuming = Some(Resume { account, id, h });
            }
            Some((None, _)) => completion.resume_failed = Some(ResumeFailed::NotFound { h: None }),
            None => {}
        }
        self.complete(cx, completion)
    }

    fn fast_work(&self, inline: &Inline, success: &Success) -> Option<FastWork> {
        let offer = self.negotiation.as_ref().map(|negotiation| &negotiation.offer)?;
        let issue = inline.request_token.filter(|mechanism| offer.fast.contains(mechanism));
        let used = success.token.map(|token| (inline.mechanism, token));
        (issue.is_some() || used.is_some()).then(|| FastWork {
            account: success.account.clone(),
            generation: success.generation,
            client: Arc::clone(inline.client()),
            revoke: if used.is_some() { inline.revoke() } else { Revoke::No },
            used,
            issue,
        })
    }

    /// Asks the driver for what is next, or tells the client that all is done.
    fn complete(&mut self, cx: &mut Cx<'_>, completion: Completion) -> Result<State, StreamError> {
        let request = if let Some(work) = &completion.work {
            Request::Fast(work.clone())
        } else if let Some(resume) = &completion.resuming {
            Request::Resume(resume.clone())
        } else if let Some(wanted) = &completion.binding {
            match self.bind2_request(wanted) {
                Ok(bind) => Request::Bind(bind),
                Err(error) => {
                    let refused = Some(error);
                    let completion =
                        Completion { binding: None, bind_refused: refused, ..completion };
                    return Ok(self.finish_unbound(cx, &completion));
                }
            }
        } else {
            return Ok(self.finish_unbound(cx, &completion));
        };
        cx.events.push_back(Event::Request(request));
        Ok(State::Completing(Box::new(completion)))
    }

    pub(super) fn completion_answered(
        &mut self,
        cx: &mut Cx<'_>,
        mut completion: Completion,
        answer: Answer,
    ) -> Result<State, StreamError> {
        match answer {
            Answer::Fast(Ok(token)) => {
                completion.work = None;
                completion.token = token;
                self.complete(cx, completion)
            }
            Answer::Fast(Err(failure)) => self.refuse_sasl2(cx, &failure),
            Answer::Resumed(detached) => match completion.resuming.take() {
                Some(resume) => self.resumed(cx, &resume, *detached, Some(completion)),
                None => Err(StreamError::internal_server_error()),
            },
            Answer::ResumeFailed(failed @ ResumeFailed::NotFound { .. }) => {
                completion.resuming = None;
                completion.resume_failed = Some(failed);
                self.complete(cx, completion)
            }
            Answer::ResumeFailed(ResumeFailed::HandledCountTooHigh { h, send_count }) => {
                Err(StreamError::handled_count_too_high(h, send_count))
            }
            Answer::Bound { jid, session } => match completion.binding.take() {
                Some(wanted) => {
                    let session = Session::new(jid, session);
                    Ok(self.bound_inline(cx, completion, wanted, session))
                }
                None => Err(StreamError::internal_server_error()),
            },
            Answer::Enabled(kept) => match completion.enabling.take() {
                Some((enabling, wanted)) => {
                    Ok(self.finish_enabled(cx, &completion, &wanted, *enabling, kept))
                }
                None => Err(StreamError::internal_server_error()),
            },
            Answer::BindRefused(error) => {
                completion.binding = None;
                completion.bind_refused = Some(error);
                Ok(self.finish_unbound(cx, &completion))
            }
            Answer::Sasl(_) | Answer::Register(_) => {
                tracing::error!("a stream was given the answer to another question");
                Err(StreamError::internal_server_error())
            }
        }
    }

    /// The client is authenticated, and may bind by itself.
    fn finish_unbound(&mut self, cx: &mut Cx<'_>, completion: &Completion) -> State {
        let account = completion.success.account.as_str();
        completion.write_success(cx.out, account, |_| ());
        features::write_after_auth(cx.out, &self.config, AfterAuth::Unbound);
        self.timers.set(Timer::Phase, cx.now + self.config.deadlines.bind);
        State::ExpectBind
    }

    /// The client has its resource. Before it hears of it, a session that it can resume is on
    /// record.
    fn bound_inline(
        &mut self,
        cx: &mut Cx<'_>,
        mut completion: Completion,
        wanted: InlineBind,
        session: Session,
    ) -> State {
        let Some(enable) = &wanted.enable_sm else {
            return self.finish_bound(cx, &completion, &wanted, session, Vec::new());
        };
        let enabling = self.begin_enabling(session, enable);
        let Some(request) = enabling.request() else {
            return self.finish_enabled(cx, &completion, &wanted, enabling, Kept::Not);
        };
        cx.events.push_back(Event::Request(request));
        completion.enabling = Some((Box::new(enabling), wanted));
        State::Completing(Box::new(completion))
    }

    fn finish_enabled(
        &mut self,
        cx: &mut Cx<'_>,
        completion: &Completion,
        wanted: &InlineBind,
        enabling: Enabling,
        kept: Kept,
    ) -> State {
        let (session, enabled) = enabling.finish(kept);
        let mut inline = Vec::new();
        enabled.write_to(&mut inline);
        cx.events.push_back(enabled.event());
        self.finish_bound(cx, completion, wanted, session, inline)
    }

    /// The client is told of its resource (XEP-0386 §3.2.1), and the outcome of what else it
    /// wanted.
    fn finish_bound(
        &mut self,
        cx: &mut Cx<'_>,
        completion: &Completion,
        wanted: &InlineBind,
        mut session: Session,
        inline: Vec<u8>,
    ) -> State {
        completion.write_success(cx.out, session.jid.as_str(), |out| {
            out.extend_from_slice(b"<bound");
            declare(out, ns::BIND2);
            out.push(b'>');
            out.extend_from_slice(&inline);
            out.extend_from_slice(b"</bound>");
        });
        let progress = match session.sm {
            Some(_) => AfterAuth::Managed,
            None => AfterAuth::Bound,
        };
        features::write_after_auth(cx.out, &self.config, progress);
        if let Some(state) = wanted.client_state.filter(|_| self.config.csi.enabled) {
            session.set_client_state(cx, state);
        }
        self.establish(cx, session)
    }

    fn bind2_request(&mut self, wanted: &InlineBind) -> Result<super::Bind, StanzaError> {
        let negotiation = self.negotiation.as_ref();
        let authenticated = negotiation
            .and_then(|negotiation| negotiation.authenticated())
            .ok_or_else(StanzaError::internal_server_error)?;
        let account = &authenticated.account;
        let client = authenticated.client.as_ref();
        let tag = wanted.tag.as_deref();
        let own = match client.and_then(|client| client.id.as_deref()) {
            Some(id) => super::ids::stable_resource(
                &self.config.resource_secret,
                account.as_str(),
                tag.unwrap_or_default(),
                id,
            ),
            None => self.ids.text(),
        };
        let jid = bind::tagged_resource(account, tag, &own)?;
        Ok(super::Bind {
            jid,
            generation: authenticated.generation,
            client: client.cloned(),
            carbons: wanted.carbons,
        })
    }
}

impl Completion {
    /// `<success/>` (XEP-0388 §2.6.1), with the outcome of what was asked for.
    pub fn write_success(
        &self,
        out: &mut Vec<u8>,
        identifier: &str,
        outcome: impl FnOnce(&mut Vec<u8>),
    ) {
        out.extend_from_slice(b"<success");
        declare(out, ns::SASL2);
        out.push(b'>');
        if let Some(data) = &self.success.additional_data {
            text(out, "additional-data", &sasl::encode(data));
        }
        text(out, "authorization-identifier", identifier);
        if let Some(issued) = &self.token {
            out.extend_from_slice(b"<token");
            declare(out, ns::FAST);
            attribute(out, "expiry", &issued.expiry);
            attribute(out, "token", issued.token.reveal());
            out.extend_from_slice(b"/>");
        }
        if let Some(ResumeFailed::NotFound { h }) = self.resume_failed {
            write_failed(out, Condition::ItemNotFound, h);
        }
        if let Some(error) = &self.bind_refused {
            out.extend_from_slice(b"<failed");
            declare(out, ns::BIND2);
            out.extend_from_slice(b"><");
            out.extend_from_slice(error.condition().name().as_bytes());
            declare(out, ns::STANZA_ERRORS);
            out.extend_from_slice(b"/></failed>");
        }
        outcome(out);
        out.extend_from_slice(b"</success>");
    }
}
