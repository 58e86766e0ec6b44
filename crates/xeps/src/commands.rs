//! XEP-0050: Ad-Hoc Commands. Forms that make a server do something.
//!
//! Owns the protocol and the sessions of commands under way; what the commands do is in the file
//! that names them. Ours have at most one form, so a session has one stage. Commands are for
//! administrators of this server.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use jackdaw_ext::{At, Ctx, Deps, DiscoQuery, Iq, Pending, Registry, Reply, Status, Xep};
use jackdaw_jid::{BareJid, JidRef};
use jackdaw_session::Session;
use jackdaw_stanza::{StanzaError, ns};
use jackdaw_xml::Element;

use crate::forms::Form;
use crate::service_administration;

/// What this extension says of itself.
pub const INFO: Xep = Xep {
    number: 50,
    name: "Ad-Hoc Commands",
    version: "1.3.0",
    status: Status::Complete,
    features: &[ns::COMMANDS],
};

/// What an operator may set.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Accounts of this server that administer it.
    pub admins: Vec<BareJid>,
}

impl Config {
    fn is_admin(&self, jid: JidRef<'_>) -> bool {
        self.admins.iter().any(|admin| admin.as_str() == jid.bare_str())
    }
}

/// Commands that one session may have under way; at the bound the oldest is forgotten.
const OPEN_MAX: usize = 8;

/// How long a form may be looked at.
const OPEN_SECS_MAX: u64 = 15 * 60;

/// One command.
pub struct Command {
    /// Its node (XEP-0030).
    pub node: &'static str,
    /// What it is called.
    pub name: &'static str,
    /// The form to fill in; none for a command that only tells something.
    pub form: Option<fn() -> Form>,
    /// Does it. `payload` is the `<command/>`, with the form where there is one. The caller may
    /// do what an administrator may; whether the accounts it names exist is not checked yet.
    pub run: fn(Ctx, Element) -> Pending<Result<Outcome, StanzaError>>,
}

/// What a command tells when it is done.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Nothing but that it is done.
    Done,
    /// A form with what was asked for.
    Form(Form),
    /// A sentence.
    Note(String),
}

/// Every command there is.
fn all() -> impl Iterator<Item = &'static Command> {
    service_administration::COMMANDS.iter()
}

/// Session slot: commands whose form is out (§3.3). They end with the session.
#[derive(Clone, Debug, Default)]
struct Open(Vec<OpenCommand>);

#[derive(Clone, Debug)]
struct OpenCommand {
    id: String,
    node: &'static str,
    since_secs: u64,
}

/// Registers the handlers.
pub fn register(on: &mut Registry, deps: &Deps) {
    let config = deps.config::<Config>();
    on.feature(At::Host, ns::COMMANDS);
    on.feature(At::Host, ns::DATA_FORMS);
    let asked = Arc::clone(&config);
    on.disco_nodes(At::Host, move |ctx, iq, what, node| {
        let is_admin = iq.stanza().from().is_some_and(|from| asked.is_admin(from));
        let answer = discover(&ctx, is_admin, what, node);
        Box::pin(std::future::ready(answer)) as Pending<_>
    });
    on.iq_set(At::Host, ns::COMMANDS, "command", move |ctx, iq| {
        handle(Arc::clone(&config), ctx, iq)
    });
}

/// §2.2. Who may not use commands sees an empty list, and nothing of a single one.
fn discover(
    ctx: &Ctx,
    is_admin: bool,
    what: DiscoQuery,
    node: &str,
) -> Result<Option<Element>, StanzaError> {
    let command = all().find(|command| command.node == node);
    match (what, command) {
        (DiscoQuery::Items, None) if node == ns::COMMANDS => {
            let host = ctx.target().as_str();
            let item = |command: &Command| {
                Element::new(ns::DISCO_ITEMS, "item")
                    .with_attr("jid", host)
                    .with_attr("node", command.node)
                    .with_attr("name", command.name)
            };
            let shown = all().filter(|_| is_admin).map(item);
            Ok(Some(query(ns::DISCO_ITEMS, node).with_children(shown)))
        }
        (DiscoQuery::Info, None) if node == ns::COMMANDS => {
            Ok(Some(info(node, "command-list", "Commands")))
        }
        (_, None) => Ok(None),
        (_, Some(_)) if !is_admin => Err(StanzaError::forbidden()),
        (DiscoQuery::Info, Some(command)) => Ok(Some(info(node, "command-node", command.name))),
        (DiscoQuery::Items, Some(_)) => Ok(Some(query(ns::DISCO_ITEMS, node))),
    }
}

fn query(ns: &str, node: &str) -> Element {
    Element::new(ns, "query").with_attr("node", node)
}

fn info(node: &str, kind: &str, name: &str) -> Element {
    let identity = Element::new(ns::DISCO_INFO, "identity")
        .with_attr("category", "automation")
        .with_attr("type", kind)
        .with_attr("name", name);
    let feature = |var| Element::new(ns::DISCO_INFO, "feature").with_attr("var", var);
    query(ns::DISCO_INFO, node)
        .with_child(identity)
        .with_child(feature(ns::COMMANDS))
        .with_child(feature(ns::DATA_FORMS))
}

/// What a client wants of a command (§4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Cancel,
    Complete,
    Execute,
    /// `next` or `prev`: there is no such stage.
    Move,
}

impl Action {
    fn parse(text: &str) -> Option<Action> {
        Some(match text {
            "cancel" => Action::Cancel,
            "complete" => Action::Complete,
            "execute" => Action::Execute,
            "next" | "prev" => Action::Move,
            _ => return None,
        })
    }
}

async fn handle(config: Arc<Config>, ctx: Ctx, iq: Iq) -> Result<Reply, StanzaError> {
    let session = Arc::clone(ctx.session()?);
    let payload = iq.element()?;
    let node = payload.attr("node").ok_or_else(StanzaError::bad_request)?;
    let command = all().find(|command| command.node == node);
    let command = command.ok_or_else(StanzaError::item_not_found)?;
    if !config.is_admin(session.jid().as_jid_ref()) {
        return Err(StanzaError::forbidden());
    }
    let action = Action::parse(payload.attr("action").unwrap_or("execute"))
        .ok_or_else(|| refuse(StanzaError::bad_request(), "malformed-action"))?;
    let now_secs = ctx.services().clock.now().secs();
    let id = payload.attr("sessionid").filter(|id| !id.is_empty()).map(str::to_owned);
    let Some(id) = id else { return begin(command, action, ctx, &session, payload).await };
    check_open(&session, &id, command.node, now_secs)?;
    match action {
        Action::Move => Err(refuse(StanzaError::bad_request(), "bad-action")),
        Action::Cancel => {
            close(&session, &id);
            Ok(Reply::new(reply(command, &id, "canceled")))
        }
        Action::Complete | Action::Execute => {
            // A form that was not accepted can be sent again: the command stays open.
            let outcome = (command.run)(ctx, payload).await?;
            close(&session, &id);
            Ok(completed(command, &id, outcome))
        }
    }
}

/// The first stage: shows the form, or runs at once (§2.4.1).
async fn begin(
    command: &'static Command,
    action: Action,
    ctx: Ctx,
    session: &Session,
    payload: Element,
) -> Result<Reply, StanzaError> {
    match action {
        Action::Execute => {}
        Action::Cancel | Action::Complete | Action::Move => {
            return Err(refuse(StanzaError::bad_request(), "bad-action"));
        }
    }
    let id = ctx.services().random_id();
    let Some(form) = command.form else {
        let outcome = (command.run)(ctx, payload).await?;
        return Ok(completed(command, &id, outcome));
    };
    let since_secs = ctx.services().clock.now().secs();
    open(session, OpenCommand { id: id.clone(), node: command.node, since_secs });
    let actions = Element::new(ns::COMMANDS, "actions")
        .with_attr("execute", "complete")
        .with_child(Element::new(ns::COMMANDS, "complete"));
    let shown = reply(command, &id, "executing").with_child(actions);
    Ok(Reply::new(shown.with_child(form().element())))
}

fn reply(command: &Command, id: &str, status: &str) -> Element {
    Element::new(ns::COMMANDS, "command")
        .with_attr("node", command.node)
        .with_attr("sessionid", id)
        .with_attr("status", status)
}

fn completed(command: &Command, id: &str, outcome: Outcome) -> Reply {
    let done = reply(command, id, "completed");
    Reply::new(match outcome {
        Outcome::Done => done,
        Outcome::Form(form) => done.with_child(form.element()),
        Outcome::Note(text) => {
            let note = Element::new(ns::COMMANDS, "note").with_attr("type", "info");
            done.with_child(note.with_text(text))
        }
    })
}

/// An error with one of the conditions of §4.4.
fn refuse(error: StanzaError, condition: &str) -> StanzaError {
    error.application(Element::new(ns::COMMANDS, condition))
}

fn open(session: &Session, command: OpenCommand) {
    session.update_slot(|Open(all)| {
        if all.len() >= OPEN_MAX {
            all.remove(0);
        }
        all.push(command);
    });
}

fn close(session: &Session, id: &str) {
    session.update_slot(|Open(all)| all.retain(|command| command.id != id));
}

fn check_open(session: &Session, id: &str, node: &str, now_secs: u64) -> Result<(), StanzaError> {
    let all = session.slot::<Open>().unwrap_or_default();
    let found = all.0.iter().find(|command| command.id == id && command.node == node);
    let Some(command) = found else {
        return Err(refuse(StanzaError::bad_request(), "bad-sessionid"));
    };
    if now_secs.saturating_sub(command.since_secs) > OPEN_SECS_MAX {
        close(session, id);
        return Err(refuse(StanzaError::not_allowed(), "session-expired"));
    }
    Ok(())
}

/// Lets the worker go on before something that takes long: a future that is not ready at once is
/// moved to the runtime.
pub(crate) async fn leave_worker() {
    let mut is_first = true;
    poll_fn(|context| {
        if std::mem::take(&mut is_first) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_harness::Harness;

    const ADD: &str = "http://jabber.org/protocol/admin#add-user";

    fn harness() -> (Harness, Arc<Session>) {
        let admins = vec![BareJid::parse("bard@capulet.lit").expect("a JID")];
        let harness = Harness::with(|deps| deps.configs.set(Config { admins }));
        let bard = harness.connect("bard@capulet.lit/globe");
        (harness, bard)
    }

    fn command(attributes: &str) -> String {
        format!("<command xmlns='http://jabber.org/protocol/commands' {attributes}/>")
    }

    fn begin(harness: &Harness, bard: &Arc<Session>) -> String {
        let form = harness.set(bard, "capulet.lit", &command(&format!("node='{ADD}'")));
        let id = form.split("sessionid='").nth(1).and_then(|rest| rest.split('\'').next());
        id.expect("a session").to_owned()
    }

    #[test]
    fn a_form_is_shown_and_can_be_cancelled() {
        let (harness, bard) = harness();
        let node = format!("node='{ADD}'");
        let form = harness.set(&bard, "capulet.lit", &command(&node));
        assert!(form.contains("status='executing'"), "{form}");
        assert!(form.contains("<actions execute='complete'><complete/></actions>"), "{form}");
        assert!(form.contains("var='accountjid'"), "{form}");
        let id = begin(&harness, &bard);
        let cancel = command(&format!("{node} sessionid='{id}' action='cancel'"));
        let cancelled = harness.set(&bard, "capulet.lit", &cancel);
        assert!(cancelled.contains("status='canceled'"), "{cancelled}");
        assert_eq!(harness.set(&bard, "capulet.lit", &cancel), "bad-request", "it is over");
    }

    #[test]
    fn only_administrators_use_and_see_commands() {
        let (harness, bard) = harness();
        let romeo = harness.connect("romeo@capulet.lit/orchard");
        let run = command(&format!("node='{ADD}'"));
        assert_eq!(harness.set(&romeo, "capulet.lit", &run), "forbidden");
        let items = "<query xmlns='http://jabber.org/protocol/disco#items' \
            node='http://jabber.org/protocol/commands'/>";
        assert!(harness.get(&bard, "capulet.lit", items).contains("name='Add User'"));
        assert_eq!(harness.get(&romeo, "capulet.lit", items), items);
        let info = format!("<query xmlns='http://jabber.org/protocol/disco#info' node='{ADD}'/>");
        let node = "<identity category='automation' type='command-node' name='Add User'/>";
        assert!(harness.get(&bard, "capulet.lit", &info).contains(node));
        assert_eq!(harness.get(&romeo, "capulet.lit", &info), "forbidden");
    }

    #[test]
    fn a_session_belongs_to_its_requester_and_command() {
        let (harness, bard) = harness();
        let id = begin(&harness, &bard);
        let other = harness.connect("bard@capulet.lit/swan");
        let run = command(&format!("node='{ADD}' sessionid='{id}'"));
        assert_eq!(harness.set(&other, "capulet.lit", &run), "bad-request");
        let node = "http://jabber.org/protocol/admin#delete-user";
        let run = command(&format!("node='{node}' sessionid='{id}'"));
        assert_eq!(harness.set(&bard, "capulet.lit", &run), "bad-request");
    }

    #[test]
    fn a_form_expires_and_the_oldest_of_many_is_forgotten() {
        let (harness, bard) = harness();
        let id = begin(&harness, &bard);
        let cancel = |id: &str| {
            let cancel = command(&format!("node='{ADD}' sessionid='{id}' action='cancel'"));
            harness.set(&bard, "capulet.lit", &cancel)
        };
        harness.set_time((OPEN_SECS_MAX + 1) * 1000);
        assert_eq!(cancel(&id), "not-allowed");
        let ids: Vec<String> = (0..=OPEN_MAX).map(|_| begin(&harness, &bard)).collect();
        let answers: Vec<bool> = ids.iter().map(|id| cancel(id) == "bad-request").collect();
        assert_eq!(answers.iter().filter(|is_forgotten| **is_forgotten).count(), 1);
        assert!(answers[0]);
    }

    #[test]
    fn unknown_commands_and_actions_are_refused() {
        let (harness, bard) = harness();
        let set = |attributes: &str| harness.set(&bard, "capulet.lit", &command(attributes));
        assert_eq!(set("node='x'"), "item-not-found");
        assert_eq!(set(""), "bad-request");
        assert_eq!(set(&format!("node='{ADD}' action='dance'")), "bad-request");
        assert_eq!(set(&format!("node='{ADD}' action='complete'")), "bad-request");
        let id = begin(&harness, &bard);
        assert_eq!(set(&format!("node='{ADD}' sessionid='{id}' action='prev'")), "bad-request");
    }
}
