//! What service discovery shows (XEP-0030), collected from the registrations.

use std::fmt;
use std::sync::Arc;

use jackdaw_stanza::StanzaError;
use jackdaw_xml::Element;

use crate::{Ctx, Iq, Pending};

/// `<identity/>` of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Category, `server` for one.
    pub category: &'static str,
    /// Type, `im` for one.
    pub kind: &'static str,
    /// Name for humans; empty for none.
    pub name: &'static str,
}

/// The two questions of service discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscoQuery {
    /// Who are you and what can you do? (`disco#info`)
    Info,
    /// What belongs to you? (`disco#items`)
    Items,
}

/// Answers for nodes of an extension's own: the whole `<query/>`, or none for a node that is not
/// its own. The requester may not be trusted yet where the entity is a host.
pub type DiscoNodeHandler = Arc<
    dyn Fn(Ctx, Iq, DiscoQuery, &str) -> Pending<Result<Option<Element>, StanzaError>>
        + Send
        + Sync,
>;

/// A registered handler of nodes.
#[derive(Clone)]
pub struct DiscoNode(pub DiscoNodeHandler);

impl fmt::Debug for DiscoNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DiscoNode(..)")
    }
}

/// What one kind of entity shows.
#[derive(Clone, Debug, Default)]
pub struct Disco {
    /// Who it is.
    pub identities: Vec<Identity>,
    /// What it can do, sorted, each once.
    pub features: Vec<&'static str>,
    /// Extended information (XEP-0128), data forms.
    pub forms: Vec<Element>,
    /// Who answers for nodes.
    pub nodes: Vec<DiscoNode>,
}

impl Disco {
    /// Adds a feature, once.
    pub fn add_feature(&mut self, feature: &'static str) {
        if let Err(at) = self.features.binary_search(&feature) {
            self.features.insert(at, feature);
        }
    }
}
