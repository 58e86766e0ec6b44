//! What characters a stanza is made of: checked ahead of what is cut out of it.

use super::Tokenizer;
use crate::census::Census;
use crate::lanes::find_either;
use crate::{XmlError, reference};

/// Bytes whose characters are checked at once where it is not known how many belong to the
/// element: the next element's are checked again with it, so not too many; a pass costs some
/// instructions to begin with, so not too few.
pub(super) const LOOKAHEAD: usize = 512;

impl Tokenizer<'_> {
    /// Checks the characters up to `end`, which stands beside one.
    #[inline(always)]
    pub(super) fn check(&mut self, end: usize) -> Result<(), XmlError> {
        if end <= self.checked { Ok(()) } else { self.check_more(end) }
    }

    #[inline(never)]
    fn check_more(&mut self, end: usize) -> Result<(), XmlError> {
        let ahead = character_end(self.bytes, end, self.checked + self.lookahead);
        match self.check_part(ahead) {
            Err(_) if ahead > end => {
                // What is wrong may stand behind the element.
                self.lookahead = 0;
                self.check_part(end)
            }
            outcome => outcome,
        }
    }

    fn check_part(&mut self, end: usize) -> Result<(), XmlError> {
        let census = Census::take(self.bytes.get(self.checked..end).unwrap_or_default())?;
        if census.has_ampersand && self.next_ampersand == usize::MAX {
            self.next_ampersand = ampersand_from(self.bytes, self.checked);
        }
        self.census = self.census.and(census);
        self.checked = end;
        Ok(())
    }

    /// Checks the references in a value or text, and says whether there are any.
    #[inline(always)]
    pub(super) fn has_references(&mut self, start: usize, end: usize) -> Result<bool, XmlError> {
        if self.next_ampersand >= end {
            return Ok(false);
        }
        self.check_references(start, end)
    }

    #[inline(never)]
    fn check_references(&mut self, start: usize, end: usize) -> Result<bool, XmlError> {
        // Those of CDATA sections, which are no references.
        while self.next_ampersand < start {
            self.seek_ampersand();
        }
        let found = self.next_ampersand < end;
        while self.next_ampersand < end {
            let rest = self.bytes.get(self.next_ampersand..end).unwrap_or_default();
            let reference = reference::read(rest)?;
            self.is_canonical &= reference.is_canonical;
            self.seek_ampersand();
        }
        Ok(found)
    }

    /// Goes to the next `&` among what is checked; the check of more finds those in it.
    fn seek_ampersand(&mut self) {
        let checked = self.bytes.get(..self.checked).unwrap_or_default();
        self.next_ampersand = ampersand_from(checked, self.next_ampersand + 1);
    }
}

/// The end of the character that ends at `wanted` or before, but not before `end`.
fn character_end(bytes: &[u8], end: usize, wanted: usize) -> usize {
    let wanted = wanted.min(bytes.len());
    // A character has at most three bytes behind its first.
    let cuts = |at: &usize| !matches!(bytes.get(*at), Some(0x80..0xC0));
    (end.max(wanted.saturating_sub(3))..=wanted).rev().find(cuts).unwrap_or(end)
}

/// Where the first `&` stands from `at` on; `usize::MAX` if there is none.
fn ampersand_from(bytes: &[u8], at: usize) -> usize {
    find_either(bytes, at, b'&', b'&').unwrap_or(usize::MAX)
}
