//! The messages of a run: each names itself, so that whoever meets one can tell what it should be.

use super::dice::Dice;

/// Origin ids (XEP-0359).
pub const SID: &str = "urn:xmpp:sid:0";

/// The domain of every account; what a server without configuration serves.
pub const DOMAIN: &str = "localhost";

/// The resource of every client.
pub const RESOURCE: &str = "ledger";

/// Longest filler of a body. Some rows are small and some span blocks of the store.
const FILLER_MAX: u64 = 600;

/// One client, and its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Who(pub u16);

impl Who {
    /// Its bare JID.
    pub fn bare(self) -> String {
        format!("client{}@{DOMAIN}", self.0)
    }

    /// Its full JID.
    pub fn full(self) -> String {
        format!("{}/{RESOURCE}", self.bare())
    }
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "client{}", self.0)
    }
}

/// The `nth` message of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Who sends it.
    pub from: Who,
    /// Who is to receive it.
    pub to: Who,
    /// Counted from 0, in the order of sending.
    pub nth: usize,
}

impl Key {
    /// The origin id, which is also the id of the stanza.
    pub fn id(self, seed: u64) -> String {
        format!("{seed}-{}-{}-{}", self.from.0, self.to.0, self.nth)
    }

    /// Reads an id of this run.
    pub fn parse(seed: u64, id: &str) -> Option<Key> {
        let mut fields = id.split('-');
        let mut field = || fields.next();
        if field()?.parse() != Ok(seed) {
            return None;
        }
        let from = Who(field()?.parse().ok()?);
        let to = Who(field()?.parse().ok()?);
        let nth = field()?.parse().ok()?;
        field().is_none().then_some(Key { from, to, nth })
    }

    /// What it says: no other message of this run says the same.
    pub fn body(self, seed: u64) -> String {
        let pair = u64::from(self.from.0) << 16 | u64::from(self.to.0);
        let mut dice = Dice::new(seed ^ pair << 32, self.nth as u64);
        let length = dice.among(0..FILLER_MAX);
        let filler = (0..length).map(|_| char::from(b'a' + dice.among(0..26) as u8));
        filler.chain(self.id(seed).chars()).collect()
    }

    /// The stanza. It has no `from`: that is the server's (RFC 6120 §8.1.2.1).
    pub fn to_xml(self, seed: u64, to: &str) -> String {
        let (id, body) = (self.id(seed), self.body(seed));
        format!(
            "<message to='{to}' type='chat' id='{id}'><body>{body}</body>\
             <origin-id xmlns='{SID}' id='{id}'/></message>"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_whose_it_is() {
        let key = Key { from: Who(3), to: Who(12), nth: 45 };
        assert_eq!(Key::parse(7, &key.id(7)), Some(key));
        for foreign in ["", "8-3-12-45", "7-3-12", "7-3-12-45-6", "7-a-12-45"] {
            assert_eq!(Key::parse(7, foreign), None, "{foreign}");
        }
    }

    #[test]
    fn no_two_messages_say_the_same() {
        let body = |from, to, nth| Key { from: Who(from), to: Who(to), nth }.body(7);
        assert_eq!(body(1, 2, 3), body(1, 2, 3));
        assert_ne!(body(1, 2, 3), body(1, 2, 4));
        assert_ne!(body(1, 2, 3), body(2, 1, 3));
    }
}
