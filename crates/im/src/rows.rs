//! The roster in the store: a row per contact, and one for the roster itself.

use jackdaw_ext::{Roster, RosterItem, Subscription};
use jackdaw_store::{Fields, StoreError, Value, Writer};

/// Version of the encoding.
const ENCODING: u8 = 1;

const HEAD: u8 = 0;
const ITEM: u8 = 1;

const TO: u8 = 1;
const FROM: u8 = 1 << 1;
const PENDING_OUT: u8 = 1 << 2;
const PENDING_IN: u8 = 1 << 3;
const APPROVED: u8 = 1 << 4;
const LISTED: u8 = 1 << 5;

/// A row of the roster's table. A row that a later version wrote is refused, not guessed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    /// What is kept of the roster as a whole; under the empty key, which is no JID.
    Head { version: u64, complete_since: u64 },
    /// A contact; under its bare JID.
    Item(RosterItem),
}

/// The key of [`Row::Head`].
pub(crate) const HEAD_KEY: &[u8] = b"";

impl Row {
    /// The head of this roster.
    pub(crate) fn head(roster: &Roster) -> Row {
        Row::Head { version: roster.version, complete_since: roster.complete_since }
    }
}

impl Value for Row {
    fn encode(&self) -> Vec<u8> {
        match self {
            Row::Head { version, complete_since } => {
                Writer::new(ENCODING).u8(HEAD).u64(*version).u64(*complete_since).finish()
            }
            Row::Item(item) => {
                let row = Writer::new(ENCODING)
                    .u8(ITEM)
                    .u8(flags(item))
                    .u64(item.version)
                    .optional(item.name.as_deref())
                    .u64(item.groups.len() as u64);
                item.groups.iter().fold(row, |row, group| row.text(group)).finish()
            }
        }
    }

    fn decode(row: &[u8]) -> Result<Row, StoreError> {
        let mut fields = Fields::new(row)?;
        if fields.version() != ENCODING {
            return Err(StoreError::Corrupt("a roster row of an unknown version"));
        }
        match fields.u8()? {
            HEAD => Ok(Row::Head { version: fields.u64()?, complete_since: fields.u64()? }),
            ITEM => item(&mut fields).map(Row::Item),
            _ => Err(StoreError::Corrupt("a roster row of an unknown kind")),
        }
    }
}

fn flags(item: &RosterItem) -> u8 {
    let flags = [
        (item.subscription.has_to(), TO),
        (item.subscription.has_from(), FROM),
        (item.is_pending_out, PENDING_OUT),
        (item.is_pending_in, PENDING_IN),
        (item.is_approved, APPROVED),
        (item.is_listed, LISTED),
    ];
    flags.iter().filter(|(is_set, _)| *is_set).fold(0, |all, (_, flag)| all | flag)
}

fn item(fields: &mut Fields<'_>) -> Result<RosterItem, StoreError> {
    let flags = fields.u8()?;
    let has = |flag: u8| flags & flag != 0;
    let version = fields.u64()?;
    let name = fields.optional()?.map(str::to_owned);
    let groups = (0..fields.u64()?)
        .map(|_| fields.text().map(str::to_owned))
        .collect::<Result<Vec<String>, StoreError>>()?;
    Ok(RosterItem {
        name,
        groups,
        subscription: Subscription::new(has(TO), has(FROM)),
        is_pending_out: has(PENDING_OUT),
        is_pending_in: has(PENDING_IN),
        is_approved: has(APPROVED),
        is_listed: has(LISTED),
        version,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> [Row; 4] {
        let full = RosterItem {
            name: Some("Romeo".to_owned()),
            groups: vec!["Friends".to_owned(), "Montague".to_owned()],
            subscription: Subscription::From,
            is_pending_out: true,
            is_listed: true,
            version: 77,
            ..RosterItem::default()
        };
        let asked = RosterItem { is_pending_in: true, ..RosterItem::default() };
        let approved = RosterItem { is_approved: true, is_listed: true, ..RosterItem::default() };
        [
            Row::Head { version: 9, complete_since: 4 },
            Row::Item(full),
            Row::Item(asked),
            Row::Item(approved),
        ]
    }

    #[test]
    fn a_row_survives_its_encoding() {
        for row in rows() {
            assert_eq!(Row::decode(&row.encode()), Ok(row));
        }
    }

    #[test]
    fn a_row_that_is_cut_short_or_of_another_version_is_refused() {
        for row in rows() {
            let mut bytes = row.encode();
            for end in 0..bytes.len() {
                let cut = Row::decode(&bytes[..end]);
                assert!(matches!(cut, Err(StoreError::Corrupt(_))), "{row:?} cut at {end}");
            }
            bytes[0] = ENCODING + 1;
            assert!(matches!(Row::decode(&bytes), Err(StoreError::Corrupt(_))));
        }
    }
}
