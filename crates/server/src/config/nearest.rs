//! The known name nearest to a mistyped one.

/// The candidate that is most likely meant by `name`, if any is near enough to be worth suggesting.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // Jaro–Winkler prefers a common beginning, as in `resume_timeout` for `resume_timeout_secs`.
    // Below 0.8 a suggestion is a guess, and a wrong suggestion is worse than none.
    const SIMILARITY_MIN: f64 = 0.8;
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_finds_its_name_and_nonsense_finds_none() {
        let known = ["connections_max", "roster_items_max", "stanza_bytes_max"];
        assert_eq!(nearest("conections_max", known), Some("connections_max"));
        assert_eq!(nearest("stanza_max_bytes", known), Some("stanza_bytes_max"));
        assert_eq!(nearest("colour", known), None);
    }
}
