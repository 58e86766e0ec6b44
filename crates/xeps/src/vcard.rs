//! XEP-0054: vcard-temp. What users tell everybody about themselves.
//!
//! Owns the vCard of an account. It is kept as it came; what the server looks at in it is the
//! avatar, whose hash is kept beside it for `avatars`.

use std::sync::Arc;

use bytes::Bytes;
use jackdaw_ext::{At, Ctx, Deps, Iq, Registry, Reply, Status, Xep, stanza_error};
use jackdaw_stanza::{StanzaError, ns};
use jackdaw_store::{Batch, Map, Table, Value};
use jackdaw_xml::{Element, Limits, Scope};

use crate::avatars::{Avatar, AvatarHash};

/// What this extension says of itself.
pub const INFO: Xep = Xep {
    number: 54,
    name: "vcard-temp",
    version: "1.3.0",
    status: Status::Complete,
    features: &[ns::VCARD],
};

/// The vCards, one per account, and the hashes of their avatars.
pub(crate) const VCARDS: Table = Table::new("vcard");

/// The vCard of an account.
const VCARD_KEY: &[u8] = b"vcard";

/// The hash of its avatar; absent without one.
pub(crate) const AVATAR_KEY: &[u8] = b"avatar";

/// What an operator may set.
#[derive(Clone, Debug)]
pub struct Config {
    /// The largest vCard in bytes. Room for an avatar of some 70 kB, nine times what XEP-0153 §4.6
    /// asks of clients; they do not all heed it.
    pub bytes_max: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config { bytes_max: 100_000 }
    }
}

/// Registers the handlers. A vCard is world-readable (§5).
pub fn register(on: &mut Registry, deps: &Deps) {
    let vcards: Map<Bytes> = deps.stores.map(VCARDS);
    let bytes_max = deps.config::<Config>().bytes_max;
    on.feature(At::Host, ns::VCARD);
    on.feature(At::Account, ns::VCARD);
    let table = vcards.clone();
    on.iq_get(At::Account, ns::VCARD, "vCard", move |ctx, _| {
        // §3.1: its owner is told that there is none.
        fetch(table.clone(), ctx, StanzaError::item_not_found())
    });
    let table = vcards.clone();
    on.iq_get(At::Bare, ns::VCARD, "vCard", move |ctx, _| {
        // §3.3: others cannot tell an account without a vCard from none.
        fetch(table.clone(), ctx, StanzaError::service_unavailable())
    });
    on.iq_set(At::Account, ns::VCARD, "vCard", move |ctx, iq| publish(bytes_max, ctx, iq));
    on.iq_set(At::Bare, ns::VCARD, "vCard", refuse);
    on.account_deleted(move |_, account| {
        let vcards = vcards.clone();
        async move { vcards.clear(&account).await }
    });
}

async fn fetch(vcards: Map<Bytes>, ctx: Ctx, absent: StanzaError) -> Result<Reply, StanzaError> {
    let stored = vcards.get(ctx.target(), VCARD_KEY).await.map_err(|e| stanza_error(&e))?;
    let xml = stored.ok_or(absent)?;
    let vcard = Element::parse(&xml, &Scope::client(), &Limits::trusted())
        .map_err(|_| StanzaError::internal_server_error())?;
    Ok(Reply::new(vcard))
}

/// Keeps the vCard and the hash of its avatar: both or neither.
async fn publish(bytes_max: usize, ctx: Ctx, iq: Iq) -> Result<Reply, StanzaError> {
    let vcard = iq.element()?;
    let xml = vcard.to_xml("");
    if xml.len() > bytes_max {
        return Err(StanzaError::policy_violation().text("the vCard is too large"));
    }
    let account = ctx.target();
    let hash = AvatarHash::of(&vcard);
    let mut batch = Batch::new();
    batch.put(VCARDS, account, VCARD_KEY, Bytes::from(xml).encode());
    match hash {
        Some(hash) => batch.put(VCARDS, account, AVATAR_KEY, hash.encode()),
        None => batch.delete(VCARDS, account, AVATAR_KEY),
    }
    let _changing = ctx.services().locks.lock(account).await;
    ctx.services().stores.commit(batch).await.map_err(|error| stanza_error(&error))?;
    ctx.session()?.account().set_slot(Arc::new(Avatar(hash)));
    Ok(Reply::empty())
}

/// §3.2: nobody changes the vCard of somebody else.
async fn refuse(_: Ctx, _: Iq) -> Result<Reply, StanzaError> {
    Err(StanzaError::forbidden())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_harness::Harness;

    const VCARD: &str = "<vCard xmlns='vcard-temp'><FN>Juliet</FN></vCard>";
    const QUERY: &str = "<vCard xmlns='vcard-temp'/>";

    #[test]
    fn everybody_can_read_a_vcard() {
        let harness = Harness::new();
        let juliet = harness.connect("juliet@capulet.lit/balcony");
        let romeo = harness.connect("romeo@capulet.lit/orchard");
        assert_eq!(harness.get(&juliet, "", QUERY), "item-not-found");
        assert_eq!(harness.set(&juliet, "", VCARD), "");
        assert_eq!(harness.get(&juliet, "", QUERY), VCARD);
        assert_eq!(harness.get(&romeo, "juliet@capulet.lit", QUERY), VCARD);
    }

    #[test]
    fn an_account_without_vcard_looks_like_none() {
        let harness = Harness::new();
        let juliet = harness.connect("juliet@capulet.lit/balcony");
        harness.add_account("romeo@capulet.lit");
        for to in ["romeo@capulet.lit", "nobody@capulet.lit"] {
            assert_eq!(harness.get(&juliet, to, QUERY), "service-unavailable");
        }
    }

    #[test]
    fn nobody_changes_the_vcard_of_another() {
        let harness = Harness::new();
        let juliet = harness.connect("juliet@capulet.lit/balcony");
        let romeo = harness.connect("romeo@capulet.lit/orchard");
        harness.set(&juliet, "", VCARD);
        let forged = "<vCard xmlns='vcard-temp'><FN>Rosaline</FN></vCard>";
        assert_eq!(harness.set(&romeo, "juliet@capulet.lit", forged), "forbidden");
        assert_eq!(harness.get(&juliet, "", QUERY), VCARD);
    }

    #[test]
    fn a_vcard_over_the_limit_is_refused_and_the_old_one_stays() {
        let harness = Harness::with(|deps| deps.configs.set(Config { bytes_max: 60 }));
        let juliet = harness.connect("juliet@capulet.lit/balcony");
        harness.set(&juliet, "", VCARD);
        let large = format!("<vCard xmlns='vcard-temp'><FN>{}</FN></vCard>", "J".repeat(60));
        assert_eq!(harness.set(&juliet, "", &large), "policy-violation");
        assert_eq!(harness.get(&juliet, "", QUERY), VCARD);
    }

    #[test]
    fn a_new_account_of_an_old_name_has_no_vcard() {
        let harness = Harness::new();
        let juliet = harness.connect("juliet@capulet.lit/balcony");
        harness.set(&juliet, "", VCARD);
        harness.erase("juliet@capulet.lit");
        assert_eq!(harness.get(&juliet, "", QUERY), "item-not-found");
    }
}
