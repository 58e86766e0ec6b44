//! The name of a node, as in its certificate.

use std::fmt;

/// The longest name, as DNS has it.
const BYTES_MAX: usize = 255;

/// The name of a node: what lists of nodes hold, and what its certificate says. Names are ordered
/// by their bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// A name that is empty, or longer than DNS allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to {BYTES_MAX} bytes")]
pub struct NameError;

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Name, NameError> {
        let fits = (1..=BYTES_MAX).contains(&text.len());
        fits.then_some(Name(text)).ok_or(NameError)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
