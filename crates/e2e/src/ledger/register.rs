//! Rosters and vCards as registers: each holds a number that only its owner raises.
//!
//! After a kill a register may hold the last number that was acknowledged, or one that was sent
//! later and never answered; nothing else.

use jackdaw_xml::Element;

use super::message::DOMAIN;

/// Rosters (RFC 6121 §2).
pub const ROSTER: &str = "jabber:iq:roster";
const VCARD: &str = "vcard-temp";

/// Contacts of a roster that are changed.
const CONTACTS: u64 = 4;

/// Where a number is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The name of a roster item.
    Contact(u64),
    /// The name on the vCard (XEP-0054).
    Vcard,
}

impl Place {
    /// Every place of an account.
    pub fn all() -> impl Iterator<Item = Place> {
        (0..CONTACTS).map(Place::Contact).chain([Place::Vcard])
    }

    fn contact(nth: u64) -> String {
        format!("contact{nth}@{DOMAIN}")
    }
}

/// The number `value` is to be kept at `place`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub place: Place,
    /// What.
    pub value: u64,
}

impl Change {
    /// The id of its request.
    pub fn id(self) -> String {
        format!("set-{:?}-{}", self.place, self.value)
    }

    /// Its request.
    pub fn to_xml(self) -> String {
        let (id, value) = (self.id(), self.value);
        let payload = match self.place {
            Place::Contact(nth) => {
                let jid = Place::contact(nth);
                format!("<query xmlns='{ROSTER}'><item jid='{jid}' name='{value}'/></query>")
            }
            Place::Vcard => format!("<vCard xmlns='{VCARD}'><FN>{value}</FN></vCard>"),
        };
        format!("<iq type='set' id='{id}'>{payload}</iq>")
    }
}

/// What an owner knows of its registers.
#[derive(Debug, Default)]
pub struct Registers {
    next: u64,
    known: Vec<Known>,
    /// The change whose fate is open, if one is.
    pub pending: Option<Change>,
}

#[derive(Debug)]
struct Known {
    place: Place,
    acknowledged: Option<u64>,
    /// Sent since, and never answered.
    open: Vec<u64>,
}

impl Registers {
    /// A change of `place`, to be sent now. There is one at a time.
    pub fn change(&mut self, place: Place) -> Change {
        self.next += 1;
        let change = Change { place, value: self.next };
        self.known(place).open.push(change.value);
        self.pending = Some(change);
        change
    }

    /// The server answered that it is done, or its `h` covers it. False if that was known.
    pub fn acknowledged(&mut self, change: Change) -> bool {
        let known = self.known(change.place);
        if known.acknowledged >= Some(change.value) {
            return false;
        }
        known.acknowledged = Some(change.value);
        known.open.retain(|&open| open > change.value);
        self.pending = self.pending.filter(|pending| *pending != change);
        true
    }

    /// `place` was read. What was seen once has to stay. The error says what should be there.
    pub fn read(&mut self, place: Place, value: Option<u64>) -> Result<(), String> {
        let known = self.known(place);
        let is_open = value.is_some_and(|value| known.open.contains(&value));
        if value == known.acknowledged {
            return Ok(());
        }
        if is_open {
            known.acknowledged = value;
            known.open.retain(|&open| Some(open) > value);
            return Ok(());
        }
        let Known { acknowledged, open, .. } = known;
        Err(format!("{place:?} is {value:?}; acknowledged is {acknowledged:?}, open is {open:?}"))
    }

    fn known(&mut self, place: Place) -> &mut Known {
        let at = self.known.iter().position(|known| known.place == place).unwrap_or_else(|| {
            self.known.push(Known { place, acknowledged: None, open: Vec::new() });
            self.known.len() - 1
        });
        &mut self.known[at]
    }
}

/// Asks for the roster.
pub fn roster_get(id: &str) -> String {
    format!("<iq type='get' id='{id}'><query xmlns='{ROSTER}'/></iq>")
}

/// Asks for the vCard.
pub fn vcard_get(id: &str) -> String {
    format!("<iq type='get' id='{id}'><vCard xmlns='{VCARD}'/></iq>")
}

/// What an answer to one of these says about each place it shows; none if it is another answer.
pub fn readings(iq: &Element) -> Vec<(Place, Option<u64>)> {
    if let Some(roster) = iq.child(ROSTER, "query") {
        let name = |nth| {
            let jid = Place::contact(nth);
            let item = roster.children().find(|item| item.attr("jid") == Some(&jid))?;
            item.attr("name")?.parse().ok()
        };
        return (0..CONTACTS).map(|nth| (Place::Contact(nth), name(nth))).collect();
    }
    match iq.child(VCARD, "vCard") {
        Some(vcard) => {
            let name = vcard.child(VCARD, "FN").and_then(|name| name.text().parse().ok());
            vec![(Place::Vcard, name)]
        }
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place::Contact(1);

    #[test]
    fn what_was_acknowledged_has_to_be_there() {
        let mut registers = Registers::default();
        let change = registers.change(PLACE);
        assert!(registers.acknowledged(change));
        assert!(registers.pending.is_none());
        registers.read(PLACE, Some(change.value)).unwrap();
        registers.read(PLACE, None).unwrap_err();
        registers.read(PLACE, Some(change.value + 1)).unwrap_err();
    }

    #[test]
    fn what_was_not_answered_may_be_there_and_then_stays() {
        let mut registers = Registers::default();
        let first = registers.change(PLACE);
        registers.acknowledged(first);
        let second = registers.change(PLACE);
        registers.read(PLACE, Some(first.value)).unwrap();
        registers.read(PLACE, Some(second.value)).unwrap();
        registers.read(PLACE, Some(first.value)).unwrap_err();
    }

    #[test]
    fn an_answer_is_read() {
        let scope = jackdaw_xml::Scope::client();
        let limits = jackdaw_xml::Limits::after_auth();
        let iq = "<iq type='result'><query xmlns='jabber:iq:roster'>\
                  <item jid='contact1@localhost' name='17'/></query></iq>";
        let iq = Element::parse(iq.as_bytes(), &scope, &limits).unwrap();
        let expected = [None, Some(17), None, None];
        assert_eq!(readings(&iq).iter().map(|(_, value)| *value).collect::<Vec<_>>(), expected);
    }
}
