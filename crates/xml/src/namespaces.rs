//! The namespace declarations in force while a stanza is read.

use smallvec::SmallVec;

use crate::{Limit, Scope, XmlError, ns};

/// Prefixes bound at a time. Lookups walk them, so it stays small; documents in use bind three.
const PREFIXES_OPEN_MAX: usize = 64;

/// The prefix that stream headers use for their own namespace.
const STREAM_PREFIX: &str = "stream";

/// Declarations from the stream header down to the element being read.
pub(crate) struct Namespaces<'a> {
    scope: &'a Scope,
    default: &'a str,
    bindings: SmallVec<[Binding<'a>; 8]>,
    declared: u16,
    declared_max: u16,
}

struct Binding<'a> {
    prefix: &'a str,
    ns: &'a str,
    depth: usize,
}

/// What closing an element brings back.
#[derive(Clone, Copy)]
pub(crate) struct Mark<'a> {
    default: &'a str,
    bindings: usize,
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
        Namespaces { scope, default, bindings: SmallVec::new(), declared: 0, declared_max }
    }

    /// The namespace of unprefixed elements.
    pub fn default(&self) -> &'a str {
        self.default
    }

    pub fn mark(&self) -> Mark<'a> {
        Mark { default: self.default, bindings: self.bindings.len() }
    }

    /// Forgets what was declared since the mark.
    pub fn reset(&mut self, mark: Mark<'a>) {
        self.default = mark.default;
        self.bindings.truncate(mark.bindings);
    }

    pub fn resolve(&self, prefix: &str) -> Option<Resolved<'a>> {
        let found = self.bindings.iter().rev().find(|binding| binding.prefix == prefix);
        match found {
            Some(binding) => Some(Resolved { ns: binding.ns, depth: binding.depth }),
            None => self.scope.resolve(prefix).map(|ns| Resolved { ns, depth: 0 }),
        }
    }

    /// `xmlns='ns'`.
    pub fn declare_default(&mut self, ns: &'a str) -> Result<(), XmlError> {
        self.count()?;
        check_name(ns)?;
        if ns == ns::XML || ns == ns::XMLNS {
            return Err(XmlError::BadNamespacePrefix);
        }
        self.default = ns;
        Ok(())
    }

    /// `xmlns:prefix='ns'` on an element of this depth (Namespaces in XML 1.0 §3). Says whether a
    /// canonical stanza may hold the declaration.
    pub fn declare(
        &mut self,
        prefix: &'a str,
        ns: &'a str,
        depth: usize,
    ) -> Result<bool, XmlError> {
        self.count()?;
        check_name(ns)?;
        let is_xml = prefix == "xml";
        if ns.is_empty() || prefix == "xmlns" || ns == ns::XMLNS || is_xml != (ns == ns::XML) {
            return Err(XmlError::BadNamespacePrefix);
        }
        let rebinds = self.resolve(prefix).is_some_and(|known| known.ns != ns);
        if self.bindings.len() >= PREFIXES_OPEN_MAX {
            return Err(XmlError::Limit(Limit::Namespaces));
        }
        self.bindings.push(Binding { prefix, ns, depth });
        Ok(!rebinds && !is_xml && prefix != STREAM_PREFIX)
    }

    fn count(&mut self) -> Result<(), XmlError> {
        if self.declared >= self.declared_max {
            return Err(XmlError::Limit(Limit::Namespaces));
        }
        self.declared += 1;
        Ok(())
    }
}

/// Namespace names are compared as they are written, so what a parser would rewrite is refused:
/// references and white space. No URI has either.
fn check_name(ns: &str) -> Result<(), XmlError> {
    match ns.bytes().find(|byte| matches!(byte, 0..=b' ' | b'&' | 0x7F)) {
        None => Ok(()),
        Some(b'&') => Err(XmlError::RestrictedXml("reference in a namespace name")),
        Some(_) => Err(XmlError::RestrictedXml("white space in a namespace name")),
    }
}
