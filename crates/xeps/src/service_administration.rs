//! XEP-0133: Service Administration. What administrators do from their client.
//!
//! Accounts are added, deleted and given passwords, sessions ended and listed, everybody told
//! something, the server stopped. Commands sent to a domain concern its accounts only. Does not:
//! show passwords (nobody has them) or let anybody look into a user's roster.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use jackdaw_ext::{Administration, Ctx, Effect, Pending, Status, Xep, account_error, stanza_error};
use jackdaw_jid::{BareJid, Jid};
use jackdaw_session::Session;
use jackdaw_stanza::{Builder, Delivery, Stanza, StanzaError, ns};
use jackdaw_stream::sasl::Password;
use jackdaw_xml::Element;

use crate::commands::{Command, Outcome, leave_worker};
use crate::forms::{FieldType, Form, FormType, Submission};

/// What this extension says of itself.
pub const INFO: Xep = Xep {
    number: 133,
    name: "Service Administration",
    version: "1.3.1",
    status: Status::Partial,
    features: &[],
};

/// Accounts named in one form. Each may take a while.
const ACCOUNTS_MAX: usize = 50;

/// Users in one list: what fits into a stanza, and what a human reads.
const LIST_MAX: usize = 200;

/// Bytes of an announcement: it is sent to everybody.
const ANNOUNCEMENT_BYTES_MAX: usize = 10_000;

/// The longest delay before a shutdown: a day.
const DELAY_SECS_MAX: u64 = 86_400;

/// The commands (§4).
pub const COMMANDS: &[Command] = &[
    Command {
        node: "http://jabber.org/protocol/admin#add-user",
        name: "Add User",
        form: Some(add_user_form),
        run: |ctx, payload| Box::pin(add_user(ctx, payload)),
    },
    Command {
        node: "http://jabber.org/protocol/admin#delete-user",
        name: "Delete User",
        form: Some(delete_user_form),
        run: |ctx, payload| Box::pin(delete_user(ctx, payload)),
    },
    Command {
        node: "http://jabber.org/protocol/admin#end-user-session",
        name: "End User Session",
        form: Some(end_user_session_form),
        run: end_user_session,
    },
    Command {
        node: "http://jabber.org/protocol/admin#change-user-password",
        name: "Change User Password",
        form: Some(change_user_password_form),
        run: |ctx, payload| Box::pin(change_user_password(ctx, payload)),
    },
    Command {
        node: "http://jabber.org/protocol/admin#get-online-users-num",
        name: "Get Number of Online Users",
        form: None,
        run: |ctx, _| Box::pin(count_online(ctx)),
    },
    Command {
        node: "http://jabber.org/protocol/admin#get-online-users-list",
        name: "Get List of Online Users",
        form: Some(list_online_form),
        run: |ctx, payload| Box::pin(list_online(ctx, payload)),
    },
    Command {
        node: "http://jabber.org/protocol/admin#announce",
        name: "Send Announcement to Online Users",
        form: Some(announce_form),
        run: announce,
    },
    Command {
        node: "http://jabber.org/protocol/admin#shutdown",
        name: "Shut Down Service",
        form: Some(shut_down_form),
        run: shut_down,
    },
];

fn form(title: &str, instructions: &str) -> Form {
    Form::new(FormType::Form, ns::ADMIN).title(title, instructions)
}

fn submission(payload: &Element) -> Result<Submission<'_>, StanzaError> {
    let bad_payload = || {
        let condition = Element::new(ns::COMMANDS, "bad-payload");
        StanzaError::bad_request().application(condition)
    };
    Submission::find(payload, ns::ADMIN).ok_or_else(bad_payload)
}

fn administration(ctx: &Ctx) -> Result<Arc<dyn Administration>, StanzaError> {
    ctx.services().administration.get().cloned().ok_or_else(StanzaError::internal_server_error)
}

/// An account of the domain that the command was sent to.
fn check_own(ctx: &Ctx, account: &BareJid) -> Result<(), StanzaError> {
    if account.domain() == ctx.target().domain() {
        return Ok(());
    }
    Err(StanzaError::not_acceptable().text("that is no account of this domain"))
}

fn password(form: &Submission<'_>, name: &str) -> Result<Password, StanzaError> {
    let text = form.value(name).ok_or_else(StanzaError::not_acceptable)?;
    Password::prepare(&text)
        .map_err(|_| StanzaError::not_acceptable().text("that cannot be a password"))
}

fn add_user_form() -> Form {
    form("Adding a User", "Fill out this form to add a user.")
        .required(FieldType::JidSingle, "accountjid", "The Jabber ID for the account to be added")
        .required(FieldType::TextPrivate, "password", "The password for this account")
        .required(FieldType::TextPrivate, "password-verify", "Retype password")
}

/// §4.1.
async fn add_user(ctx: Ctx, payload: Element) -> Result<Outcome, StanzaError> {
    let form = submission(&payload)?;
    let account = form.account("accountjid")?;
    check_own(&ctx, &account)?;
    let password = password(&form, "password")?;
    // Absent where a client asks for the password once.
    if form.value("password-verify").is_some_and(|again| form.value("password") != Some(again)) {
        return Err(StanzaError::not_acceptable().text("the passwords differ"));
    }
    let added = administration(&ctx)?.add_account(account.clone(), password).await;
    added.map_err(|error| account_error(&error))?;
    log(&ctx, "added", &account);
    Ok(Outcome::Done)
}

fn delete_user_form() -> Form {
    form("Deleting a User", "Fill out this form to delete a user.").required(
        FieldType::JidMulti,
        "accountjids",
        "The Jabber ID(s) to delete",
    )
}

/// §4.2. All that are named exist, or none is deleted.
async fn delete_user(ctx: Ctx, payload: Element) -> Result<Outcome, StanzaError> {
    let accounts = submission(&payload)?.accounts("accountjids", ACCOUNTS_MAX)?;
    for account in &accounts {
        check_own(&ctx, account)?;
        if ctx.session()?.account().jid() == account {
            return Err(StanzaError::not_allowed().text("that is your own account"));
        }
        let exists = ctx.services().accounts.exists(account).await;
        if !exists.map_err(|error| stanza_error(&error))? {
            return Err(StanzaError::item_not_found());
        }
    }
    let administration = administration(&ctx)?;
    for account in accounts {
        let deleted = administration.delete_account(account.clone()).await;
        deleted.map_err(|error| account_error(&error))?;
        log(&ctx, "deleted", &account);
    }
    Ok(Outcome::Done)
}

fn end_user_session_form() -> Form {
    form("Ending a User Session", "Fill out this form to end a user's session.").required(
        FieldType::JidMulti,
        "accountjids",
        "The Jabber ID(s) for which to end sessions",
    )
}

/// §4.5: every session of a bare JID, or the one of a full JID.
fn end_user_session(ctx: Ctx, payload: Element) -> Pending<Result<Outcome, StanzaError>> {
    Box::pin(std::future::ready(end_sessions(&ctx, &payload)))
}

fn end_sessions(ctx: &Ctx, payload: &Element) -> Result<Outcome, StanzaError> {
    let texts = submission(payload)?.values("accountjids");
    if texts.is_empty() || texts.len() > ACCOUNTS_MAX {
        return Err(StanzaError::not_acceptable());
    }
    let mut ended = Vec::new();
    for text in texts {
        let jid = Jid::parse(text.trim()).map_err(|_| StanzaError::jid_malformed())?;
        check_own(ctx, &jid.to_bare())?;
        let sessions = ctx.services().sessions.of(jid.bare_str());
        let is_meant = |s: &Arc<Session>| !jid.is_full() || s.jid().as_str() == jid.as_str();
        ended.extend(sessions.into_iter().filter(is_meant));
    }
    let count = ended.len();
    for session in ended {
        log(ctx, "ended a session of", session.account().jid());
        ctx.effect(Effect::Close(session, "policy-violation"));
    }
    Ok(Outcome::Note(format!("Sessions ended: {count}.")))
}

fn change_user_password_form() -> Form {
    form("Changing a User Password", "Fill out this form to change a user's password.")
        .required(FieldType::JidSingle, "accountjid", "The Jabber ID for this account")
        .required(FieldType::TextPrivate, "password", "The password for this account")
}

/// §4.7.
async fn change_user_password(ctx: Ctx, payload: Element) -> Result<Outcome, StanzaError> {
    let form = submission(&payload)?;
    let account = form.account("accountjid")?;
    check_own(&ctx, &account)?;
    let password = password(&form, "password")?;
    let changed = administration(&ctx)?.set_password(account.clone(), password).await;
    changed.map_err(|error| account_error(&error))?;
    log(&ctx, "changed the password of", &account);
    Ok(Outcome::Done)
}

/// §4.15: users with a session, however many they have.
async fn count_online(ctx: Ctx) -> Result<Outcome, StanzaError> {
    leave_worker().await;
    let domain = ctx.target().domain();
    let mut count = 0u64;
    ctx.services().sessions.visit(|account, _| {
        count += u64::from(account.domain() == domain);
        ControlFlow::Continue(())
    });
    let form = Form::new(FormType::Result, ns::ADMIN);
    Ok(Outcome::Form(form.values("onlineusersnum", &[count.to_string()])))
}

fn list_online_form() -> Form {
    form("Requesting List of Online Users", "Fill out this form to request the online users.")
        .options(
            "max_items",
            "Maximum number of items to show",
            &[("25", "25"), ("50", "50"), ("100", "100"), ("200", "200")],
        )
}

/// §4.20, in the order of their JIDs; some of them where there are more than are to be shown.
async fn list_online(ctx: Ctx, payload: Element) -> Result<Outcome, StanzaError> {
    let limit = match submission(&payload)?.value("max_items").as_deref() {
        None | Some("none") => LIST_MAX,
        Some(text) => text.parse().map_err(|_| StanzaError::not_acceptable())?,
    };
    leave_worker().await;
    let domain = ctx.target().domain();
    let mut found = Vec::new();
    ctx.services().sessions.visit(|account, _| {
        if found.len() >= limit.min(LIST_MAX) {
            return ControlFlow::Break(());
        }
        if account.domain() == domain {
            found.push(account.clone());
        }
        ControlFlow::Continue(())
    });
    found.sort_unstable();
    let form = Form::new(FormType::Result, ns::ADMIN);
    Ok(Outcome::Form(form.values("onlineuserjids", &found)))
}

fn announce_form() -> Form {
    form(
        "Making an Announcement",
        "Fill out this form to make an announcement to all online users.",
    )
    .required(FieldType::TextMulti, "announcement", "Announcement")
}

/// §4.23.
fn announce(ctx: Ctx, payload: Element) -> Pending<Result<Outcome, StanzaError>> {
    Box::pin(async move {
        let text = announcement(&payload)?.ok_or_else(StanzaError::not_acceptable)?;
        tell_everybody(&ctx, &text);
        Ok(Outcome::Done)
    })
}

fn announcement(payload: &Element) -> Result<Option<String>, StanzaError> {
    let text = submission(payload)?.values("announcement").join("\n");
    match text.len() {
        0 => Ok(None),
        1..=ANNOUNCEMENT_BYTES_MAX => Ok(Some(text)),
        _ => Err(StanzaError::not_acceptable().text("the announcement is too long")),
    }
}

/// To each available resource of the domain, by a job of its own: there may be a million. Past the
/// phases and the effects, which are for what one stanza causes.
fn tell_everybody(ctx: &Ctx, text: &str) {
    let host = ctx.target().clone();
    let body = Element::new(ns::CLIENT, "body").with_text(text);
    let builder = Builder::message().from(host.clone()).with_type("headline");
    let message = builder.payload(&body).build();
    let services = Arc::clone(ctx.services());
    ctx.services().spawn.spawn(Box::pin(async move {
        let Some(outbox) = services.outbox.get() else { return };
        let mut refused = 0u64;
        for session in available_sessions(&services.sessions, host.domain()) {
            let copy: Stanza = message.addressed_to(session.jid().clone().into());
            let delivery = Delivery::untracked(copy);
            refused += u64::from(outbox.deliver(session.address(), delivery).is_err());
        }
        if refused > 0 {
            tracing::warn!(refused, "an announcement did not fit into every session's queue");
        }
    }));
}

fn available_sessions(sessions: &jackdaw_session::Sessions, domain: &str) -> Vec<Arc<Session>> {
    let mut found = Vec::new();
    sessions.visit(|account, sessions| {
        if account.domain() == domain {
            found.extend(sessions.iter().filter(|session| session.is_available()).cloned());
        }
        ControlFlow::Continue(())
    });
    found
}

fn shut_down_form() -> Form {
    form("Shutting Down the Service", "Fill out this form to shut down the service.")
        .options(
            "delay",
            "Time delay before shutting down",
            &[
                ("30 seconds", "30"),
                ("60 seconds", "60"),
                ("2 minutes", "120"),
                ("5 minutes", "300"),
            ],
        )
        .field(FieldType::TextMulti, "announcement", "Announcement")
}

/// §4.31. The whole server, with all its domains.
fn shut_down(ctx: Ctx, payload: Element) -> Pending<Result<Outcome, StanzaError>> {
    Box::pin(std::future::ready(begin_shutdown(&ctx, &payload)))
}

fn begin_shutdown(ctx: &Ctx, payload: &Element) -> Result<Outcome, StanzaError> {
    let delay = submission(payload)?.value("delay").unwrap_or_else(|| "0".to_owned());
    let delay: u64 = delay.parse().map_err(|_| StanzaError::not_acceptable())?;
    if delay > DELAY_SECS_MAX {
        return Err(StanzaError::not_acceptable().text("the delay is too long"));
    }
    let administration = administration(ctx)?;
    if let Some(text) = announcement(payload)? {
        tell_everybody(ctx, &text);
    }
    tracing::warn!(by = %ctx.session()?.account().jid(), delay, "shutting down");
    administration.shut_down(Duration::from_secs(delay));
    Ok(Outcome::Done)
}

/// Who did what to whom is worth a line.
fn log(ctx: &Ctx, what: &'static str, account: &BareJid) {
    if let Ok(session) = ctx.session() {
        tracing::info!(by = %session.account().jid(), %account, "{what}");
    }
}

#[cfg(test)]
#[path = "service_administration_test.rs"]
mod tests;
