//! What the log decides about.

/// A state that changes by commands alone, the same on every node.
///
/// `apply` is called for every decided command, once, in their order, on one task; what others read
/// of the state it has to publish itself. Whatever it does may depend on the state, the index and
/// the command, and on nothing else: no clock, no chance. It should take less than a millisecond.
/// After a restart the last snapshot is restored and what followed is applied again.
pub trait Machine: Send + 'static {
    /// Whether these bytes are a command. The leader proposes no others.
    fn reads(command: &[u8]) -> bool
    where
        Self: Sized;

    /// Applies a command and answers whoever proposed it. `index` is its place in the log: unique
    /// and rising, with gaps. What it cannot read a later version has written, and the node stops:
    /// its state would not be that of the others.
    fn apply(&mut self, index: u64, command: &[u8]) -> Result<Vec<u8>, MachineError>;

    /// The whole state, at most [`crate::SNAPSHOT_BYTES_MAX`] long.
    fn snapshot(&self) -> Vec<u8>;

    /// Becomes what a snapshot says. On an error the state must be as before.
    fn restore(&mut self, snapshot: &[u8]) -> Result<(), MachineError>;
}

/// A command or a snapshot that does not read. The node stops.
#[derive(Debug, thiserror::Error)]
#[error("it does not read: {0}")]
pub struct MachineError(pub String);
