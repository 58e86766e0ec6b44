//! The namespace declarations in force while a stanza is read.

use crate::stack::Stack;
use crate::{Limit, Scope, XmlError, ns};

/// Declarations in force at a time. Lookups walk them, so they stay few; stanzas in use have three.
const DECLARATIONS_OPEN_MAX: usize = 64;

/// The prefix that stream headers use for their own namespace.
const STREAM_PREFIX: &str = "stream";

/// Declarations from the stream header down to the element being read.
pub(crate) struct Namespaces<'a> {
    scope: &'a Scope,
    default: &'a str,
    bindings: Stack<Binding<'a>, 8>,
    declared: u16,
    declared_max: u16,
}

#[derive(Clone, Copy)]
struct Binding<'a> {
    /// Empty for the default namespace.
    prefix: &'a str,
    /// What the prefix is bound to. For the default namespace, what it was bound to before.
    ns: &'a str,
    depth: usize,
}

/// A prefix that was found.
pub(crate) struct Resolved<'a> {
    pub ns: &'a str,
    /// The depth of the element that declared it; zero for the stream header.
    pub depth: usize,
}

impl<'a> Namespaces<'a> {
    pub fn new(scope: &'a Scope, declared_max: u16) -> Namespaces<'a> {
        let default = scope.default_namespace();
        Namespaces { scope, default, bindings: Stack::new(), declared: 0, declared_max }
    }

    /// The namespace of unprefixed elements.
    #[inline(always)]
    pub fn default(&self) -> &'a str {
        self.default
    }

    /// How many declarations are in force. There are at most `DECLARATIONS_OPEN_MAX`.
    #[inline(always)]
    pub fn len(&self) -> u32 {
        self.bindings.len() as u32
    }

    /// Forgets the declarations beyond the first `length`.
    #[inline(always)]
    pub fn truncate(&mut self, length: u32) {
        if self.len() > length {
            self.forget(length);
        }
    }

    #[inline(never)]
    fn forget(&mut self, length: u32) {
        let length = length as usize;
        let forgotten = self.bindings.as_slice().get(length..).unwrap_or_default();
        // The outermost of them knows what was before all of them.
        if let Some(outermost) = forgotten.iter().find(|binding| binding.prefix.is_empty()) {
            self.default = outermost.ns;
        }
        self.bindings.truncate(length);
    }

    #[inline(never)]
    pub fn resolve(&self, prefix: &str) -> Option<Resolved<'a>> {
        let found = self.bindings.as_slice().iter().rev().find(|binding| binding.prefix == prefix);
        match found {
            Some(binding) => Some(Resolved { ns: binding.ns, depth: binding.depth }),
            None => self.scope.resolve(prefix).map(|ns| Resolved { ns, depth: 0 }),
        }
    }

    /// `xmlns='ns'` on an element of this depth.
    #[inline(always)]
    pub fn declare_default(&mut self, ns: &'a str, depth: usize) -> Result<(), XmlError> {
        self.count()?;
        if ns == ns::XML || ns == ns::XMLNS {
            return Err(XmlError::BadNamespacePrefix);
        }
        self.bindings.push(Binding { prefix: "", ns: self.default, depth });
        self.default = ns;
        Ok(())
    }

    #[inline(never)]
    /// `xmlns:prefix='ns'` on an element of this depth (Namespaces in XML 1.0 §3). Says whether a
    /// canonical stanza may hold the declaration.
    pub fn declare(
        &mut self,
        prefix: &'a str,
        ns: &'a str,
        depth: usize,
    ) -> Result<bool, XmlError> {
        self.count()?;
        let is_xml = prefix == "xml";
        if ns.is_empty() || prefix == "xmlns" || ns == ns::XMLNS || is_xml != (ns == ns::XML) {
            return Err(XmlError::BadNamespacePrefix);
        }
        let rebinds = self.resolve(prefix).is_some_and(|known| known.ns != ns);
        self.bindings.push(Binding { prefix, ns, depth });
        Ok(!rebinds && !is_xml && prefix != STREAM_PREFIX)
    }

    #[inline(always)]
    fn count(&mut self) -> Result<(), XmlError> {
        if self.declared >= self.declared_max || self.bindings.len() >= DECLARATIONS_OPEN_MAX {
            return Err(XmlError::Limit(Limit::Namespaces));
        }
        self.declared += 1;
        Ok(())
    }
}
