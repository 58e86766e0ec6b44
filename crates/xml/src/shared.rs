//! Refcounted text.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

use crate::XmlError;

/// A refcounted slice of bytes that is known to be UTF-8. It was checked once, where it was made,
/// so that whoever reads a piece of it need not check that again.
#[derive(Clone, Default)]
pub struct SharedStr(Bytes);

impl SharedStr {
    /// Checks the bytes, in linear time.
    pub fn check(bytes: Bytes) -> Result<SharedStr, XmlError> {
        match simdutf8::basic::from_utf8(&bytes) {
            Ok(_) => Ok(SharedStr(bytes)),
            Err(_) => Err(XmlError::BadFormat),
        }
    }

    /// The text.
    #[inline(always)]
    #[expect(unsafe_code)] // Looked at some twenty times a stanza: a check would be its main cost.
    pub fn as_str(&self) -> &str {
        // SAFETY: only `check` makes a value other than the empty one, and it looked at all of
        // these bytes, which nobody can change.
        unsafe { std::str::from_utf8_unchecked(&self.0) }
    }

    /// A copy in a buffer of its own size. A slice keeps all of the buffer that it was cut from.
    pub fn unshared(&self) -> SharedStr {
        SharedStr(Bytes::copy_from_slice(&self.0))
    }
}

impl Deref for SharedStr {
    type Target = str;

    #[inline(always)]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for SharedStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_utf8_becomes_text() {
        let text = SharedStr::check(Bytes::from_static("Grüße".as_bytes()));
        assert_eq!(text.as_deref(), Ok("Grüße"));
        let cut = SharedStr::check(Bytes::from_static(&"ü".as_bytes()[..1]));
        assert!(matches!(cut, Err(XmlError::BadFormat)));
        assert_eq!(SharedStr::default().as_str(), "");
    }

    #[test]
    fn an_unshared_copy_holds_the_same_text() {
        let text = SharedStr::check(Bytes::from_static(b"text")).expect("ASCII");
        let copy = text.unshared();
        assert_eq!(copy.as_str(), "text");
        assert_ne!(copy.as_ptr(), text.as_ptr());
    }
}
