//! What an extension says of itself.

/// How much of a specification stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All that the document asks of a server.
    Complete,
    /// Some of it; the module says what is left out.
    Partial,
}

/// The specification an extension implements; `docs/xeps.md` and the DOAP file are made of these.
#[derive(Clone, Copy, Debug)]
pub struct Xep {
    /// Its number: 191 for XEP-0191.
    pub number: u16,
    /// Its title.
    pub name: &'static str,
    /// The version that was implemented.
    pub version: &'static str,
    /// How much of it.
    pub status: Status,
    /// The namespaces that a client sees in service discovery because of it.
    pub features: &'static [&'static str],
}
