//! Keys: table, account and item in one byte string that sorts as they do.
//!
//! `table 0 account 0 item`. Neither a table's name nor a JID can have a zero byte (RFC 7622
//! allows no control characters), so rows of one account are together and in the order of their
//! items, and accounts are in the order of their text.

use jackdaw_jid::BareJid;
use jackdaw_store::Table;

/// Start of every key of the table.
pub(crate) fn table_prefix(table: Table) -> Vec<u8> {
    let mut key = Vec::with_capacity(96);
    key.extend_from_slice(table.name().as_bytes());
    key.push(0);
    key
}

/// Start of every key of the account in the table.
pub(crate) fn prefix(table: Table, account: &BareJid) -> Vec<u8> {
    let mut key = table_prefix(table);
    key.extend_from_slice(account.as_str().as_bytes());
    key.push(0);
    key
}

/// The key of a row.
pub(crate) fn key(table: Table, account: &BareJid, item: &[u8]) -> Vec<u8> {
    let mut key = prefix(table, account);
    key.extend_from_slice(item);
    key
}

/// The least key above all that begin with `prefix`. Prefixes end in a zero byte here.
pub(crate) fn above(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    if let Some(last) = end.last_mut() {
        *last = 1;
    }
    end
}

/// The account in a key of the table.
pub(crate) fn account_of(table: Table, key: &[u8]) -> Option<&str> {
    let rest = key.get(table.name().len() + 1..)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(&rest[..end]).ok()
}
