//! What the stream header declared for the stanzas inside.

use crate::ns;

/// The namespace declarations that a stanza inherits from its stream header (RFC 6120 §4.8).
///
/// The usual scope of a client (default namespace `jabber:client`, prefix `stream`) owns no heap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope(Option<Box<Declared>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Declared {
    default: String,
    prefixes: Vec<(String, String)>,
}

impl Scope {
    /// Default namespace `jabber:client`, prefix `stream`.
    pub const fn client() -> Scope {
        Scope(None)
    }

    /// Another default namespace (empty for none) and no prefix.
    pub fn new(default: &str) -> Scope {
        Scope(Some(Box::new(Declared { default: default.to_owned(), prefixes: Vec::new() })))
    }

    /// Binds a prefix, or binds it anew.
    pub fn declare(&mut self, prefix: &str, ns: &str) {
        if self.resolve(prefix) == Some(ns) {
            return;
        }
        let declared = self.0.get_or_insert_with(|| {
            let prefixes = vec![("stream".to_owned(), ns::STREAMS.to_owned())];
            Box::new(Declared { default: ns::CLIENT.to_owned(), prefixes })
        });
        declared.prefixes.retain(|(known, _)| known != prefix);
        declared.prefixes.push((prefix.to_owned(), ns.to_owned()));
    }

    /// The namespace of an unprefixed element; empty if there is none.
    pub fn default_namespace(&self) -> &str {
        self.0.as_ref().map_or(ns::CLIENT, |declared| &declared.default)
    }

    /// The namespace that a prefix is bound to.
    pub fn resolve(&self, prefix: &str) -> Option<&str> {
        if prefix == "xml" {
            return Some(ns::XML);
        }
        match &self.0 {
            None => (prefix == "stream").then_some(ns::STREAMS),
            Some(declared) => {
                let found = declared.prefixes.iter().find(|(known, _)| known == prefix);
                found.map(|(_, ns)| ns.as_str())
            }
        }
    }

    /// The same scope, without heap if it is the usual one of a client.
    pub(crate) fn compact(self) -> Scope {
        match &self.0 {
            Some(declared)
                if declared.default == ns::CLIENT
                    && matches!(declared.prefixes.as_slice(),
                        [(prefix, ns)] if prefix == "stream" && ns == ns::STREAMS) =>
            {
                Scope::client()
            }
            Some(_) | None => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_scope_owns_no_heap_however_it_came_about() {
        let mut scope = Scope::new(ns::CLIENT);
        scope.declare("stream", ns::STREAMS);
        assert_eq!(scope.compact().0, None);
        let mut scope = Scope::client();
        scope.declare("stream", ns::STREAMS);
        assert_eq!(scope.0, None);
    }

    #[test]
    fn a_declared_prefix_is_added_to_the_usual_ones() {
        let mut scope = Scope::client();
        scope.declare("db", "jabber:server:dialback");
        assert_eq!(scope.resolve("db"), Some("jabber:server:dialback"));
        assert_eq!(scope.resolve("stream"), Some(ns::STREAMS));
        assert_eq!(scope.default_namespace(), ns::CLIENT);
        assert_eq!(scope.resolve("other"), None);
    }
}
