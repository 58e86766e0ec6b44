//! What service discovery shows (XEP-0030), collected from the registrations.

use jackdaw_xml::Element;

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

/// What one kind of entity shows.
#[derive(Clone, Debug, Default)]
pub struct Disco {
    /// Who it is.
    pub identities: Vec<Identity>,
    /// What it can do, sorted, each once.
    pub features: Vec<&'static str>,
    /// Extended information (XEP-0128), data forms.
    pub forms: Vec<Element>,
}

impl Disco {
    /// Adds a feature, once.
    pub fn add_feature(&mut self, feature: &'static str) {
        if let Err(at) = self.features.binary_search(&feature) {
            self.features.insert(at, feature);
        }
    }
}
