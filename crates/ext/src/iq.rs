//! IQ requests as handlers see them.

use std::sync::Arc;

use jackdaw_stanza::{IqType, Payload, Stanza, StanzaError};
use jackdaw_xml::Element;

use crate::{Ctx, Pending};

/// A get or set with exactly one payload, for which a handler is registered.
#[derive(Clone, Debug)]
pub struct Iq {
    stanza: Stanza,
}

impl Iq {
    /// The router made sure that it is a get or set with one child (RFC 6120 §8.2.3).
    pub fn new(stanza: Stanza) -> Iq {
        Iq { stanza }
    }

    /// The stanza itself.
    pub fn stanza(&self) -> &Stanza {
        &self.stanza
    }

    /// Whether it is a set.
    pub fn is_set(&self) -> bool {
        self.stanza.iq_type() == Some(IqType::Set)
    }

    /// The payload by name, not parsed.
    pub fn payload(&self) -> Result<Payload<'_>, StanzaError> {
        self.stanza.payloads().next().ok_or_else(StanzaError::bad_request)
    }

    /// The payload as a tree.
    pub fn element(&self) -> Result<Element, StanzaError> {
        self.payload()?.element().map_err(|_| StanzaError::bad_request())
    }
}

/// The payload of a result, if there is one.
#[derive(Clone, Debug, Default)]
pub struct Reply(pub Option<Element>);

impl Reply {
    /// A result with this payload.
    pub fn new(payload: Element) -> Reply {
        Reply(Some(payload))
    }

    /// An empty result.
    pub fn empty() -> Reply {
        Reply(None)
    }
}

/// A registered handler.
pub type IqHandler = Arc<dyn Fn(Ctx, Iq) -> Pending<Result<Reply, StanzaError>> + Send + Sync>;
