//! What parsing finds in a stanza. Kept once, whatever the number of copies.
//!
//! A stanza passes from hand to hand a dozen times on its way, and a broadcast has a copy for every
//! contact; so what does not differ between copies is behind a reference. The memory for it is used
//! again: a thread keeps what it let go of, and parsing allocates nothing in steady state.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use jackdaw_xml::SharedStr;
use smallvec::SmallVec;

use crate::ns;
use crate::stanza::Payload;

/// A range of the stanza's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    pub(crate) fn is_empty(self) -> bool {
        self.start == self.end
    }

    pub(crate) fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// What stands there. The tokenizer cuts only at ASCII characters.
    #[inline]
    pub(crate) fn of(self, text: &str) -> &str {
        text.get(self.range()).unwrap_or_default()
    }
}

/// A child element of the stanza: its name and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Child {
    pub whole: Span,
    pub name: Span,
    /// Empty: inherited from the stream, `jabber:client`.
    pub ns: Span,
    pub is_removed: bool,
}

impl Child {
    /// Whether it has this name.
    #[inline]
    pub fn is(&self, text: &str, ns: &str, name: &str) -> bool {
        let has_ns =
            if self.ns.is_empty() { ns == crate::ns::CLIENT } else { self.ns.of(text) == ns };
        has_ns && self.name.of(text) == name
    }

    #[inline]
    pub fn payload<'a>(&self, text: &'a str) -> Payload<'a> {
        Payload {
            ns: if self.ns.is_empty() { ns::CLIENT } else { self.ns.of(text) },
            name: self.name.of(text),
            xml: self.whole.of(text).as_bytes(),
        }
    }
}

/// Which namespaces the children of a stanza may be in, a bit for each of 32 sorts.
///
/// A dozen extensions ask each message for payloads of theirs, and most messages have none of them:
/// one bit says so, where a look at every child would compare as many names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sieve(u32);

impl Sieve {
    /// Adds a namespace as it stands in the stanza, empty for the stream's own.
    #[inline]
    pub fn add(&mut self, ns: &[u8]) {
        self.0 |= Sieve::bit(if ns.is_empty() { crate::ns::CLIENT.as_bytes() } else { ns });
    }

    /// Whether a namespace may be among those that were added. `false` is certain.
    #[inline]
    pub fn may_have(self, ns: &str) -> bool {
        self.0 & Sieve::bit(ns.as_bytes()) != 0
    }

    /// Length and two letters: namespaces end in versions or fragments, and differ in the middle.
    #[inline]
    const fn bit(ns: &[u8]) -> u32 {
        let length = ns.len();
        if length == 0 {
            return 1;
        }
        let sort = length + ns[length - 1] as usize * 5 + ns[length / 2] as usize;
        1 << (sort % 32)
    }
}

/// The bytes of a stanza and what stands where in them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parsed {
    pub text: SharedStr,
    /// Of `children`, also of those removed.
    pub sieve: Sieve,
    /// The value of `id`, raw. Empty and absent are told apart by `has_id`.
    pub id: Span,
    pub has_id: bool,
    /// The value of `xml:lang`, raw.
    pub lang: Span,
    /// Attributes other than `to`, `from` and the default namespace, copied as they came.
    pub kept: SmallVec<[Span; 3]>,
    /// Where the start tag ends: `>` or `/>`.
    pub tail: u32,
    pub children: SmallVec<[Child; 4]>,
    /// Serialised children that the server added, written after the sender's.
    pub added: Bytes,
}

/// Parsed stanzas whose memory a thread keeps: what a turn of a worker has in hand at once, 150 KB.
const SPARE_MAX: usize = 512;

thread_local! {
    static SPARE: RefCell<Vec<Arc<Parsed>>> = const { RefCell::new(Vec::new()) };
}

/// A reference to what was parsed; the last one gives the memory back to its thread.
#[derive(Clone, Debug)]
pub(crate) struct Shared(
    /// None only while it is dropped.
    Option<Arc<Parsed>>,
);

impl Shared {
    /// An empty one.
    pub fn new() -> Shared {
        let spare = SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten();
        Shared(Some(spare.unwrap_or_default()))
    }

    #[inline]
    pub fn get(&self) -> &Parsed {
        self.0.as_ref().expect("only a drop takes it")
    }

    /// To change it; other stanzas that share it keep what they have.
    pub fn to_mut(&mut self) -> &mut Parsed {
        Arc::make_mut(self.0.as_mut().expect("only a drop takes it"))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let Some(mut parsed) = self.0.take() else { return };
        // Whoever else has it will come here too.
        let Some(unused) = Arc::get_mut(&mut parsed) else { return };
        if unused.kept.spilled() || unused.children.spilled() {
            // An unusual stanza; its memory is not kept for the usual ones.
            return;
        }
        *unused = Parsed::default();
        // A thread that ends keeps nothing.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_MAX {
                spare.push(parsed);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_sieve_says_no_of_nothing_that_was_added(
            added in prop::collection::vec("[ -~é]{0,40}", 0..6),
            other in "[ -~é]{0,40}",
        ) {
            let mut sieve = Sieve::default();
            added.iter().for_each(|ns| sieve.add(ns.as_bytes()));
            for ns in &added {
                let ns = if ns.is_empty() { crate::ns::CLIENT } else { ns };
                prop_assert!(sieve.may_have(ns));
            }
            let mut with_other = sieve;
            with_other.add(other.as_bytes());
            prop_assert!(added.iter().all(|ns| ns.is_empty() || with_other.may_have(ns)));
        }
    }

    #[test]
    fn a_plain_message_has_nothing_that_extensions_ask_every_message_for() {
        let mut sieve = Sieve::default();
        sieve.add(b"");
        for ns in [ns::CARBONS, ns::CHAT_STATES, ns::DELAY, ns::HINTS, ns::STANZA_ID] {
            assert!(!sieve.may_have(ns), "{ns}");
        }
    }

    #[test]
    fn memory_is_used_again_once_nobody_has_it() {
        let mut first = Shared::new();
        first.to_mut().tail = 7;
        let second = first.clone();
        let place = std::ptr::from_ref(first.get());
        drop(first);
        let other = Shared::new();
        assert_ne!(std::ptr::from_ref(other.get()), place, "somebody still has it");
        drop(second);
        let again = Shared::new();
        assert_eq!(std::ptr::from_ref(again.get()), place);
        assert_eq!(again.get().tail, 0, "nothing is left in it");
    }

    #[test]
    fn a_change_is_seen_by_nobody_else() {
        let mut first = Shared::new();
        let second = first.clone();
        first.to_mut().tail = 7;
        assert_eq!((first.get().tail, second.get().tail), (7, 0));
    }
}
