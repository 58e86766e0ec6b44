//! Registration before authentication (XEP-0077 §3.1.1).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jackdaw_ext::{Administration, Hosts, Pending, account_error};
use jackdaw_jid::BareJid;
use jackdaw_stanza::{IqType, Stanza, StanzaError, ns};
use jackdaw_stdx::TokenBucket;
use jackdaw_xml::Element;
use parking_lot::Mutex;

use super::{Wanted, field};

const HOUR: Duration = Duration::from_secs(3600);

/// Addresses that are remembered. At the bound those that are allowed everything again are
/// forgotten, and if none is, nobody registers: it is an attack.
const ADDRESSES_MAX: usize = 50_000;

/// How fast accounts may be made. An attempt counts, so that names are not tried out either.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// From one IPv4 address, or one IPv6 /64, in an hour.
    pub per_address_per_hour: u32,
    /// By everybody, in an hour.
    pub per_hour: u32,
}

impl Default for Rates {
    fn default() -> Rates {
        // A household makes a few; a busy public server some hundred a day.
        Rates { per_address_per_hour: 3, per_hour: 300 }
    }
}

/// Makes accounts for strangers. Exists only where the operator wants that.
pub struct Registrar {
    hosts: Hosts,
    administration: Arc<dyn Administration>,
    rates: Rates,
    buckets: Mutex<Buckets>,
}

struct Buckets {
    everybody: TokenBucket,
    addresses: HashMap<IpAddr, Bucket>,
}

struct Bucket {
    tokens: TokenBucket,
    used_at: Instant,
}

impl Registrar {
    /// A registrar for these domains.
    pub fn new(
        hosts: Hosts,
        administration: Arc<dyn Administration>,
        rates: Rates,
        now: Instant,
    ) -> Registrar {
        let everybody = per_hour(rates.per_hour, now);
        let buckets = Mutex::new(Buckets { everybody, addresses: HashMap::new() });
        Registrar { hosts, administration, rates, buckets }
    }

    /// Answers an iq with a `jabber:iq:register` query, of a client at this address that has not
    /// authenticated.
    pub fn answer(&self, iq: Stanza, peer: IpAddr, now: Instant) -> Pending<Stanza> {
        let outcome = match iq.iq_type() {
            Some(IqType::Get) => Ok(None),
            Some(IqType::Set) => self.take(&iq, peer, now).map(Some),
            Some(IqType::Result | IqType::Error) | None => Err(StanzaError::bad_request()),
        };
        let administration = Arc::clone(&self.administration);
        Box::pin(async move {
            match outcome {
                Ok(None) => iq.result(Some(&fields())),
                Ok(Some((account, wanted))) => {
                    match administration.add_account(account.clone(), wanted.password).await {
                        Ok(()) => {
                            tracing::info!(%account, %peer, "registered");
                            iq.result(None)
                        }
                        Err(error) => iq.error(&account_error(&error)),
                    }
                }
                Err(error) => iq.error(&error),
            }
        })
    }

    /// What is wanted, if it makes sense and the rates allow it.
    fn take(
        &self,
        iq: &Stanza,
        peer: IpAddr,
        now: Instant,
    ) -> Result<(BareJid, Wanted), StanzaError> {
        let query = iq.payload(ns::REGISTER, "query").ok_or_else(StanzaError::bad_request)?;
        let query = query.element().map_err(|_| StanzaError::bad_request())?;
        if query.child(ns::REGISTER, "remove").is_some() {
            // §3.2: whoever is not logged in has nothing to cancel.
            return Err(StanzaError::unexpected_request());
        }
        let wanted = Wanted::read(&query).ok_or_else(StanzaError::not_acceptable)?;
        let account = BareJid::new(Some(&wanted.username), self.host(iq)?.domain())
            .map_err(|_| StanzaError::jid_malformed())?;
        if !self.buckets.lock().take(self.rates, prefix(peer), now) {
            return Err(StanzaError::resource_constraint().text("too many registrations"));
        }
        Ok((account, wanted))
    }

    /// The domain that the iq is for; without `to`, the only one there is.
    fn host(&self, iq: &Stanza) -> Result<&BareJid, StanzaError> {
        if let Some(to) = iq.to() {
            return self.hosts.find(to.as_str()).ok_or_else(StanzaError::item_not_found);
        }
        let mut hosts = self.hosts.iter();
        match (hosts.next(), hosts.next()) {
            (Some(host), None) => Ok(host),
            (Some(_) | None, _) => Err(StanzaError::bad_request().text("to which domain?")),
        }
    }
}

impl Buckets {
    fn take(&mut self, rates: Rates, address: IpAddr, now: Instant) -> bool {
        if self.addresses.len() >= ADDRESSES_MAX && !self.addresses.contains_key(&address) {
            // After an hour without use a bucket is full: to forget it changes nothing.
            let is_used =
                |bucket: &mut Bucket| now.saturating_duration_since(bucket.used_at) < HOUR;
            self.addresses.retain(|_, bucket| is_used(bucket));
            if self.addresses.len() >= ADDRESSES_MAX {
                return false;
            }
        }
        let bucket = self.addresses.entry(address).or_insert_with(|| Bucket {
            tokens: per_hour(rates.per_address_per_hour, now),
            used_at: now,
        });
        bucket.used_at = now;
        bucket.tokens.take(1.0, now) && self.everybody.take(1.0, now)
    }
}

fn per_hour(count: u32, now: Instant) -> TokenBucket {
    TokenBucket::new(f64::from(count) / HOUR.as_secs_f64(), f64::from(count), now)
}

/// An IPv6 host has a /64 to choose addresses from.
fn prefix(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let high = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(high))
        }
    }
}

/// §3.1: what has to be told. No e-mail address: nothing here would use one.
fn fields() -> Element {
    let instructions = "Choose a username and password for use with this service.";
    Element::new(ns::REGISTER, "query")
        .with_child(field("instructions").with_text(instructions))
        .with_child(field("username"))
        .with_child(field("password"))
}

#[cfg(test)]
#[path = "registrar_test.rs"]
mod tests;
