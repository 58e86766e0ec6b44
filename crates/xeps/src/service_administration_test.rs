use std::sync::Arc;

use jackdaw_jid::BareJid;
use jackdaw_session::Session;

use crate::commands::Config;
use crate::test_harness::{HOST, Harness};

struct Globe {
    harness: Harness,
    bard: Arc<Session>,
}

fn globe() -> Globe {
    let admins = vec![BareJid::parse("bard@capulet.lit").expect("a JID")];
    let harness = Harness::with(|deps| deps.configs.set(Config { admins }));
    let bard = harness.online("bard@capulet.lit/globe");
    Globe { harness, bard }
}

impl Globe {
    /// Runs a command: asks for its form, fills it in, gives the answer.
    fn run(&self, name: &str, fields: &[(&str, &str)]) -> String {
        let node = format!("http://jabber.org/protocol/admin#{name}");
        let open = "<command xmlns='http://jabber.org/protocol/commands'";
        let shown = self.harness.set(&self.bard, HOST, &format!("{open} node='{node}'/>"));
        let id = shown.split("sessionid='").nth(1).and_then(|rest| rest.split('\'').next());
        let id = id.expect("a session");
        let mut form = String::new();
        for (name, value) in fields {
            form.push_str(&format!("<field var='{name}'>"));
            for line in value.split(' ') {
                form.push_str(&format!("<value>{line}</value>"));
            }
            form.push_str("</field>");
        }
        let filled = format!(
            "{open} node='{node}' sessionid='{id}'>\
             <x xmlns='jabber:x:data' type='submit'>{form}</x></command>"
        );
        self.harness.set(&self.bard, HOST, &filled)
    }

    #[track_caller]
    fn completes(&self, name: &str, fields: &[(&str, &str)]) -> String {
        let answer = self.run(name, fields);
        assert!(answer.contains("status='completed'"), "{answer}");
        answer
    }
}

#[test]
fn a_user_is_added_once_and_only_to_this_domain() {
    let globe = globe();
    let user =
        |jid, again| [("accountjid", jid), ("password", "R0m30"), ("password-verify", again)];
    globe.completes("add-user", &user("juliet@capulet.lit", "R0m30"));
    assert_eq!(globe.harness.administered(), ["add juliet@capulet.lit"]);
    assert!(globe.harness.last_password_is("R0m30"));
    assert_eq!(globe.run("add-user", &user("juliet@capulet.lit", "R0m30")), "conflict");
    assert_eq!(globe.run("add-user", &user("nurse@capulet.lit", "Romeo")), "not-acceptable");
    assert_eq!(globe.run("add-user", &user("romeo@verona.lit", "R0m30")), "not-acceptable");
    assert_eq!(globe.run("add-user", &user("capulet.lit", "R0m30")), "not-acceptable");
    assert_eq!(globe.run("add-user", &user("@", "R0m30")), "jid-malformed");
    assert_eq!(globe.run("add-user", &[("accountjid", "x@capulet.lit")]), "not-acceptable");
}

#[test]
fn users_are_deleted_all_or_none_and_never_oneself() {
    let globe = globe();
    globe.harness.add_account("juliet@capulet.lit");
    globe.harness.add_account("romeo@capulet.lit");
    let delete = |jids| globe.run("delete-user", &[("accountjids", jids)]);
    assert_eq!(delete("juliet@capulet.lit nobody@capulet.lit"), "item-not-found");
    assert_eq!(delete("juliet@capulet.lit bard@capulet.lit"), "not-allowed");
    assert_eq!(delete("juliet@verona.lit"), "not-acceptable");
    assert!(globe.harness.administered().is_empty());
    let both = "juliet@capulet.lit/balcony romeo@capulet.lit";
    globe.completes("delete-user", &[("accountjids", both)]);
    assert_eq!(
        globe.harness.administered(),
        ["delete juliet@capulet.lit", "delete romeo@capulet.lit"]
    );
}

#[test]
fn a_password_is_changed_for_an_account_that_exists() {
    let globe = globe();
    globe.harness.add_account("juliet@capulet.lit");
    let change = |jid| globe.run("change-user-password", &[("accountjid", jid), ("password", "x")]);
    assert!(change("juliet@capulet.lit").contains("status='completed'"));
    assert!(globe.harness.last_password_is("x"));
    assert_eq!(change("nobody@capulet.lit"), "item-not-found");
}

#[test]
fn one_session_or_all_of_a_user_are_ended() {
    let globe = globe();
    for jid in ["juliet@capulet.lit/balcony", "juliet@capulet.lit/chamber"] {
        globe.harness.connect(jid);
    }
    let end = |jid| globe.completes("end-user-session", &[("accountjids", jid)]);
    end("juliet@capulet.lit/balcony");
    assert_eq!(globe.harness.closed(), ["juliet@capulet.lit/balcony policy-violation"]);
    let answer = end("juliet@capulet.lit");
    assert!(answer.contains("Sessions ended: 2."), "{answer}");
    assert_eq!(globe.harness.closed().len(), 2);
}

#[test]
fn online_users_are_counted_and_listed_once_each() {
    let globe = globe();
    for jid in ["juliet@capulet.lit/a", "juliet@capulet.lit/b", "romeo@capulet.lit/c"] {
        globe.harness.connect(jid);
    }
    let node = "http://jabber.org/protocol/admin#get-online-users-num";
    let count = format!("<command xmlns='http://jabber.org/protocol/commands' node='{node}'/>");
    let count = globe.harness.set(&globe.bard, HOST, &count);
    assert!(count.contains("<field var='onlineusersnum'><value>3</value></field>"), "{count}");
    let list = globe.completes("get-online-users-list", &[("max_items", "25")]);
    let expected = "<field var='onlineuserjids'><value>bard@capulet.lit</value>\
        <value>juliet@capulet.lit</value><value>romeo@capulet.lit</value></field>";
    assert!(list.contains(expected), "{list}");
    let list = globe.completes("get-online-users-list", &[("max_items", "2")]);
    assert_eq!(list.matches("@capulet.lit").count(), 2, "{list}");
    assert_eq!(globe.run("get-online-users-list", &[("max_items", "-1")]), "not-acceptable");
}

#[test]
fn an_announcement_reaches_available_resources() {
    let globe = globe();
    globe.harness.connect("juliet@capulet.lit/silent");
    globe.completes("announce", &[("announcement", "Attention! Maintenance.")]);
    assert_eq!(
        globe.harness.posted(),
        ["<message from='capulet.lit' to='bard@capulet.lit/globe' type='headline'>\
          <body>Attention!\nMaintenance.</body></message>"]
    );
    assert_eq!(globe.run("announce", &[]), "not-acceptable");
    let long = "x".repeat(super::ANNOUNCEMENT_BYTES_MAX + 1);
    assert_eq!(globe.run("announce", &[("announcement", &long)]), "not-acceptable");
}

#[test]
fn a_shutdown_is_announced_and_begun_after_its_delay() {
    let globe = globe();
    assert_eq!(globe.run("shutdown", &[("delay", "soon")]), "not-acceptable");
    assert_eq!(globe.run("shutdown", &[("delay", "999999")]), "not-acceptable");
    assert!(globe.harness.administered().is_empty());
    globe.completes("shutdown", &[("delay", "120"), ("announcement", "Down in two minutes.")]);
    assert_eq!(globe.harness.administered(), ["shut down in 120 s"]);
    assert_eq!(globe.harness.posted().len(), 1);
}

#[test]
fn a_form_that_was_refused_can_be_corrected() {
    let globe = globe();
    let node = "http://jabber.org/protocol/admin#shutdown";
    let command = |attributes: &str, content: &str| {
        let open = "<command xmlns='http://jabber.org/protocol/commands'";
        globe.harness.set(
            &globe.bard,
            HOST,
            &format!("{open} node='{node}' {attributes}>{content}</command>"),
        )
    };
    let shown = command("", "");
    let id = shown.split("sessionid='").nth(1).and_then(|rest| rest.split('\'').next());
    let session = format!("sessionid='{}'", id.expect("a session"));
    assert_eq!(command(&session, ""), "bad-request", "no form");
    let form = "<x xmlns='jabber:x:data' type='submit'/>";
    assert!(command(&session, form).contains("status='completed'"));
    assert_eq!(command(&session, form), "bad-request", "it is over");
}
