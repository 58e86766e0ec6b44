//! What differs between two configurations, key by key.

use super::section::{Applies, Section};
use super::{
    Auth, ClientState, Config, Contacts, Deadlines, DirectTlsListener, Domain, Edge, HttpListener,
    Keepalive, Limits, Log, PlainListener, Postgres, Registration, Server, Sessions,
    StartTlsListener, Storage, StreamManagement,
};

/// A key whose value is another than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its path. Values are not told: nobody has decided that they may be in a log.
    pub key: String,
    /// When it takes effect.
    pub applies: Applies,
}

/// One key with its value as TOML.
type Entry = (String, Option<String>, Applies);

impl Config {
    /// The keys in which `newer` differs, in the order of the description.
    pub fn changes(&self, newer: &Config) -> Vec<Change> {
        let (old, new) = (self.entries(), newer.entries());
        let changed = new.iter().filter(|entry| !old.contains(entry));
        // A domain that is gone has no entry on the new side.
        let gone = old.iter().filter(|(key, ..)| !new.iter().any(|(other, ..)| other == key));
        changed
            .chain(gone)
            .map(|(key, _, applies)| Change { key: key.clone(), applies: *applies })
            .collect()
    }

    fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut add = |path: &str, section: &Section, values: Vec<Option<String>>| {
            for (key, value) in section.keys.iter().zip(values) {
                entries.push((format!("{path}.{}", key.name), value, key.traits.applies));
            }
        };
        for domain in &self.domains {
            add(&format!("domains.{}", domain.name), &Domain::SECTION, domain.to_toml());
        }
        macro_rules! once {
            ($($type:ty: $value:expr;)+) => {
                $( add(<$type>::SECTION.path, &<$type>::SECTION, $value.to_toml()); )+
            };
        }
        once! {
            Server: self.server;
            StartTlsListener: self.listeners.c2s;
            DirectTlsListener: self.listeners.c2s_tls;
            PlainListener: self.listeners.c2s_plain;
            HttpListener: self.listeners.http;
            Edge: self.edge;
            Storage: self.storage;
            Postgres: self.storage.postgres;
            Auth: self.auth;
            Sessions: self.sessions;
            StreamManagement: self.stream_management;
            ClientState: self.client_state;
            Registration: self.registration;
            Contacts: self.contacts;
            Limits: self.limits;
            Deadlines: self.deadlines;
            Keepalive: self.keepalive;
            Log: self.log;
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::super::SECTIONS;
    use super::*;

    fn changes(old: &str, new: &str) -> Vec<(String, Applies)> {
        let [old, new] = [old, new].map(|text| Config::parse("test", text).unwrap());
        old.changes(&new).into_iter().map(|change| (change.key, change.applies)).collect()
    }

    #[test]
    fn nothing_changes_between_equal_files() {
        assert_eq!(changes("[log]\n", ""), []);
    }

    #[test]
    fn changed_keys_are_named_with_when_they_apply() {
        assert_eq!(
            changes("", "[log]\nlevel = \"debug\"\n[edge]\nworkers = 3\n"),
            [("edge.workers".into(), Applies::Restart), ("log.level".into(), Applies::Reload)]
        );
    }

    #[test]
    fn domains_are_compared_by_name() {
        let one = "[[domains]]\nname = \"a.example\"\n";
        let two = "[[domains]]\nname = \"b.example\"\n[[domains]]\nname = \"a.example\"\n";
        let names = |changes: Vec<(String, Applies)>| -> Vec<String> {
            changes.into_iter().map(|(key, _)| key).collect()
        };
        let expected = ["name", "certificate", "key"].map(|key| format!("domains.b.example.{key}"));
        assert_eq!(names(changes(one, two)), expected);
        assert_eq!(names(changes(two, one)), expected);
    }

    #[test]
    fn every_section_is_compared() {
        let entries = Config::default().entries();
        for section in SECTIONS.iter().filter(|section| !section.repeated) {
            for key in section.keys {
                let path = format!("{}.{}", section.path, key.name);
                assert!(entries.iter().any(|(known, ..)| *known == path), "{path}");
            }
        }
    }
}
