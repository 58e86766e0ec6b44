//! XEP-0115: Entity Capabilities. A hash that says what an entity can do.
//!
//! The server's own is in its stream features (§6.3). [`verify`] checks others' before they are
//! believed. Does not: keep a cache of others' capabilities, as nothing here asks for them, or the
//! legacy format (§11), which cannot be verified.

use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jackdaw_ext::{At, Ctx, Deps, DiscoQuery, Iq, Pending, Registry, Status, Xep};
use jackdaw_stanza::{StanzaError, ns};
use jackdaw_xml::Element;

/// What this extension says of itself.
pub const INFO: Xep = Xep {
    number: 115,
    name: "Entity Capabilities",
    version: "1.6.0",
    status: Status::Complete,
    features: &[ns::CAPS],
};

/// Names the software in `<c node=…/>` (§4).
pub const NODE: &str = "urn:jackdaw:server";

/// Hash functions (§8.1; SHA-1 is the mandatory one, §10.1), by the names of RFC 6920.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// What everybody uses. No collision is of use to anybody who cannot choose both inputs.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Hash {
    /// By the value of the `hash` attribute.
    pub fn parse(name: &str) -> Option<Hash> {
        Some(match name {
            "sha-1" => Hash::Sha1,
            "sha-256" => Hash::Sha256,
            "sha-512" => Hash::Sha512,
            _ => return None,
        })
    }

    fn algorithm(self) -> &'static Algorithm {
        match self {
            Hash::Sha1 => &SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => &SHA256,
            Hash::Sha512 => &SHA512,
        }
    }
}

/// Why information is not what its hash says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CapsError {
    /// The information has duplicates (§5.4), or parts that would read as several.
    #[error("the information is ill-formed")]
    IllFormed,
    /// It gives another hash.
    #[error("the hash does not match")]
    Mismatch,
}

/// Answers for the node that the stream feature names.
pub fn register(on: &mut Registry, _: &Deps) {
    on.feature(At::Host, ns::CAPS);
    on.disco_nodes(At::Host, |ctx, _: Iq, what, node| {
        let answer = if what == DiscoQuery::Info { own_info(&ctx, node) } else { None };
        Box::pin(std::future::ready(Ok(answer))) as Pending<Result<_, StanzaError>>
    });
}

/// Puts `<c/>` into the stream features, computed from what discovery of a host shows by now.
pub fn advertise(registry: &mut Registry) {
    let info = crate::disco::info(registry.host_disco());
    let Ok(ver) = verification(&info, Hash::Sha1) else {
        debug_assert!(false, "the server's own information is ill-formed");
        return;
    };
    let caps = Element::new(ns::CAPS, "c")
        .with_attr("hash", "sha-1")
        .with_attr("node", NODE)
        .with_attr("ver", ver);
    registry.stream_feature(caps);
}

/// What discovery shows of the host, if this is the node of just that (§6.2).
fn own_info(ctx: &Ctx, node: &str) -> Option<Element> {
    let ver = node.strip_prefix(NODE)?.strip_prefix('#')?;
    let info = crate::disco::info(ctx.services().host_disco.get()?);
    let is_current = verification(&info, Hash::Sha1).is_ok_and(|own| own == ver);
    is_current.then(|| info.with_attr("node", node))
}

/// Whether this answer to `disco#info` is what the hash was made of (§5.4). What is not must not be
/// kept for anybody but its sender: a forged entry would speak for every client of that kind.
pub fn verify(info: &Element, hash: Hash, ver: &str) -> Result<(), CapsError> {
    if verification(info, hash)? == ver { Ok(()) } else { Err(CapsError::Mismatch) }
}

/// The verification string of an answer to `disco#info` (§5.1).
pub fn verification(info: &Element, hash: Hash) -> Result<String, CapsError> {
    let mut input = String::new();
    append_all(&mut input, identities(info)?)?;
    append_all(&mut input, features(info)?)?;
    for (_, form) in forms(info)? {
        append_form(&mut input, form)?;
    }
    Ok(STANDARD.encode(digest(hash.algorithm(), input.as_bytes())))
}

/// Appends the parts in order, each ended by `<`; the same part twice is ill-formed.
fn append_all(input: &mut String, mut parts: Vec<String>) -> Result<(), CapsError> {
    parts.sort_unstable();
    if parts.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
        return Err(CapsError::IllFormed);
    }
    parts.iter().try_for_each(|part| append(input, part))
}

/// A part with a `<` in it would read as two: whoever can write one could make the hash of another
/// client. The document does not forbid it; nobody needs it.
fn append(input: &mut String, part: &str) -> Result<(), CapsError> {
    if part.contains('<') {
        return Err(CapsError::IllFormed);
    }
    input.push_str(part);
    input.push('<');
    Ok(())
}

/// `category/type/lang/name` of each. Sorting the whole text sorts by category, then type, then
/// language, as no registered one has a character below `/`.
fn identities(info: &Element) -> Result<Vec<String>, CapsError> {
    let mut all = Vec::new();
    for identity in info.children().filter(|e| e.is(ns::DISCO_INFO, "identity")) {
        let part = |name: &str| identity.attr(name).unwrap_or_default();
        let (category, kind, lang) = (part("category"), part("type"), part("xml:lang"));
        if [category, kind, lang].iter().any(|part| part.contains('/')) {
            return Err(CapsError::IllFormed);
        }
        all.push(format!("{category}/{kind}/{lang}/{}", part("name")));
    }
    Ok(all)
}

fn features(info: &Element) -> Result<Vec<String>, CapsError> {
    let features = info.children().filter(|e| e.is(ns::DISCO_INFO, "feature"));
    let var = |e: &Element| e.attr("var").map(str::to_owned).ok_or(CapsError::IllFormed);
    features.map(var).collect()
}

/// The forms by `FORM_TYPE`. One without a hidden `FORM_TYPE` is ignored; two of one type, or a
/// type with several values, are ill-formed (§5.4).
fn forms(info: &Element) -> Result<Vec<(String, &Element)>, CapsError> {
    let mut all: Vec<(String, &Element)> = Vec::new();
    for form in info.children().filter(|e| e.is(ns::DATA_FORMS, "x")) {
        let Some(field) = fields(form).find(|f| f.attr("var") == Some("FORM_TYPE")) else {
            continue;
        };
        if field.attr("type") != Some("hidden") {
            continue;
        }
        let mut types = values(field);
        types.dedup();
        match types.as_slice() {
            [form_type] => all.push((form_type.clone(), form)),
            _ => return Err(CapsError::IllFormed),
        }
    }
    all.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    if all.windows(2).any(|pair| matches!(pair, [(a, _), (b, _)] if a == b)) {
        return Err(CapsError::IllFormed);
    }
    Ok(all)
}

fn append_form(input: &mut String, form: &Element) -> Result<(), CapsError> {
    let var = |field: &Element| field.attr("var").unwrap_or_default().to_owned();
    let mut all: Vec<(String, Vec<String>)> =
        fields(form).map(|field| (var(field), values(field))).collect();
    all.sort_unstable();
    let types = all.iter().filter(|(name, _)| name == "FORM_TYPE");
    for form_type in types.flat_map(|(_, values)| values.first()) {
        append(input, form_type)?;
    }
    for (name, values) in all.iter().filter(|(name, _)| name != "FORM_TYPE") {
        append(input, name)?;
        values.iter().try_for_each(|value| append(input, value))?;
    }
    Ok(())
}

fn fields(form: &Element) -> impl Iterator<Item = &Element> {
    form.children().filter(|e| e.is(ns::DATA_FORMS, "field"))
}

/// The values of a field, sorted.
fn values(field: &Element) -> Vec<String> {
    let values = field.children().filter(|e| e.is(ns::DATA_FORMS, "value"));
    let mut values: Vec<String> = values.map(Element::text).collect();
    values.sort_unstable();
    values
}

#[cfg(test)]
#[path = "caps_test.rs"]
mod tests;
