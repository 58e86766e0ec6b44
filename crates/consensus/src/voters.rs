//! Who should vote.

use std::collections::{BTreeMap, BTreeSet};

use crate::node::NodeId;

/// How many voters there may be. Two stop when either does, and four when two do, as three do.
pub(crate) const COUNTS: [usize; 3] = [1, 3, 5];

/// A member, as whoever leads sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which member.
    pub id: NodeId,
    /// Where it is, so that voters do not all lose their power at once.
    pub zone: String,
    /// Whether it is there and has nearly the whole log.
    pub ready: bool,
    /// Whether it is about to leave.
    pub leaving: bool,
}

/// The voters that a cluster of these members should have: one, three or five, as many as the
/// members that stay allow.
///
/// Who votes already goes on as long as it is ready, the leader first, so that nothing changes
/// without need; then come nodes of zones that have fewest voters, then lower ids. A voter that is
/// not ready keeps its vote while nobody can take its place: a smaller set would survive less.
pub fn choose(
    members: &[Candidate],
    voters: &BTreeSet<NodeId>,
    leader: NodeId,
) -> BTreeSet<NodeId> {
    let stay: Vec<&Candidate> = members.iter().filter(|member| !member.leaving).collect();
    let eligible: Vec<&Candidate> =
        stay.iter().copied().filter(|one| one.ready || voters.contains(&one.id)).collect();
    let count = COUNTS.into_iter().rev().find(|count| *count <= eligible.len()).unwrap_or(0);
    let mut chosen = BTreeSet::new();
    let mut zones: BTreeMap<&str, usize> = BTreeMap::new();
    while chosen.len() < count {
        let rank = |one: &&&Candidate| {
            let votes = voters.contains(&one.id);
            let crowd = zones.get(one.zone.as_str()).copied().unwrap_or(0);
            (!one.ready, one.id != leader, !votes, crowd, one.id)
        };
        let left = eligible.iter().filter(|one| !chosen.contains(&one.id));
        let Some(next) = left.min_by_key(rank) else { break };
        chosen.insert(next.id);
        *zones.entry(&next.zone).or_default() += 1;
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Members `0..`, each described by a letter for its zone: capital when it is ready, and
    /// followed by `-` when it leaves.
    fn members(text: &str) -> Vec<Candidate> {
        let words = text.split_whitespace();
        let member = |(id, word): (usize, &str)| Candidate {
            id: NodeId(id as u64),
            zone: word[..1].to_lowercase(),
            ready: word.starts_with(char::is_uppercase),
            leaving: word.ends_with('-'),
        };
        words.enumerate().map(member).collect()
    }

    fn check(text: &str, voters: &[u64], expected: &[u64]) {
        let set = |ids: &[u64]| ids.iter().copied().map(NodeId).collect::<BTreeSet<_>>();
        let leader = NodeId(*voters.first().expect("a leader"));
        assert_eq!(choose(&members(text), &set(voters), leader), set(expected), "{text}");
    }

    #[test]
    fn there_are_one_three_or_five_voters() {
        check("A", &[0], &[0]);
        check("A A", &[0], &[0]);
        check("A A A", &[0], &[0, 1, 2]);
        check("A A A A", &[0, 1, 2], &[0, 1, 2]);
        check("A A A A A", &[0, 1, 2], &[0, 1, 2, 3, 4]);
        check("A A A A A A A", &[0, 1, 2, 3, 4], &[0, 1, 2, 3, 4]);
    }

    #[test]
    fn who_votes_goes_on_and_new_voters_come_from_other_zones() {
        check("A A A B C", &[0], &[0, 1, 2, 3, 4]);
        check("A A B C", &[0], &[0, 2, 3]);
        check("A A B C", &[0, 1, 2], &[0, 1, 2]);
        check("A A A A", &[3], &[0, 1, 3]);
    }

    #[test]
    fn a_learner_that_is_ready_replaces_a_voter_that_is_not() {
        check("A a A A", &[0, 1, 2], &[0, 2, 3]);
    }

    #[test]
    fn a_voter_that_is_not_ready_stays_while_nobody_can_replace_it() {
        check("A a A", &[0, 1, 2], &[0, 1, 2]);
        check("A a A a", &[0, 1, 2], &[0, 1, 2]);
        check("A A a", &[0], &[0]);
    }

    #[test]
    fn who_leaves_does_not_vote_even_if_it_leads() {
        check("A- A A A", &[0, 1, 2], &[1, 2, 3]);
        check("A- A A", &[0, 1, 2], &[1]);
        check("A A A A A A-", &[5, 1, 2, 3, 4], &[0, 1, 2, 3, 4]);
    }
}
