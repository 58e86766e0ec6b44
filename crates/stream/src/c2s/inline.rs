//! What a client asks for inside `<authenticate/>` (XEP-0388 §2.3): to bind (XEP-0386), to resume
//! (XEP-0198 §9), a token (XEP-0484).

use super::event::{Carbons, ClientState, Revoke, UserAgent};
use super::ids::SmId;
use super::resume::parse_h;
use crate::sasl::{FastRequest, Mechanism, SaslFailure};
use jackdaw_stanza::ns;
use jackdaw_xml::Element;
use std::sync::Arc;

/// Everything besides the SASL exchange itself.
#[derive(Debug)]
pub(super) struct Inline {
    client: Arc<UserAgent>,
    pub mechanism: Mechanism,
    fast: Option<Fast>,
    /// For which mechanism a new token is wanted (XEP-0484 §3.2).
    pub request_token: Option<Mechanism>,
    pub resume: Option<InlineResume>,
    pub bind: Option<InlineBind>,
}

#[derive(Clone, Copy, Debug)]
struct Fast {
    request: FastRequest,
    revoke: Revoke,
}

/// `<resume/>` (XEP-0198 §9.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct InlineResume {
    /// None: not an id we ever gave out.
    pub id: Option<SmId>,
    pub h: u32,
}

/// `<bind/>` (XEP-0386 §3.2).
#[derive(Debug, Default)]
pub(super) struct InlineBind {
    pub tag: Option<String>,
    pub carbons: Carbons,
    /// `<enable/>` of stream management.
    pub enable_sm: Option<Element>,
    pub client_state: Option<ClientState>,
}

impl Inline {
    /// Reads `<authenticate/>`. What is unknown in it is ignored.
    pub fn parse(authenticate: &Element, mechanism: Mechanism) -> Result<Inline, SaslFailure> {
        let child = |ns, name| authenticate.child(ns, name);
        let client = child(ns::SASL2, "user-agent").map(user_agent).unwrap_or_default();
        let fast = child(ns::FAST, "fast").map(parse_fast).transpose()?;
        // Tokens belong to clients, and a client is known by its id (XEP-0484 §4.1).
        if mechanism.is_fast() && client.id.is_none() {
            return Err(SaslFailure::malformed_request().text("no user-agent id"));
        }
        Ok(Inline {
            mechanism,
            fast,
            request_token: child(ns::FAST, "request-token")
                .filter(|_| client.id.is_some())
                .and_then(|request| Mechanism::parse(request.attr("mechanism")?)),
            resume: child(ns::SM, "resume").map(parse_resume).transpose()?,
            bind: child(ns::BIND2, "bind").map(parse_bind),
            client: Arc::new(client),
        })
    }

    pub fn client(&self) -> &Arc<UserAgent> {
        &self.client
    }

    pub fn fast_request(&self) -> Option<FastRequest> {
        self.fast.map(|fast| fast.request)
    }

    /// Whether the token used is to be revoked (XEP-0484 §3.6).
    pub fn revoke(&self) -> Revoke {
        self.fast.map_or(Revoke::No, |fast| fast.revoke)
    }
}

fn user_agent(element: &Element) -> UserAgent {
    let text = |name| element.child(ns::SASL2, name).map(|child| child.text().into_boxed_str());
    let id = element.attr("id").filter(|id| !id.is_empty());
    UserAgent { id: id.map(Box::from), software: text("software"), device: text("device") }
}

fn parse_fast(element: &Element) -> Result<Fast, SaslFailure> {
    let count = match element.attr("count") {
        Some(count) => Some(parse_h(count).ok_or(SaslFailure::malformed_request())?),
        None => None,
    };
    let revoke = match is_true(element.attr("invalidate")) {
        true => Revoke::Yes,
        false => Revoke::No,
    };
    Ok(Fast { request: FastRequest { count }, revoke })
}

fn parse_resume(element: &Element) -> Result<InlineResume, SaslFailure> {
    let h = element.attr("h").and_then(parse_h).ok_or(SaslFailure::malformed_request())?;
    Ok(InlineResume { id: element.attr("previd").and_then(SmId::parse), h })
}

fn parse_bind(element: &Element) -> InlineBind {
    let has = |ns, name| element.child(ns, name).is_some();
    let tag = element.child(ns::BIND2, "tag").map(Element::text);
    InlineBind {
        tag: tag.filter(|tag| !tag.is_empty()),
        carbons: if has(ns::CARBONS, "enable") { Carbons::On } else { Carbons::Off },
        enable_sm: element.child(ns::SM, "enable").cloned(),
        client_state: match (has(ns::CSI, "inactive"), has(ns::CSI, "active")) {
            (true, _) => Some(ClientState::Inactive),
            (false, true) => Some(ClientState::Active),
            (false, false) => None,
        },
    }
}

/// An `xs:boolean`.
pub(super) fn is_true(value: Option<&str>) -> bool {
    matches!(value, Some("true" | "1"))
}
