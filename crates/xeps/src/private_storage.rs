//! XEP-0049: Private XML Storage. Clients keep settings and bookmarks on the server.
//!
//! Owns the elements, one row each, by their name and namespace. Does not: look into them.

use jackdaw_ext::{At, Ctx, Deps, Iq, Registry, Reply, Status, Xep, stanza_error};
use jackdaw_stanza::{StanzaError, ns};
use jackdaw_store::{Batch, Map, Table, Value};
use jackdaw_xml::{Element, Limits, Scope};

/// What this extension says of itself.
pub const INFO: Xep = Xep {
    number: 49,
    name: "Private XML Storage",
    version: "1.2",
    status: Status::Complete,
    features: &[ns::PRIVATE],
};

/// The elements as text, by account and name.
const PRIVATE: Table = Table::new("private");

/// What an operator may set.
#[derive(Clone, Debug)]
pub struct Config {
    /// Elements of an account. Clients use one or two each.
    pub elements_max: usize,
    /// Bytes of all an account's elements together.
    pub bytes_max: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config { elements_max: 100, bytes_max: 256 * 1024 }
    }
}

/// Registers the handlers.
pub fn register(on: &mut Registry, deps: &Deps) {
    let elements: Map<String> = deps.stores.map(PRIVATE);
    let config = deps.config::<Config>();
    on.feature(At::Host, ns::PRIVATE);
    let table = elements.clone();
    on.iq_get(At::Account, ns::PRIVATE, "query", move |ctx, iq| fetch(table.clone(), ctx, iq));
    let table = elements.clone();
    on.iq_set(At::Account, ns::PRIVATE, "query", move |ctx, iq| {
        let config = Config::clone(&config);
        store(table.clone(), config, ctx, iq)
    });
    on.iq_get(At::Bare, ns::PRIVATE, "query", forbid);
    on.iq_set(At::Bare, ns::PRIVATE, "query", forbid);
    on.account_deleted(move |_, account| {
        let elements = elements.clone();
        async move { elements.clear(&account).await }
    });
}

/// §4: nobody but their owner. `service-unavailable`, "in common use", would be as good; the text
/// prefers this.
async fn forbid(_: Ctx, _: Iq) -> Result<Reply, StanzaError> {
    Err(StanzaError::forbidden())
}

/// Answers with the stored element, or the one that asked, empty (§2.3).
async fn fetch(elements: Map<String>, ctx: Ctx, iq: Iq) -> Result<Reply, StanzaError> {
    let query = iq.element()?;
    let mut children = query.children();
    let (Some(wanted), None) = (children.next(), children.next()) else {
        return Err(StanzaError::bad_request());
    };
    let stored = elements.get(ctx.target(), &key(wanted)?).await.map_err(|e| stanza_error(&e))?;
    let element = match stored {
        Some(xml) => Element::parse(xml.as_bytes(), &Scope::client(), &Limits::trusted())
            .map_err(|_| StanzaError::internal_server_error())?,
        None => Element::new(wanted.ns(), wanted.name()),
    };
    Ok(Reply::new(Element::new(ns::PRIVATE, "query").with_child(element)))
}

/// Stores every child, all or none. An empty element and none are read alike, so it takes no room.
async fn store(
    elements: Map<String>,
    config: Config,
    ctx: Ctx,
    iq: Iq,
) -> Result<Reply, StanzaError> {
    let query = iq.element()?;
    if query.children().next().is_none() {
        return Err(StanzaError::not_acceptable());
    }
    let account = ctx.target();
    let _changing = ctx.services().locks.lock(account).await;
    // One above the bound, so that an account that is over it is seen.
    let stored = elements.list(account, config.elements_max + 1).await;
    let stored = stored.map_err(|error| stanza_error(&error))?;
    let mut sizes: std::collections::HashMap<Vec<u8>, usize> =
        stored.into_iter().map(|(key, xml)| (key.to_vec(), xml.len())).collect();
    let mut batch = Batch::new();
    for element in query.children() {
        let key = key(element)?;
        if element.nodes().is_empty() && element.attrs().next().is_none() {
            sizes.remove(&key);
            batch.delete(PRIVATE, account, &key);
            continue;
        }
        let xml = element.to_xml("");
        batch.put(PRIVATE, account, &key, xml.encode());
        sizes.insert(key, xml.len());
    }
    if sizes.len() > config.elements_max || sizes.values().sum::<usize>() > config.bytes_max {
        return Err(StanzaError::policy_violation().text("the private storage is full"));
    }
    ctx.services().stores.commit(batch).await.map_err(|error| stanza_error(&error))?;
    Ok(Reply::empty())
}

/// Name and namespace. An element without a namespace of its own may not be stored (§2.1).
fn key(element: &Element) -> Result<Vec<u8>, StanzaError> {
    match element.ns() {
        "" | ns::CLIENT | ns::PRIVATE => Err(StanzaError::not_acceptable()),
        // No name has a space, so no two pairs look alike.
        ns => Ok(format!("{} {ns}", element.name()).into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_harness::Harness;

    fn query(content: &str) -> String {
        format!("<query xmlns='jabber:iq:private'>{content}</query>")
    }

    const PREFS: &str = "<exodus xmlns='exodus:prefs'><defaultnick>Hamlet</defaultnick></exodus>";
    const NO_PREFS: &str = "<exodus xmlns='exodus:prefs'/>";

    #[test]
    fn what_was_stored_is_read_back() {
        let harness = Harness::new();
        let hamlet = harness.connect("hamlet@capulet.lit/denmark");
        assert_eq!(harness.get(&hamlet, "", &query(NO_PREFS)), query(NO_PREFS));
        assert_eq!(harness.set(&hamlet, "", &query(PREFS)), "");
        assert_eq!(harness.get(&hamlet, "", &query(NO_PREFS)), query(PREFS));
        let other = "<exodus xmlns='exodus:more'/>";
        assert_eq!(harness.get(&hamlet, "", &query(other)), query(other));
        assert_eq!(harness.set(&hamlet, "", &query(NO_PREFS)), "");
        assert_eq!(harness.get(&hamlet, "", &query(NO_PREFS)), query(NO_PREFS));
    }

    #[test]
    fn nobody_reads_or_writes_what_belongs_to_another() {
        let harness = Harness::new();
        let macbeth = harness.connect("macbeth@capulet.lit/castle");
        harness.add_account("hamlet@capulet.lit");
        let to = "hamlet@capulet.lit";
        assert_eq!(harness.get(&macbeth, to, &query(NO_PREFS)), "forbidden");
        assert_eq!(harness.set(&macbeth, to, &query(PREFS)), "forbidden");
    }

    #[test]
    fn a_query_has_an_element_with_a_namespace_of_its_own() {
        let harness = Harness::new();
        let hamlet = harness.connect("hamlet@capulet.lit/denmark");
        assert_eq!(harness.get(&hamlet, "", &query("")), "bad-request");
        let two = format!("{NO_PREFS}<a xmlns='b'/>");
        assert_eq!(harness.get(&hamlet, "", &query(&two)), "bad-request");
        assert_eq!(harness.set(&hamlet, "", &query("")), "not-acceptable");
        assert_eq!(harness.set(&hamlet, "", &query("<a>b</a>")), "not-acceptable");
    }

    #[test]
    fn storage_is_bounded_in_elements_and_bytes() {
        let config = Config { elements_max: 2, bytes_max: 200 };
        let harness = Harness::with(|deps| deps.configs.set(config));
        let hamlet = harness.connect("hamlet@capulet.lit/denmark");
        let set = |content: &str| harness.set(&hamlet, "", &query(content));
        let three = "<a xmlns='u:1'>1</a><a xmlns='u:2'>1</a><a xmlns='u:3'>1</a>";
        assert_eq!(set(three), "policy-violation");
        assert_eq!(harness.get(&hamlet, "", &query("<a xmlns='u:1'/>")), query("<a xmlns='u:1'/>"));
        assert_eq!(set("<a xmlns='u:1'>1</a><a xmlns='u:2'>1</a>"), "");
        assert_eq!(set("<a xmlns='u:3'>1</a>"), "policy-violation");
        assert_eq!(set("<a xmlns='u:1'>2</a>"), "");
        assert_eq!(set(&format!("<a xmlns='u:1'>{}</a>", "x".repeat(200))), "policy-violation");
    }

    #[test]
    fn a_new_account_of_an_old_name_has_nothing_stored() {
        let harness = Harness::new();
        let hamlet = harness.connect("hamlet@capulet.lit/denmark");
        harness.set(&hamlet, "", &query(PREFS));
        harness.erase("hamlet@capulet.lit");
        assert_eq!(harness.get(&hamlet, "", &query(NO_PREFS)), query(NO_PREFS));
    }
}
