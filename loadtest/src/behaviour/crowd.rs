//! Many clients that log in, and stay or go.

use crate::engine::Behaviour;
use crate::io::{ClientId, Io};
use crate::plan::{Identity, Plan};

/// Counts what comes; remembers who has logged in, with the newest token of each.
#[derive(Debug, Default)]
pub struct Crowd {
    /// Whether clients say goodbye as soon as they are available.
    pub is_passing: bool,
    /// Whether identities are remembered.
    pub keeps_identities: bool,
    /// Who has logged in, in that order.
    pub identities: Vec<Identity>,
    /// The places of clients that are there.
    pub present: Vec<ClientId>,
    /// Messages that came.
    pub messages: u64,
}

impl Crowd {
    /// Says goodbye for all.
    pub fn leave(&mut self, io: &mut Io) {
        self.present.drain(..).for_each(|client| io.close(client));
    }
}

impl Behaviour for Crowd {
    fn established(&mut self, io: &mut Io, client: ClientId, plan: &Plan) {
        if self.keeps_identities {
            self.identities.push(plan.identity.clone());
        }
        match self.is_passing {
            true => io.close(client),
            false => self.present.push(client),
        }
    }

    fn stanza(&mut self, _: &mut Io, _: ClientId, stanza: &[u8]) {
        self.messages += u64::from(stanza.starts_with(b"<message"));
    }
}
