//! The rules one by one.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{
    Answer, Config, Formation, INITIAL_MAX, Name, Notes, Output, Proposal, Question, Refusal,
    Waiting,
};
use crate::node::ClusterId;

const MINE: ClusterId = ClusterId([1; 16]);
const OTHER: ClusterId = ClusterId([2; 16]);
const START: Duration = Duration::ZERO;

pub(super) fn name(text: &str) -> Name {
    Name::try_from(text.to_owned()).expect("a name")
}

pub(super) fn names(list: &[&str]) -> BTreeSet<Name> {
    list.iter().map(|text| name(text)).collect()
}

fn config(me: &str, initial: &[&str]) -> Config {
    Config { me: name(me), initial: names(initial), seeds: BTreeSet::new(), join: false }
}

fn machine(me: &str, initial: &[&str], notes: Notes) -> Formation {
    let config = config(me, initial);
    Formation::new(config, notes, None, MINE, START).expect("it fits")
}

fn outputs(machine: &mut Formation) -> Vec<Output> {
    std::iter::from_fn(|| machine.poll_output()).collect()
}

/// A question of `a`, with the list of all.
fn proposal(from: &str, cluster: ClusterId) -> Question {
    let initial = names(&["a", "b", "c"]);
    Question { from: name(from), proposal: Some(Proposal { cluster, initial }) }
}

/// The lowest of three, whose proposal is on its disk.
fn proposer() -> Formation {
    let mut machine = machine("a", &["a", "b", "c"], Notes::Proposes { cluster: MINE });
    machine.handle_timeout(START);
    outputs(&mut machine);
    machine
}

#[test]
fn a_node_alone_begins_when_its_proposal_is_on_the_disk() {
    let mut machine = machine("a", &["a"], Notes::Nothing);
    machine.handle_timeout(START);
    let notes = Notes::Proposes { cluster: MINE };
    assert_eq!(outputs(&mut machine), [Output::Keep(notes)]);
    machine.handle_kept(START);
    assert_eq!(outputs(&mut machine), [Output::Begin { cluster: MINE }]);
    machine.handle_member(MINE);
    assert_eq!(machine.poll_timeout(), None);
}

#[test]
fn nothing_begins_before_everybody_follows() {
    let mut machine = proposer();
    let follows = Answer::Follows { cluster: MINE };
    machine.handle_answer(START, &name("b"), &follows);
    machine.handle_answer(START, &name("b"), &follows);
    assert_eq!(outputs(&mut machine), []);
    machine.handle_answer(START, &name("c"), &follows);
    assert_eq!(outputs(&mut machine), [Output::Begin { cluster: MINE }]);
}

#[test]
fn who_follows_another_proposal_does_not_count() {
    let mut machine = proposer();
    machine.handle_answer(START, &name("b"), &Answer::Follows { cluster: MINE });
    machine.handle_answer(START, &name("c"), &Answer::Follows { cluster: OTHER });
    let waiting = Waiting::Another { cluster: OTHER };
    assert_eq!(outputs(&mut machine), [Output::Waits { node: name("c"), waiting }]);
    machine.handle_answer(START, &name("c"), &Answer::Follows { cluster: OTHER });
    assert_eq!(outputs(&mut machine), [], "said once");
}

#[test]
fn only_the_lowest_of_the_list_proposes() {
    let mut machine = machine("b", &["a", "b", "c"], Notes::Nothing);
    machine.handle_timeout(START);
    for output in outputs(&mut machine) {
        let Output::Ask { question, .. } = output else { panic!("{output:?}") };
        assert_eq!(question.proposal, None);
    }
    for from in ["a", "c"] {
        machine.handle_answer(START, &name(from), &Answer::Follows { cluster: MINE });
    }
    assert_eq!(outputs(&mut machine), []);
}

#[test]
fn a_node_says_that_it_follows_when_that_is_on_the_disk() {
    let mut machine = machine("b", &["a", "b", "c"], Notes::Nothing);
    let not_yet = Answer::Empty { why: Refusal::NotYet };
    assert_eq!(machine.handle_question(&proposal("a", OTHER)), not_yet);
    let notes = Notes::Follows { cluster: OTHER, of: name("a") };
    assert_eq!(outputs(&mut machine), [Output::Keep(notes)]);
    assert_eq!(machine.handle_question(&proposal("a", OTHER)), not_yet);
    assert_eq!(outputs(&mut machine), []);
    machine.handle_kept(START);
    let follows = Answer::Follows { cluster: OTHER };
    assert_eq!(machine.handle_question(&proposal("a", OTHER)), follows);
}

#[test]
fn a_node_follows_one_proposal_also_when_its_proposer_lost_its_disk() {
    let notes = Notes::Follows { cluster: OTHER, of: name("a") };
    let mut machine = machine("b", &["a", "b", "c"], notes);
    let answer = machine.handle_question(&proposal("a", ClusterId([3; 16])));
    assert_eq!(answer, Answer::Follows { cluster: OTHER });
    assert_eq!(outputs(&mut machine), []);
}

#[test]
fn a_node_follows_only_the_lowest_of_the_same_list() {
    let other_list = Answer::Empty { why: Refusal::OtherList };
    for (initial, from) in [
        (&["a", "b", "c"][..], "c"),
        (&["a", "b"], "a"),
        (&["a", "b", "c", "d"], "a"),
        (&["a", "c"], "a"),
        (&[], "a"),
    ] {
        let mut machine = machine("b", initial, Notes::Nothing);
        assert_eq!(machine.handle_question(&proposal(from, OTHER)), other_list, "{initial:?}");
        assert_eq!(outputs(&mut machine), []);
    }
}

#[test]
fn a_node_that_is_to_join_never_begins_and_never_follows() {
    let config = Config { join: true, seeds: names(&["z"]), ..config("a", &["a", "b", "c"]) };
    let mut machine = Formation::new(config, Notes::Nothing, None, MINE, START).expect("it fits");
    machine.handle_timeout(START);
    let asked = outputs(&mut machine);
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|output| matches!(output, Output::Ask { .. })), "{asked:?}");
    let joins = Answer::Empty { why: Refusal::Joins };
    assert_eq!(machine.handle_question(&proposal("a", OTHER)), joins);
    let member = Answer::Member { cluster: OTHER, given_up: None };
    machine.handle_answer(START, &name("z"), &member);
    assert_eq!(outputs(&mut machine), [Output::Join { by: name("z"), cluster: OTHER }]);
}

#[test]
fn who_proposes_and_meets_a_member_joins_and_never_begins() {
    let mut machine = proposer();
    let member = Answer::Member { cluster: OTHER, given_up: None };
    machine.handle_answer(START, &name("b"), &member);
    assert_eq!(outputs(&mut machine), [Output::Join { by: name("b"), cluster: OTHER }]);
    machine.handle_not_joined(START);
    for from in ["b", "c"] {
        machine.handle_answer(START, &name(from), &Answer::Follows { cluster: MINE });
    }
    assert_eq!(outputs(&mut machine), []);
    machine.handle_member(OTHER);
    let answer = machine.handle_question(&Question { from: name("c"), proposal: None });
    assert_eq!(answer, Answer::Member { cluster: OTHER, given_up: Some(MINE) });
}

#[test]
fn who_follows_joins_no_other_cluster_until_its_own_is_given_up() {
    let followed = ClusterId([3; 16]);
    let notes = Notes::Follows { cluster: followed, of: name("a") };
    let mut machine = machine("b", &["a", "b", "c"], notes);
    let other = Answer::Member { cluster: OTHER, given_up: None };
    machine.handle_answer(START, &name("c"), &other);
    let waiting = Waiting::Another { cluster: OTHER };
    assert_eq!(outputs(&mut machine), [Output::Waits { node: name("c"), waiting }]);
    let given_up = Answer::Member { cluster: OTHER, given_up: Some(followed) };
    machine.handle_answer(START, &name("a"), &given_up);
    assert_eq!(outputs(&mut machine), [Output::Keep(Notes::Nothing)]);
    machine.handle_kept(START);
    machine.handle_answer(START, &name("a"), &given_up);
    assert_eq!(outputs(&mut machine), [Output::Join { by: name("a"), cluster: OTHER }]);
}

#[test]
fn notes_and_messages_read_as_they_were_written() {
    for notes in [
        Notes::Nothing,
        Notes::Proposes { cluster: MINE },
        Notes::Follows { cluster: MINE, of: name("node-0") },
    ] {
        let bytes = notes.encode();
        assert_eq!(Notes::decode(&bytes), Some(notes));
        for length in 0..bytes.len().min(18) {
            assert_eq!(Notes::decode(&bytes[..length]), None);
        }
    }
    let question = proposal("a", MINE);
    assert_eq!(Question::decode(&question.encode()), Some(question));
    let answer = Answer::Member { cluster: MINE, given_up: Some(OTHER) };
    assert_eq!(Answer::decode(&answer.encode()), Some(answer));
}

#[test]
fn what_does_not_read_or_is_too_much_is_no_message() {
    let long = Question {
        from: name("a"),
        proposal: Some(Proposal {
            cluster: MINE,
            initial: (0..=INITIAL_MAX).map(|n| name(&n.to_string())).collect(),
        }),
    };
    assert_eq!(Question::decode(&long.encode()), None);
    for bytes in [&[][..], &[1], &[2, 1, 97, 0], &[1, 0, 0], &[0xff; 5_000]] {
        assert_eq!(Question::decode(bytes), None, "{bytes:?}");
    }
    let mut trailing = Answer::Follows { cluster: MINE }.encode();
    trailing.push(0);
    assert_eq!(Answer::decode(&trailing), None);
    assert!(Name::try_from(String::new()).is_err());
    assert!(Name::try_from("x".repeat(256)).is_err());
}
