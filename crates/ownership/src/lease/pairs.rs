//! Which nodes to end when some of them do not reach each other.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{Incarnation, NodeId};

/// A life, ordered by the id of its node.
type Candidate = (NodeId, Incarnation);

/// Nodes to end, so that of those that are left all reach each other. An unreachable pair would
/// wait for each other for ever: each recovery and each eviction needs an answer or an end.
///
/// Again and again the node in most pairs; of several, the one of the highest id. Never a quorum
/// of the living: then it is not they who are cut off.
pub(super) fn condemned(
    living: &BTreeMap<Incarnation, NodeId>,
    reports: impl IntoIterator<Item = (Incarnation, Incarnation)>,
) -> BTreeSet<Incarnation> {
    let mut pairs: BTreeSet<(Candidate, Candidate)> = BTreeSet::new();
    for (one, other) in reports {
        if let (Some(&a), Some(&b)) = (living.get(&one), living.get(&other))
            && one != other
        {
            let (a, b) = ((a, one), (b, other));
            pairs.insert((a.min(b), a.max(b)));
        }
    }
    let quorum = living.len() / 2 + 1;
    let mut condemned = BTreeSet::new();
    while condemned.len() + 1 < quorum
        && let Some(worst) = worst(&pairs)
    {
        condemned.insert(worst.1);
        pairs.retain(|(a, b)| *a != worst && *b != worst);
    }
    condemned
}

fn worst(pairs: &BTreeSet<(Candidate, Candidate)>) -> Option<Candidate> {
    let mut counts: BTreeMap<Candidate, usize> = BTreeMap::new();
    for candidate in pairs.iter().flat_map(|(a, b)| [a, b]) {
        *counts.entry(*candidate).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(candidate, count)| (*count, *candidate)).map(|(worst, _)| worst)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of nodes 1 to `count`, whose lives have numbers a hundred above theirs.
    fn ended(count: u64, pairs: &[(u64, u64)]) -> Vec<u64> {
        let living = (1..=count).map(|id| (Incarnation(id + 100), NodeId(id))).collect();
        let reports = pairs.iter().map(|(a, b)| (Incarnation(a + 100), Incarnation(b + 100)));
        condemned(&living, reports).into_iter().map(|life| life.0 - 100).collect()
    }

    #[test]
    fn nobody_is_ended_while_all_reach_each_other() {
        assert_eq!(ended(3, &[]), []);
    }

    #[test]
    fn of_a_pair_the_higher_id_is_ended() {
        assert_eq!(ended(3, &[(1, 2)]), [2]);
        assert_eq!(ended(3, &[(2, 1)]), [2], "one side is enough to make a pair");
    }

    #[test]
    fn the_node_in_most_pairs_is_ended() {
        assert_eq!(ended(5, &[(1, 2), (1, 3), (4, 1)]), [1]);
        assert_eq!(ended(5, &[(1, 2), (1, 3), (4, 5)]), [1, 5]);
    }

    #[test]
    fn both_reports_of_a_pair_are_one_pair() {
        assert_eq!(ended(5, &[(1, 2), (2, 1), (2, 3), (3, 2), (1, 4)]), [2, 4]);
    }

    #[test]
    fn never_a_quorum() {
        assert_eq!(ended(3, &[(1, 2), (2, 3), (1, 3)]).len(), 1);
        assert_eq!(ended(5, &[(1, 2), (1, 3), (2, 3), (4, 5), (1, 5), (2, 4)]).len(), 2);
        assert_eq!(ended(1, &[(1, 1)]), []);
    }

    #[test]
    fn who_does_not_live_is_in_no_pair() {
        assert_eq!(ended(3, &[(1, 9), (9, 8), (3, 3)]), []);
    }
}
