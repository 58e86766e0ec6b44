//! No attribute twice (XML 1.0 §3.1, Namespaces in XML 1.0 §6.3).

use smallvec::SmallVec;

use crate::{Attribute, XmlError};

/// Up to here comparing each with each is cheaper than sorting. Beyond it sorting keeps the work
/// linear but for a logarithm.
const PAIRWISE_MAX: usize = 12;

/// Refuses two attributes of the same expanded name, whatever their prefixes.
#[inline]
pub(crate) fn refuse_duplicates(attributes: &[Attribute<'_>]) -> Result<(), XmlError> {
    let has_duplicates = match attributes.len() {
        0 | 1 => false,
        2..=PAIRWISE_MAX => has_equal_pair(attributes),
        _ => has_equal_neighbours(attributes),
    };
    if has_duplicates { Err(XmlError::NotWellFormed("attribute twice")) } else { Ok(()) }
}

#[inline]
fn has_equal_pair(attributes: &[Attribute<'_>]) -> bool {
    let mut rest = attributes;
    while let [first, others @ ..] = rest {
        if others.iter().any(|other| is_same(first, other)) {
            return true;
        }
        rest = others;
    }
    false
}

/// Names of one length mostly begin differently, and then a call is saved.
#[inline(always)]
fn is_same(a: &Attribute<'_>, b: &Attribute<'_>) -> bool {
    a.local.len() == b.local.len()
        && a.local.as_bytes().first() == b.local.as_bytes().first()
        && a.local == b.local
        && a.ns == b.ns
}

#[cold]
fn has_equal_neighbours(attributes: &[Attribute<'_>]) -> bool {
    let names = attributes.iter().map(|attribute| (attribute.local, attribute.ns));
    let mut names: SmallVec<[(&str, &str); 64]> = names.collect();
    names.sort_unstable();
    names.windows(2).any(|pair| matches!(pair, [first, second] if first == second))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &[(&'static str, &'static str)]) -> Result<(), XmlError> {
        let attributes: Vec<_> = names
            .iter()
            .map(|(ns, local)| Attribute {
                ns,
                prefix: "",
                local,
                raw: "",
                start: 0,
                end: 0,
                value_start: 0,
                is_escaped: false,
            })
            .collect();
        refuse_duplicates(&attributes)
    }

    #[test]
    fn an_expanded_name_may_occur_once_among_few_and_many() {
        let many: Vec<(&str, &str)> =
            (0..PAIRWISE_MAX * 2).map(|index| ("", &*String::leak(format!("a{index}")))).collect();
        for names in [&many[..PAIRWISE_MAX], &many] {
            assert_eq!(check(names), Ok(()));
            for (ns, local) in names {
                let with = |extra| [names, &[extra]].concat();
                assert_eq!(check(&with(("urn:other", local))), Ok(()));
                assert!(check(&with((ns, local))).is_err());
            }
        }
    }
}
