//! The map of the cluster as the machine of its log.

use jackdaw_ownership::{Cluster, Command, Effect, LogIndex};

use crate::machine::{Machine, MachineError};

/// Who hears what becomes of the map.
///
/// Called on the task that applies entries, in their order, so it hands on and does not work.
pub trait Listener: Send + 'static {
    /// An entry was applied, and this is what it changed.
    fn applied(&mut self, index: LogIndex, cluster: &Cluster, effects: Vec<Effect>);

    /// The map came as a whole: anything may have changed.
    fn restored(&mut self, cluster: &Cluster);
}

/// The map, and who hears of it.
#[derive(Debug)]
pub struct Map<L> {
    cluster: Cluster,
    listener: L,
}

/// What became of a command, for whoever proposed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It changed the map.
    Done,
    /// It changed nothing; the text is for people.
    Refused(String),
}

impl<L: Listener> Map<L> {
    /// The map before the first entry.
    pub fn new(listener: L) -> Map<L> {
        Map { cluster: Cluster::default(), listener }
    }
}

impl Outcome {
    /// From the response to a proposal; `None` if it is none of this machine.
    pub fn from_response(response: &[u8]) -> Option<Outcome> {
        match response.split_first()? {
            (0, []) => Some(Outcome::Done),
            (1, text) => Some(Outcome::Refused(String::from_utf8_lossy(text).into_owned())),
            _ => None,
        }
    }

    fn response(&self) -> Vec<u8> {
        match self {
            Outcome::Done => vec![0],
            Outcome::Refused(text) => [&[1], text.as_bytes()].concat(),
        }
    }
}

impl<L: Listener> Machine for Map<L> {
    fn reads(command: &[u8]) -> bool {
        Command::decode(command).is_ok()
    }

    fn apply(&mut self, index: u64, command: &[u8]) -> Result<Vec<u8>, MachineError> {
        let command = Command::decode(command).map_err(|error| MachineError(error.to_string()))?;
        let index = LogIndex(index);
        let outcome = match self.cluster.apply(index, command) {
            Ok(effects) => {
                self.listener.applied(index, &self.cluster, effects);
                Outcome::Done
            }
            Err(refusal) => Outcome::Refused(refusal.to_string()),
        };
        Ok(outcome.response())
    }

    fn snapshot(&self) -> Vec<u8> {
        self.cluster.to_snapshot()
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), MachineError> {
        let read = Cluster::from_snapshot(snapshot);
        self.cluster = read.map_err(|error| MachineError(error.to_string()))?;
        self.listener.restored(&self.cluster);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use jackdaw_ownership::{ClusterId, Config, ShardKey, UnicodeVersion};

    use super::*;

    struct Heard(mpsc::Sender<(u64, usize)>);

    impl Listener for Heard {
        fn applied(&mut self, index: LogIndex, cluster: &Cluster, effects: Vec<Effect>) {
            assert_eq!(cluster.applied(), index);
            self.0.send((index.0, effects.len())).expect("somebody listens");
        }

        fn restored(&mut self, cluster: &Cluster) {
            self.0.send((cluster.applied().0, 0)).expect("somebody listens");
        }
    }

    fn initialise() -> Vec<u8> {
        let unicode = UnicodeVersion { major: 16, minor: 0, update: 0 };
        let config = Config::new(ClusterId([7; 16]), ShardKey::new([9; 16]), unicode);
        Command::Initialise(config).encode()
    }

    #[test]
    fn a_command_changes_the_map_and_a_refused_one_says_why() {
        let (sender, heard) = mpsc::channel();
        let mut map = Map::new(Heard(sender));
        let response = map.apply(3, &initialise()).expect("it reads");
        assert_eq!(Outcome::from_response(&response), Some(Outcome::Done));
        let response = map.apply(4, &initialise()).expect("it reads");
        let outcome = Outcome::from_response(&response);
        assert!(matches!(outcome, Some(Outcome::Refused(_))), "{outcome:?}");
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [(3, 1)]);
    }

    #[test]
    fn a_snapshot_is_the_whole_map() {
        let (sender, heard) = mpsc::channel();
        let mut map = Map::new(Heard(sender.clone()));
        map.apply(3, &initialise()).expect("it reads");
        let mut copy = Map::new(Heard(sender));
        copy.restore(&map.snapshot()).expect("it reads");
        assert_eq!(copy.cluster, map.cluster);
        assert!(copy.restore(b"nonsense").is_err());
        assert_eq!(copy.cluster, map.cluster, "as before");
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [(3, 1), (3, 0)]);
    }

    #[test]
    fn what_does_not_read_is_no_command() {
        assert!(Map::<Heard>::reads(&initialise()));
        assert!(!Map::<Heard>::reads(b"nonsense"));
        let (sender, _heard) = mpsc::channel();
        assert!(Map::new(Heard(sender)).apply(3, b"nonsense").is_err(), "the node has to stop");
    }
}
