//! Groups of contacts who change their presence: each change goes to everybody else in the group.

use super::message::number;
use super::{DIGITS, Load, PATIENCE, write_number};
use crate::engine::{Behaviour, Engine};
use crate::error::Result;
use crate::io::{ClientId, Io};
use crate::plan::Plan;
use crate::scan;

/// How many know each other.
#[derive(Debug, Clone, Copy)]
pub struct Groups {
    /// Groups.
    pub count: usize,
    /// Clients of one; each is subscribed to all others, and they to it.
    pub size: usize,
}

/// Presence, its number to be written in place.
const PRESENCE: [&str; 2] = ["<presence id='", "'><show>away</show></presence>"];

/// Each client changes its presence again when the last change has reached all contacts.
#[derive(Debug)]
pub struct Broadcast {
    groups: Groups,
    presence: Vec<u8>,
    is_running: bool,
    /// Rosters that have come.
    rosters: usize,
    /// Approvals of subscriptions that have come.
    approved: usize,
    /// Per client: the number of its last change, and the contacts who have not got it.
    changes: Vec<(u64, usize)>,
    changed: u64,
    delivered: u64,
}

impl Broadcast {
    /// Logs in everybody, by the plan of each, and makes contacts of the members of a group.
    pub fn establish(
        engine: &mut Engine,
        groups: Groups,
        plan: impl Fn(usize) -> Plan,
    ) -> Result<Broadcast> {
        let clients = groups.count * groups.size;
        let mut broadcast = Broadcast {
            groups,
            presence: [PRESENCE[0], &"0".repeat(DIGITS), PRESENCE[1]].concat().into_bytes(),
            is_running: false,
            rosters: 0,
            approved: 0,
            changes: vec![(0, 0); clients],
            changed: 0,
            delivered: 0,
        };
        engine.ramp(&mut broadcast, clients, clients, PATIENCE, plan)?;
        engine.run(&mut broadcast, "the rosters", PATIENCE, |_, broadcast| {
            broadcast.rosters >= clients
        })?;
        for client in 0..clients {
            broadcast.subscribe(engine.io(), client);
        }
        let approvals = clients * (groups.size - 1);
        engine.run(&mut broadcast, "the subscriptions", PATIENCE, |_, broadcast| {
            broadcast.approved >= approvals
        })?;
        Ok(broadcast)
    }

    fn subscribe(&self, io: &mut Io, client: ClientId) {
        let size = self.groups.size;
        let group = client / size * size;
        for contact in (group..group + size).filter(|&contact| contact != client) {
            let to = bare(io.jid(contact)).to_owned();
            io.write(client, format!("<presence type='subscribe' to='{to}'/>").as_bytes());
        }
    }

    fn change(&mut self, io: &mut Io, client: ClientId) {
        self.changed += 1;
        self.changes[client] = (self.changed, self.groups.size - 1);
        write_number(&mut self.presence[PRESENCE[0].len()..][..DIGITS], self.changed);
        io.write(client, &self.presence);
    }

    /// Whose change this is, if it is one and not the sender's own copy.
    fn sender(&self, io: &Io, client: ClientId, presence: &[u8]) -> Option<ClientId> {
        let changed = number(presence)?;
        let size = self.groups.size;
        let group = client / size * size;
        let sender = (group..group + size).find(|&member| self.changes[member].0 == changed)?;
        let own = scan::attribute(presence, "from") == Some(io.jid(client).as_bytes());
        (!own).then_some(sender)
    }
}

impl Load for Broadcast {
    fn begin(&mut self, engine: &mut Engine) {
        self.is_running = true;
        (0..self.changes.len()).for_each(|client| self.change(engine.io(), client));
    }

    fn end(&mut self, engine: &mut Engine) -> Result<()> {
        self.is_running = false;
        engine.run(self, "the last presence", PATIENCE, |_, broadcast| {
            broadcast.changes.iter().all(|&(_, missing)| missing == 0)
        })
    }

    /// Presences that came to contacts; the copies to the senders themselves are not counted.
    fn completed(&self) -> u64 {
        self.delivered
    }
}

impl Behaviour for Broadcast {
    /// Who has asked for the roster is shown requests for subscriptions (RFC 6121 §2.2).
    fn established(&mut self, io: &mut Io, client: ClientId, _: &Plan) {
        io.write(client, b"<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>");
    }

    fn stanza(&mut self, io: &mut Io, client: ClientId, stanza: &[u8]) {
        if !stanza.starts_with(b"<presence") {
            let is_result = scan::attribute(stanza, "type") == Some(b"result");
            self.rosters += usize::from(is_result);
            return;
        }
        if let Some(sender) = self.sender(io, client, stanza) {
            self.delivered += 1;
            self.changes[sender].1 -= 1;
            if self.changes[sender].1 == 0 && self.is_running {
                self.change(io, sender);
            }
            return;
        }
        match scan::attribute(stanza, "type") {
            Some(b"subscribe") => {
                let from = scan::attribute(stanza, "from").unwrap_or_default();
                let to = String::from_utf8_lossy(from).into_owned();
                io.write(client, format!("<presence type='subscribed' to='{to}'/>").as_bytes());
            }
            Some(b"subscribed") => self.approved += 1,
            _ => {}
        }
    }
}

fn bare(jid: &str) -> &str {
    jid.split_once('/').map_or(jid, |(bare, _)| bare)
}
