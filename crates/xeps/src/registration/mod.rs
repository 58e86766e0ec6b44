//! XEP-0077: In-Band Registration. Strangers make accounts, users change passwords and leave.
//!
//! Making accounts before authentication is off unless the operator opens the server: see
//! [`Registrar`], which the streams ask. Users that are logged in change their password and cancel
//! their account here. Does not: registration with services, redirection to a website.

use std::sync::Arc;

use jackdaw_ext::{
    Administration, At, Ctx, Deps, Effect, Iq, Registry, Reply, Status, Timestamp, Xep,
    account_error,
};
use jackdaw_jid::BareJid;
use jackdaw_stanza::{StanzaError, ns};
use jackdaw_stream::sasl::Password;
use jackdaw_xml::Element;

use crate::forms::Submission;

mod registrar;

pub use registrar::{Rates, Registrar};

/// What this extension says of itself.
pub const INFO: Xep = Xep {
    number: 77,
    name: "In-Band Registration",
    version: "2.4",
    status: Status::Complete,
    features: &[ns::REGISTER],
};

/// Seconds between two changes of one account's password. Each derives keys, which costs some 30 ms
/// of a core, whoever asks.
const PASSWORD_INTERVAL_SECS: u64 = 10;

/// Account slot: when the password was changed last, while the account has sessions.
struct Changed(Timestamp);

/// Registers what users do once they are logged in. Clients address it to the domain or to nobody.
pub fn register(on: &mut Registry, _: &Deps) {
    on.feature(At::Host, ns::REGISTER);
    for at in [At::Account, At::Host] {
        on.iq_get(at, ns::REGISTER, "query", show);
        on.iq_set(at, ns::REGISTER, "query", change);
    }
}

/// The account of the session that asks, if it is of the domain that was asked.
fn own_account(ctx: &Ctx) -> Result<BareJid, StanzaError> {
    let account = ctx.session()?.account().jid().clone();
    match account.domain() == ctx.target().domain() {
        true => Ok(account),
        false => Err(StanzaError::service_unavailable()),
    }
}

/// §3.1: tells that the user is registered.
async fn show(ctx: Ctx, _: Iq) -> Result<Reply, StanzaError> {
    let account = own_account(&ctx)?;
    let query = Element::new(ns::REGISTER, "query")
        .with_child(Element::new(ns::REGISTER, "registered"))
        .with_child(field("username").with_text(account.local().unwrap_or_default()))
        .with_child(field("password"));
    Ok(Reply::new(query))
}

fn field(name: &str) -> Element {
    Element::new(ns::REGISTER, name)
}

async fn change(ctx: Ctx, iq: Iq) -> Result<Reply, StanzaError> {
    let account = own_account(&ctx)?;
    let query = iq.element()?;
    match query.child(ns::REGISTER, "remove") {
        Some(_) if query.children().count() == 1 => cancel(&ctx, account),
        Some(_) => Err(StanzaError::bad_request()),
        None => change_password(&ctx, account, &query).await,
    }
}

fn administration(ctx: &Ctx) -> Result<Arc<dyn Administration>, StanzaError> {
    ctx.services().administration.get().cloned().ok_or_else(StanzaError::service_unavailable)
}

/// §3.2. The answer goes out first: deletion ends the session that waits for it. What then fails
/// leaves the account as it is, and its sessions connected.
fn cancel(ctx: &Ctx, account: BareJid) -> Result<Reply, StanzaError> {
    let administration = administration(ctx)?;
    ctx.effect(Effect::Later(Box::pin(async move {
        match administration.delete_account(account.clone()).await {
            Ok(()) => tracing::info!(%account, "cancelled its registration"),
            Err(error) => tracing::error!(%account, %error, "an account was not deleted"),
        }
    })));
    Ok(Reply::empty())
}

/// §3.3.
async fn change_password(
    ctx: &Ctx,
    account: BareJid,
    query: &Element,
) -> Result<Reply, StanzaError> {
    let Wanted { username, password } = Wanted::read(query).ok_or_else(StanzaError::bad_request)?;
    let named = BareJid::new(Some(&username), account.domain());
    if named.map_err(|_| StanzaError::bad_request())? != account {
        return Err(StanzaError::not_allowed());
    }
    let administration = administration(ctx)?;
    let now = ctx.services().clock.now();
    let state = ctx.session()?.account();
    let earlier = state.slot::<Changed>();
    let is_early =
        |changed: &Changed| now.secs().saturating_sub(changed.0.secs()) < PASSWORD_INTERVAL_SECS;
    if earlier.is_some_and(|changed| is_early(&changed)) {
        return Err(StanzaError::resource_constraint().text("wait a little"));
    }
    state.set_slot(Arc::new(Changed(now)));
    let changed = administration.set_password(account, password).await;
    changed.map_err(|error| account_error(&error))?;
    Ok(Reply::empty())
}

/// What a registration or a change of password wants.
struct Wanted {
    username: String,
    password: Password,
}

impl Wanted {
    /// From the elements, or the form that takes precedence over them (§4); none where something
    /// is missing or cannot be a password.
    fn read(query: &Element) -> Option<Wanted> {
        let form = Submission::find(query, ns::REGISTER);
        let value = |name: &str| match &form {
            Some(form) => form.value(name),
            None => Some(query.child(ns::REGISTER, name)?.text()).filter(|text| !text.is_empty()),
        };
        let username = value("username")?;
        let password = Password::prepare(&value("password")?).ok()?;
        Some(Wanted { username, password })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_harness::Harness;
    use jackdaw_session::Session;

    fn query(content: &str) -> String {
        format!("<query xmlns='jabber:iq:register'>{content}</query>")
    }

    fn bill() -> (Harness, Arc<Session>) {
        let harness = Harness::new();
        harness.set_time(1_000_000);
        let bill = harness.connect("bill@capulet.lit/globe");
        (harness, bill)
    }

    #[test]
    fn a_user_sees_that_it_is_registered() {
        let (harness, bill) = bill();
        let expected = query("<registered/><username>bill</username><password/>");
        for to in ["capulet.lit", ""] {
            let empty = "<query xmlns='jabber:iq:register'/>";
            assert_eq!(harness.get(&bill, to, empty), expected);
        }
    }

    #[test]
    fn a_user_changes_its_own_password_only() {
        let (harness, bill) = bill();
        let other = query("<username>juliet</username><password>newpass</password>");
        assert_eq!(harness.set(&bill, "capulet.lit", &other), "not-allowed");
        for incomplete in ["<username>bill</username>", "<password>x</password>"] {
            assert_eq!(harness.set(&bill, "capulet.lit", &query(incomplete)), "bad-request");
        }
        let empty = query("<username>bill</username><password/>");
        assert_eq!(harness.set(&bill, "capulet.lit", &empty), "bad-request");
        assert!(harness.administered().is_empty());
        let own = query("<username>Bill</username><password>newpass</password>");
        assert_eq!(harness.set(&bill, "capulet.lit", &own), "");
        assert_eq!(harness.administered(), ["password bill@capulet.lit"]);
        assert!(harness.last_password_is("newpass"));
    }

    #[test]
    fn a_form_takes_precedence_over_elements() {
        let (harness, bill) = bill();
        let form = "<x xmlns='jabber:x:data' type='submit'>\
            <field var='username'><value>bill</value></field>\
            <field var='password'><value>of the form</value></field></x>";
        let both = query(&format!("<username>bill</username><password>x</password>{form}"));
        assert_eq!(harness.set(&bill, "capulet.lit", &both), "");
        assert!(harness.last_password_is("of the form"));
    }

    #[test]
    fn passwords_are_not_changed_faster_than_an_interval() {
        let (harness, bill) = bill();
        let own = query("<username>bill</username><password>newpass</password>");
        assert_eq!(harness.set(&bill, "", &own), "");
        let again = harness.connect("bill@capulet.lit/again");
        assert_eq!(harness.set(&again, "", &own), "resource-constraint");
        harness.set_time(1_000_000 + PASSWORD_INTERVAL_SECS * 1000);
        assert_eq!(harness.set(&again, "", &own), "");
    }

    #[test]
    fn a_user_cancels_its_account_by_nothing_but_a_remove() {
        let (harness, bill) = bill();
        let both = query("<remove/><username>bill</username>");
        assert_eq!(harness.set(&bill, "", &both), "bad-request");
        assert!(harness.administered().is_empty());
        assert_eq!(harness.set(&bill, "", &query("<remove/>")), "");
        assert_eq!(harness.administered(), ["delete bill@capulet.lit"]);
    }
}
