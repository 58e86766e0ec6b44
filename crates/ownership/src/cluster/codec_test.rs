use proptest::prelude::*;

use super::super::fixture::{Choice, Log, choices, config, join};
use super::super::{Cluster, Command};
use super::DecodeError;

/// What the choices lead to, and the commands they were.
fn run(choices: &[Choice]) -> (Cluster, Vec<Command>) {
    let mut log = Log::new();
    let mut commands = vec![Command::Initialise(config()), Command::Join(join(1))];
    for choice in choices {
        let command = choice.command(&log);
        commands.push(command.clone());
        let _ = log.apply(command);
    }
    (log.cluster, commands)
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(choices in choices()) {
        let (cluster, commands) = run(&choices);
        for command in commands {
            prop_assert_eq!(Command::decode(&command.encode()), Ok(command));
        }
        prop_assert_eq!(Cluster::from_snapshot(&cluster.to_snapshot()), Ok(cluster));
    }

    #[test]
    fn a_part_of_an_encoding_is_none(choices in choices(), cut in any::<prop::sample::Index>()) {
        let (cluster, commands) = run(&choices);
        for command in commands {
            let bytes = command.encode();
            let part = Command::decode(&bytes[..cut.index(bytes.len())]);
            prop_assert_eq!(part, Err(DecodeError::Truncated));
        }
        let bytes = cluster.to_snapshot();
        let part = Cluster::from_snapshot(&bytes[..cut.index(bytes.len())]);
        prop_assert_eq!(part, Err(DecodeError::Truncated));
    }

    /// Garbled bytes may happen to be another value, but then they are its only encoding.
    #[test]
    fn what_is_read_is_written_the_same(
        choices in choices(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let (cluster, commands) = run(&choices);
        for command in commands {
            let mut bytes = command.encode();
            *place.get_mut(&mut bytes) = byte;
            if let Ok(read) = Command::decode(&bytes) {
                prop_assert_eq!(read.encode(), bytes);
            }
        }
        let mut bytes = cluster.to_snapshot();
        *place.get_mut(&mut bytes) = byte;
        if let Ok(read) = Cluster::from_snapshot(&bytes) {
            prop_assert_eq!(read.to_snapshot(), bytes);
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
        let _ = Command::decode(&bytes);
        let _ = Cluster::from_snapshot(&bytes);
    }
}

#[test]
fn an_announced_length_takes_no_memory() {
    let most = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    for tag in [6, 10] {
        let bytes = [&[1, tag][..], &most].concat();
        assert_eq!(Command::decode(&bytes), Err(DecodeError::Truncated));
    }
}

#[test]
fn a_number_is_written_the_shortest_way_only() {
    let ended = |number: &[u8]| Command::decode(&[&[1, 4][..], number].concat());
    assert!(ended(&[0x01]).is_ok());
    assert_eq!(ended(&[0x81, 0x00]), Err(DecodeError::Value));
    let more_than_64_bits = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
    assert_eq!(ended(&more_than_64_bits), Err(DecodeError::Value));
}

#[test]
fn nothing_follows_a_value() {
    assert_eq!(Command::decode(&[1, 4, 1, 0]), Err(DecodeError::Trailing));
}

#[test]
fn a_format_of_the_future_is_refused_by_its_number() {
    assert_eq!(Command::decode(&[2, 4, 1]), Err(DecodeError::Format(2)));
    assert_eq!(Cluster::from_snapshot(&[9]), Err(DecodeError::Format(9)));
}

#[test]
fn a_snapshot_of_no_possible_cluster_is_refused() {
    let (mut log, nodes) = Log::with_nodes(2);
    log.place(0, nodes[0]);
    let sound = log.cluster.to_snapshot();
    assert_eq!(Cluster::from_snapshot(&sound), Ok(log.cluster));
    // As if the nodes had joined after the last entry.
    let mut behind = sound.clone();
    assert_eq!(behind[1], 5, "the last entry applied");
    behind[1] = 2;
    assert_eq!(Cluster::from_snapshot(&behind), Err(DecodeError::Contradiction));
}

/// What one version wrote, all that follow have to read.
#[test]
fn the_encoding_of_an_entry_does_not_change() {
    let joined = Command::Join(join(1)).encode();
    let expected = [
        &[1, 8, 0, 9][..],
        b"jackdaw-1",
        &[14],
        b"192.0.2.1:7000",
        &[4],
        b"west",
        &[1; 16],
        &[0; 16],
        &[1, 7],
    ];
    assert_eq!(joined, expected.concat());
}
