//! Logs of one to five nodes in one process, over a wire that can be cut.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use jackdaw_consensus::{
    ChangeError, ConfirmError, DirectoryId, Kind, Member, NodeId, Options, ProposeError, Role,
};
use support::Cluster;

fn set(ids: &[NodeId]) -> BTreeSet<NodeId> {
    ids.iter().copied().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_one_decides_and_remembers_it() {
    let mut cluster = Cluster::of_one().await;
    let first = cluster.propose(NodeId(0), "first").await;
    let second = cluster.propose(NodeId(0), "second").await;
    assert!(first.index < second.index);
    assert_eq!(second.response, b"line 2");
    let again = cluster.log(NodeId(0)).initialise("node-0:7000").await;
    assert!(matches!(again, Err(ChangeError::Refused(_))), "{again:?}");

    cluster.stop(NodeId(0)).await;
    cluster.start(NodeId(0)).await;
    assert!(cluster.log(NodeId(0)).is_initialised().await.expect("runs"));
    cluster.until(NodeId(0), "it leads", |s| s.leader == Some(NodeId(0))).await;
    cluster.propose(NodeId(0), "third").await;
    assert_eq!(cluster.lines(NodeId(0)), ["first", "second", "third"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_node_may_propose_and_all_apply_the_same() {
    let cluster = Cluster::of(4, 3).await;
    let ids = cluster.ids();
    let mut last = 0;
    for round in 0..5 {
        for id in &ids {
            last = cluster.propose(*id, &format!("round {round} by {id}")).await.index;
        }
    }
    cluster.agree(&ids, last).await;
    let learner = ids[3];
    assert_eq!(cluster.status(learner).role, Role::Learner);
    let long = vec![0; jackdaw_consensus::COMMAND_BYTES_MAX + 1];
    assert_eq!(cluster.log(learner).propose(long).await, Err(ProposeError::TooLong));
    let unreadable = cluster.log(learner).propose(b"not a command".to_vec()).await;
    assert_eq!(unreadable, Err(ProposeError::Unreadable));
    let longest = vec![0; jackdaw_consensus::COMMAND_BYTES_MAX];
    cluster.log(learner).propose(longest).await.expect("decided");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_decides_nothing_and_comes_back_as_a_follower() {
    let cluster = Cluster::of(3, 3).await;
    let ids = cluster.ids();
    cluster.propose(ids[0], "before").await;
    let old = cluster.cut_leader(&ids).await;
    let (log, lost) = (cluster.log(old), b"lost".to_vec());
    let lost = tokio::spawn(async move { log.propose(lost).await });

    let others: Vec<NodeId> = ids.iter().copied().filter(|id| *id != old).collect();
    let (new, _) = cluster.confirmed_among(&others).await;
    let during = cluster.propose(others[0], "during").await;
    cluster.agree(&others, during.index).await;
    // It still names itself, and cannot have it confirmed.
    assert_eq!(cluster.status(old).role, Role::Leader);
    let confirmed = cluster.log(old).confirm().await;
    assert!(matches!(confirmed, Err(ConfirmError::NoQuorum)), "{confirmed:?}");

    let lost = lost.await.expect("it ends");
    assert!(matches!(lost, Err(ProposeError::Unknown)), "{lost:?}");
    cluster.heal();
    let after = cluster.propose(new, "after").await;
    cluster.agree(&ids, after.index).await;
    assert!(!cluster.lines(old).contains(&"lost".to_owned()), "{:?}", cluster.lines(old));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_quorum_nothing_is_decided_and_with_it_again_everything_is() {
    let cluster = Cluster::of(3, 3).await;
    let ids = cluster.ids();
    let leader = cluster.cut_leader(&ids).await;
    let others: Vec<NodeId> = ids.iter().copied().filter(|id| *id != leader).collect();
    cluster.cut(&others);
    let confirmed = cluster.log(leader).confirm().await;
    assert!(confirmed.is_err(), "{confirmed:?}");
    let alone = cluster.log(others[0]).propose(b"alone".to_vec()).await;
    assert!(matches!(alone, Err(ProposeError::NotLeader { .. })), "{alone:?}");
    cluster.heal();
    let decided = cluster.propose(others[0], "together").await;
    cluster.agree(&ids, decided.index).await;
    assert!(!cluster.lines(leader).contains(&"alone".to_owned()), "it was said not to be proposed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_far_behind_gets_a_snapshot() {
    let options = Options { snapshot_every: 20, entries_kept: 5, ..Options::default() };
    let mut cluster = Cluster::of_with(3, 3, options).await;
    let ids = cluster.ids();
    let leader = cluster.leader_among(&ids).await;
    let behind = *ids.iter().find(|id| **id != leader).expect("three nodes");
    cluster.cut(&[behind]);
    let before = cluster.status(behind).last;
    let mut last = 0;
    // More than a message holds, so that the snapshot goes in pieces.
    let command = |n: u32| format!("{n} {}", "x".repeat(40_000));
    for n in 0..60 {
        last = cluster.propose(leader, &command(n)).await.index;
    }
    let entries_are_gone = move |s: &jackdaw_consensus::Status| s.snapshot > before;
    cluster.until(leader, "it has a snapshot", entries_are_gone).await;
    cluster.heal();
    cluster.agree(&ids, last).await;
    let status = cluster.status(behind);
    assert!(status.snapshot > before, "it has a snapshot: {status:?}");

    // And it starts from it.
    cluster.stop(behind).await;
    cluster.start(behind).await;
    cluster.agree(&ids, last).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn voters_go_from_one_to_three_to_five_and_never_to_two() {
    let mut cluster = Cluster::of_one().await;
    for _ in 1..5 {
        cluster.join().await;
    }
    let ids = cluster.ids();
    let leader = cluster.log(NodeId(0));
    for count in [0, 2, 4] {
        let changed = leader.set_voters(&set(&ids[..count])).await;
        assert!(matches!(changed, Err(ChangeError::Refused(_))), "{count}: {changed:?}");
    }
    let stranger = set(&[ids[0], ids[1], NodeId(999_999)]);
    let changed = leader.set_voters(&stranger).await;
    assert!(matches!(changed, Err(ChangeError::Refused(_))), "{changed:?}");
    for count in [3, 5, 3, 1, 3] {
        cluster.set_voters(&ids, &set(&ids[..count])).await;
    }
    let last = cluster.propose(ids[4], "all along").await.index;
    cluster.agree(&ids, last).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_steps_down_by_leaving_the_voters_and_can_be_removed() {
    let mut cluster = Cluster::of(4, 3).await;
    let ids = cluster.ids();
    let leader = cluster.leader_among(&ids).await;
    let voter = cluster.log(leader).remove(leader).await;
    assert!(matches!(voter, Err(ChangeError::Refused(_))), "{voter:?}");
    let others: Vec<NodeId> = ids.iter().copied().filter(|id| *id != leader).collect();
    cluster.set_voters(&ids, &set(&others)).await;
    cluster.leader_among(&others).await;
    cluster.until(leader, "it is a learner", |s| s.role == Role::Learner).await;
    cluster.propose(leader, "as a learner").await;
    let not_leader = cluster.log(leader).remove(others[0]).await;
    assert!(
        matches!(not_leader, Err(ChangeError::NotLeader { .. } | ChangeError::Refused(_))),
        "{not_leader:?}"
    );
    cluster.change(&others, |log| async move { log.remove(leader).await }).await;
    let gone = |s: &jackdaw_consensus::Status| s.members.iter().all(|m| m.id != leader);
    for id in &others {
        cluster.until(*id, "it is gone", gone).await;
    }
    cluster.stop(leader).await;
    let last = cluster.propose(others[0], "without it").await.index;
    cluster.agree(&others, last).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lost_its_disk_is_nobody_under_its_old_id() {
    let mut cluster = Cluster::of(3, 3).await;
    let ids = cluster.ids();
    let leader = cluster.leader_among(&ids).await;
    let followers: Vec<NodeId> = ids.iter().copied().filter(|id| *id != leader).collect();
    let [lost, other] = followers[..] else { panic!("three nodes") };
    cluster.propose(leader, "before").await;
    cluster.stop(lost).await;
    cluster.start_with_empty_disk(lost).await;
    // Now it would be the majority, with the other one's vote or without the leader's entries.
    cluster.cut(&[other]);
    let confirmed = cluster.log(leader).confirm().await;
    assert!(confirmed.is_err(), "it does not count");
    let command = cluster.log(leader).propose(b"half".to_vec()).await;
    assert!(command.is_err(), "it does not count");
    assert_eq!(cluster.status(lost).last, None, "nobody gave it anything");
    cluster.heal();
    let last = cluster.propose(leader, "after").await.index;
    cluster.agree(&[leader, other], last).await;

    // It joins as a new one, and the old one goes.
    let new = cluster.join_by(&[leader, other]).await;
    let staying = [leader, other, new];
    cluster.set_voters(&staying, &set(&staying)).await;
    cluster.change(&staying, |log| async move { log.remove(lost).await }).await;
    let taken = Member { address: "x:1".into(), directory: DirectoryId(5), id: other };
    let taken = cluster.log(leader).add_learner(&taken).await;
    assert!(matches!(taken, Err(ChangeError::Refused(_))), "an id is given once: {taken:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_may_stop_at_once_and_go_on_where_they_were() {
    let mut cluster = Cluster::of(3, 3).await;
    let ids = cluster.ids();
    for n in 0..10 {
        cluster.propose(ids[n % 3], &format!("line {n}")).await;
    }
    for id in &ids {
        cluster.stop(*id).await;
    }
    for id in &ids {
        cluster.start(*id).await;
    }
    let last = cluster.propose(ids[1], "again").await.index;
    cluster.agree(&ids, last).await;
    let lines = cluster.lines(ids[0]);
    let expected = (0..10).map(|n| format!("line {n}")).chain(["again".to_owned()]);
    assert_eq!(lines[2..], expected.collect::<Vec<_>>(), "two joined before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_network_is_only_slow() {
    let cluster = Cluster::of(3, 3).await;
    let ids = cluster.ids();
    cluster.slow_down(Duration::from_millis(20));
    let mut last = 0;
    for id in &ids {
        last = cluster.propose(*id, "slowly").await.index;
    }
    cluster.agree(&ids, last).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_confirm_at_once_are_all_answered() {
    let cluster = Cluster::of(3, 3).await;
    let ids = cluster.ids();
    let last = cluster.propose(ids[0], "read this").await.index;
    let (leader, _) = cluster.confirmed_among(&ids).await;
    let asking: Vec<_> = (0..500)
        .map(|_| {
            let log = cluster.log(leader);
            tokio::spawn(async move { log.confirm().await })
        })
        .collect();
    for one in asking {
        match one.await.expect("it ends") {
            Ok(confirmed) => assert!(confirmed >= last, "{confirmed}"),
            // A round may fail on a busy machine, and says so.
            Err(ConfirmError::NoQuorum | ConfirmError::NotLeader { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_read_is_refused() {
    let cluster = Cluster::of_one().await;
    let log = cluster.log(NodeId(0));
    let last = cluster.propose(NodeId(0), "before").await.index;
    let applied = |s: &jackdaw_consensus::Status| s.applied == Some(last) && s.last == s.applied;
    let before = cluster.until(NodeId(0), "it is applied", applied).await;
    for kind in [Kind::Append, Kind::Propose, Kind::Snapshot, Kind::Vote] {
        for request in [&[][..], &[0], &[1], &[0xff; 100], &[1; 40]] {
            assert!(!log.answer(kind, request).await.is_empty());
        }
        let long = vec![1; jackdaw_consensus::MESSAGE_BYTES_MAX + 1];
        assert!(!log.answer(kind, &long).await.is_empty());
    }
    assert_eq!(cluster.status(NodeId(0)), before);
}
