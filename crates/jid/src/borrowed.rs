//! A JID that borrows normalised text.

use crate::Jid;
use crate::prepare::{fits, is_normal_domain, is_normal_resource, normal_local_length};

/// A JID in normal form, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JidRef<'a> {
    pub(crate) text: &'a str,
    /// Length of the localpart; 0 for none.
    pub(crate) local: u16,
    /// Length up to the end of the domainpart.
    pub(crate) bare: u16,
}

/// Where the parts of a JID end in its text: what finding them again would cost is more than what
/// it costs to keep this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JidParts {
    local: u16,
    bare: u16,
}

/// Where the parts of an unprepared text are (RFC 7622 §3.2): the resource begins at the first
/// `/`, the domain after the first `@` before that.
pub(crate) fn split(text: &str) -> (Option<&str>, &str, Option<&str>) {
    let (bare, resource) = match text.split_once('/') {
        Some((bare, resource)) => (bare, Some(resource)),
        None => (text, None),
    };
    match bare.split_once('@') {
        Some((local, domain)) => (Some(local), domain, resource),
        None => (None, bare, resource),
    }
}

impl<'a> JidRef<'a> {
    /// The JID, if the text is valid and in normal form by the ASCII rules. No allocation; linear.
    pub fn parse_normalised(text: &'a str) -> Option<JidRef<'a>> {
        // Where the characters of a localpart end there is an `@`, or there is no localpart.
        let end = normal_local_length(text);
        let local = text.as_bytes().get(end).filter(|byte| **byte == b'@').map(|_| &text[..end]);
        let rest = local.map_or(text, |_| &text[end + 1..]);
        let (domain, resource) = match rest.bytes().position(|byte| byte == b'/') {
            Some(slash) => (&rest[..slash], Some(&rest[slash + 1..])),
            None => (rest, None),
        };
        let is_normal = local.is_none_or(fits)
            && is_normal_domain(domain)
            && resource.is_none_or(is_normal_resource);
        if !is_normal {
            return None;
        }
        let local_bytes = local.map_or(0, str::len);
        let at = usize::from(local.is_some());
        let bare = u16::try_from(local_bytes + at + domain.len()).ok()?;
        Some(JidRef { text, local: local_bytes as u16, bare })
    }

    /// Where its parts are, to be kept beside text that lives on.
    pub fn parts(self) -> JidParts {
        JidParts { local: self.local, bare: self.bare }
    }

    /// The JID of this text, if the parts were found in an equal one.
    pub fn from_parts(text: &'a str, parts: JidParts) -> Option<JidRef<'a>> {
        let JidParts { local, bare } = parts;
        // Cheap, and other text than that makes no panic later.
        let fits = local <= bare
            && text.is_char_boundary(usize::from(local))
            && text.is_char_boundary(usize::from(bare));
        fits.then_some(JidRef { text, local, bare })
    }

    /// The localpart.
    pub fn local(self) -> Option<&'a str> {
        (self.local > 0).then(|| &self.text[..usize::from(self.local)])
    }

    /// The domainpart.
    pub fn domain(self) -> &'a str {
        let start = if self.local > 0 { usize::from(self.local) + 1 } else { 0 };
        &self.text[start..usize::from(self.bare)]
    }

    /// The resourcepart.
    pub fn resource(self) -> Option<&'a str> {
        self.text.get(usize::from(self.bare) + 1..)
    }

    /// `local@domain`, or the domain.
    pub fn bare_str(self) -> &'a str {
        &self.text[..usize::from(self.bare)]
    }

    /// All of it.
    pub fn as_str(self) -> &'a str {
        self.text
    }

    /// Whether it has a resource.
    pub fn is_full(self) -> bool {
        usize::from(self.bare) < self.text.len()
    }

    /// Whether it is a domain and nothing else.
    pub fn is_domain(self) -> bool {
        self.local == 0 && !self.is_full()
    }

    /// An owned copy.
    pub fn to_jid(self) -> Jid {
        Jid { text: self.text.into(), local: self.local, bare: self.bare }
    }
}

impl std::fmt::Display for JidRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text)
    }
}
