//! Clients that only listen.

use crate::engine::Behaviour;
use crate::io::{ClientId, Io};

/// Says nothing, hears everything, counts it.
#[derive(Debug, Default)]
pub struct Quiet {
    /// Stanzas that came.
    pub stanzas: u64,
}

impl Behaviour for Quiet {
    fn stanza(&mut self, _: &mut Io, _: ClientId, _: &[u8]) {
        self.stanzas += 1;
    }
}
