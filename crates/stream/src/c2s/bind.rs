//! Resource binding (RFC 6120 §7).

use super::event::{Bind, Carbons, Event, Request};
use super::session::Session;
use super::state::State;
use super::{C2s, Cx};
use crate::StreamError;
use crate::xml::{attribute, declare, text};
use jackdaw_jid::{BareJid, FullJid};
use jackdaw_stanza::{Condition, StanzaError, ns};
use jackdaw_xml::Element;

/// An iq that asks for a resource, and waits.
#[derive(Debug)]
pub(super) struct BindRequest {
    id: String,
}

impl C2s {
    /// Nothing but to bind or to resume (RFC 6120 §7.1).
    pub(super) fn expect_bind(
        &mut self,
        cx: &mut Cx<'_>,
        element: &Element,
    ) -> Result<State, StreamError> {
        match (element.ns(), element.name()) {
            (ns::CLIENT, "iq") => self.begin_bind(cx, element),
            (ns::SM, "resume") => self.begin_resume(cx, element),
            (ns::SM, "enable") => {
                super::resume::write_failed(cx.out, Condition::UnexpectedRequest, None);
                Ok(State::ExpectBind)
            }
            (ns::CLIENT, _) => Err(StreamError::not_authorized()),
            _ => Err(StreamError::unsupported_stanza_type()),
        }
    }

    fn begin_bind(&mut self, cx: &mut Cx<'_>, iq: &Element) -> Result<State, StreamError> {
        let bind = iq.child(ns::BIND, "bind").filter(|_| iq.attr("type") == Some("set"));
        let (Some(bind), Some(id)) = (bind, iq.attr("id")) else {
            return Err(StreamError::not_authorized());
        };
        let request = BindRequest { id: id.to_owned() };
        let resource = bind.child(ns::BIND, "resource").map(Element::text);
        let resource = resource.filter(|resource| !resource.is_empty());
        // Prepared by the JID's constructor (RFC 6120 §7.7).
        let resource = resource.unwrap_or_else(|| self.ids.text());
        let Some(authenticated) = self.negotiation.as_ref().and_then(|n| n.authenticated()) else {
            return Err(StreamError::internal_server_error());
        };
        let Ok(jid) = authenticated.account.with_resource(&resource) else {
            // RFC 6120 §7.7.2.1.
            request.write_refusal(cx.out, &StanzaError::bad_request());
            return Ok(State::ExpectBind);
        };
        cx.events.push_back(Event::Request(Request::Bind(Bind {
            jid,
            generation: authenticated.generation,
            client: authenticated.client.clone(),
            carbons: Carbons::Off,
        })));
        Ok(State::Binding(Box::new(request)))
    }

    pub(super) fn bound(
        &mut self,
        cx: &mut Cx<'_>,
        request: &BindRequest,
        session: Session,
    ) -> State {
        request.write_result(cx.out, &session.jid);
        self.establish(cx, session)
    }
}

impl BindRequest {
    fn write_result(&self, out: &mut Vec<u8>, jid: &FullJid) {
        out.extend_from_slice(b"<iq type='result'");
        attribute(out, "id", &self.id);
        out.extend_from_slice(b"><bind");
        declare(out, ns::BIND);
        out.push(b'>');
        text(out, "jid", jid.as_str());
        out.extend_from_slice(b"</bind></iq>");
    }

    /// RFC 6120 §7.7.2.
    pub fn write_refusal(&self, out: &mut Vec<u8>, error: &StanzaError) {
        out.extend_from_slice(b"<iq type='error'");
        attribute(out, "id", &self.id);
        out.push(b'>');
        error.to_element().write_to(out, ns::CLIENT);
        out.extend_from_slice(b"</iq>");
    }
}

/// The resource of Bind 2: what the client calls itself, then what the server adds (XEP-0386
/// §3.2.1).
pub(super) fn tagged_resource(
    account: &BareJid,
    tag: Option<&str>,
    own: &str,
) -> Result<FullJid, StanzaError> {
    let jid = match tag {
        Some(tag) => account.with_resource(&format!("{tag}/{own}")),
        None => account.with_resource(own),
    };
    jid.map_err(|_| StanzaError::bad_request())
}
