//! The rows of a session's record, and of its numbers.

use bytes::Bytes;
use jackdaw_ext::Registry;
use jackdaw_jid::BareJid;
use jackdaw_session::{Session, SessionId};
use jackdaw_store::{Batch, Fields, StoreError, Table, Writer};

/// The table: account → session (8 bytes, big-endian), part (1) → row.
pub const SESSIONS: Table = Table::new("sessions");

/// The table: account → session (8), number (4) → position in the spool (8).
pub const NUMBERS: Table = Table::new("session_numbers");

/// First byte of every row here.
const ROW_VERSION: u8 = 1;

/// Hashes of origin-ids beyond `h`, at most: as many as a stream may have waiting to be accepted.
pub(crate) const ORIGINS_MAX: usize = 128;

/// A part of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Identity = 0,
    Accepted = 1,
    State = 2,
}

/// The key of a part.
pub(crate) fn part_key(session: SessionId, part: Part) -> [u8; 9] {
    let mut key = [part as u8; 9];
    key[..8].copy_from_slice(&session.0.to_be_bytes());
    key
}

/// The key of a number.
pub(crate) fn number_key(session: SessionId, number: u32) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&session.0.to_be_bytes());
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}

/// Removes the parts.
pub(crate) fn delete_parts(batch: &mut Batch, account: &BareJid, session: SessionId) {
    for part in [Part::Identity, Part::Accepted, Part::State] {
        batch.delete(SESSIONS, account, &part_key(session, part));
    }
}

/// Who a session is; the first part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its id for resumption, whole: whoever names it must know all of it.
    pub id: Vec<u8>,
    /// Its resource.
    pub resource: String,
    /// Which account of that name.
    pub generation: u64,
    /// How long it waits to be resumed.
    pub resume_secs: u32,
}

impl Identity {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let row = Writer::new(ROW_VERSION).bytes(&self.id).text(&self.resource);
        row.u64(self.generation).u64(self.resume_secs.into()).finish()
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Identity, StoreError> {
        let mut fields = Fields::new(row)?;
        Ok(Identity {
            id: fields.bytes()?.to_vec(),
            resource: fields.text()?.to_owned(),
            generation: fields.u64()?,
            resume_secs: u32::try_from(fields.u64()?).unwrap_or(u32::MAX),
        })
    }
}

/// How much of what a session sent is accepted; the second part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub handled: u32,
    /// Hashes of origin-ids of stanzas that are accepted beyond it.
    pub origins: Vec<u64>,
}

impl Accepted {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let row = Writer::new(ROW_VERSION).u64(self.handled.into());
        self.origins.iter().fold(row, |row, origin| row.u64(*origin)).finish()
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Accepted, StoreError> {
        let mut fields = Fields::new(row)?;
        let handled = fields.u64()? as u32;
        let mut origins = Vec::new();
        while !fields.is_empty() && origins.len() < 2 * ORIGINS_MAX {
            origins.push(fields.u64()?);
        }
        Ok(Accepted { handled, origins })
    }
}

/// What others know of a session; the third part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// The presence it broadcast last, if it is available.
    pub presence: Option<Bytes>,
    /// Whether it gets roster pushes.
    pub is_interested: bool,
    /// State of extensions, by its name.
    pub states: Vec<(String, Vec<u8>)>,
}

impl Known {
    pub(crate) fn of(session: &Session, registry: &Registry) -> Known {
        let states = registry.session_states().iter();
        Known {
            presence: session.availability().presence,
            is_interested: session.is_interested(),
            states: states
                .filter_map(|state| Some((state.name.to_owned(), (state.save)(session)?)))
                .collect(),
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let row = Writer::new(ROW_VERSION).u8(self.is_interested.into());
        let row = match &self.presence {
            Some(presence) => row.u8(1).bytes(presence),
            None => row.u8(0),
        };
        let states = self.states.iter();
        states.fold(row, |row, (name, state)| row.text(name).bytes(state)).finish()
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Known, StoreError> {
        let mut fields = Fields::new(row)?;
        let is_interested = fields.u8()? != 0;
        let presence = match fields.u8()? {
            0 => None,
            _ => Some(Bytes::copy_from_slice(fields.bytes()?)),
        };
        let mut states = Vec::new();
        while !fields.is_empty() {
            states.push((fields.text()?.to_owned(), fields.bytes()?.to_vec()));
        }
        Ok(Known { presence, is_interested, states })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_read_back() {
        let identity =
            Identity { id: vec![7; 24], resource: "balcony".into(), generation: 3, resume_secs: 9 };
        assert_eq!(Identity::decode(&identity.encode()), Ok(identity));
        let known = Known {
            presence: Some(Bytes::from_static(b"<presence/>")),
            is_interested: true,
            states: vec![("carbons".into(), vec![]), ("directed".into(), b"a@b/c".to_vec())],
        };
        assert_eq!(Known::decode(&known.encode()), Ok(known));
        for cut in 0..known_row().len() {
            // What is cut off is corrupt, or is not there; it never panics.
            let _ = Known::decode(&known_row()[..cut]);
        }
    }

    fn known_row() -> Vec<u8> {
        Known { states: vec![("a".into(), vec![1; 3])], ..Known::default() }.encode()
    }
}
