//! RFC 6121 §8.5, cell by cell: what becomes of a stanza by its kind, its type, its address and
//! what the recipient's account is like.

mod support;

use std::sync::Arc;

use jackdaw_session::Session;
use support::World;

/// Rows: stanza and address. `bare`: to the bare JID. `match`: to `juliet@example.net/balcony`.
/// `other`: to a resource that never was. Columns: see [`juliet`].
///
/// `kept`: in the spool. `refused`: exactly one `service-unavailable` to the sender. `-`: silence.
/// `account`: handed to presence and subscriptions. Else the resources that got it.
const RULES: &str = "
                             | nobody  | away    | connected | negative | one     | many
# §8.5.2: to the bare JID. §8.5.2.1.1: to every resource of a non-negative priority.
message chat         bare    | refused | kept    | kept      | kept     | balcony | balcony+chamber
message normal       bare    | refused | kept    | kept      | kept     | balcony | balcony+chamber
message              bare    | refused | kept    | kept      | kept     | balcony | balcony+chamber
message unheard-of   bare    | refused | kept    | kept      | kept     | balcony | balcony+chamber
message headline     bare    | refused | -       | -         | -        | balcony | balcony+chamber
message groupchat    bare    | refused | refused | refused   | refused  | refused | refused
message error        bare    | -       | -       | -         | -        | -       | -
# §8.5.2.1.2: to every available resource.
presence             bare    | -       | -       | -         | balcony  | balcony | balcony+chamber+garden
presence unavailable bare    | -       | -       | -         | balcony  | balcony | balcony+chamber+garden
presence error       bare    | -       | -       | -         | balcony  | balcony | balcony+chamber+garden
presence subscribe   bare    | -       | -       | account   | account  | account | account
presence subscribed  bare    | -       | -       | account   | account  | account | account
presence unsubscribe bare    | -       | -       | account   | account  | account | account
presence unsubscribed bare   | -       | -       | account   | account  | account | account
presence probe       bare    | -       | -       | account   | account  | account | account
# §8.5.2.1.3: the server answers for the account.
iq get               bare    | refused | refused | refused   | refused  | refused | refused
iq set               bare    | refused | refused | refused   | refused  | refused | refused
iq result            bare    | -       | -       | -         | -        | -       | -
iq error             bare    | -       | -       | -         | -        | -       | -
# §8.5.3.1: to a resource that is connected, whatever it is and whatever its priority.
message chat         match   | refused | kept    | balcony   | balcony  | balcony | balcony
message normal       match   | refused | kept    | balcony   | balcony  | balcony | balcony
message headline     match   | refused | -       | balcony   | balcony  | balcony | balcony
message groupchat    match   | refused | refused | balcony   | balcony  | balcony | balcony
message error        match   | -       | -       | balcony   | balcony  | balcony | balcony
presence             match   | -       | -       | balcony   | balcony  | balcony | balcony
presence unavailable match   | -       | -       | balcony   | balcony  | balcony | balcony
presence error       match   | -       | -       | balcony   | balcony  | balcony | balcony
presence subscribe   match   | -       | -       | account   | account  | account | account
presence probe       match   | -       | -       | account   | account  | account | account
iq get               match   | refused | refused | balcony   | balcony  | balcony | balcony
iq set               match   | refused | refused | balcony   | balcony  | balcony | balcony
iq result            match   | -       | -       | balcony   | balcony  | balcony | balcony
iq error             match   | -       | -       | balcony   | balcony  | balcony | balcony
# §8.5.3.2: to a resource that is not connected. Chat as to the bare JID (§8.5.3.2.1).
message chat         other   | refused | kept    | kept      | kept     | balcony | balcony+chamber
message normal       other   | refused | kept    | kept      | kept     | balcony | balcony+chamber
message headline     other   | refused | -       | -         | -        | -       | -
message groupchat    other   | refused | refused | refused   | refused  | refused | refused
message error        other   | -       | -       | -         | -        | -       | -
presence             other   | -       | -       | -         | -        | -       | -
presence unavailable other   | -       | -       | -         | -        | -       | -
presence error       other   | -       | -       | -         | -        | -       | -
presence probe       other   | -       | -       | account   | account  | account | account
iq get               other   | refused | refused | refused   | refused  | refused | refused
iq set               other   | refused | refused | refused   | refused  | refused | refused
iq result            other   | -       | -       | -         | -        | -       | -
iq error             other   | -       | -       | -         | -        | -       | -
";

/// Makes Juliet's account what the column says, and gives her sessions.
fn juliet(world: &World, column: &str) -> Vec<(&'static str, Arc<Session>)> {
    let full = |resource: &str| format!("juliet@example.net/{resource}");
    let online = |resource, priority| (resource, world.online(&full(resource), priority));
    match column {
        "nobody" | "away" => Vec::new(),
        "connected" => vec![("balcony", world.connect(&full("balcony")))],
        "negative" => vec![online("balcony", -1)],
        "one" => vec![online("balcony", 0)],
        "many" => vec![online("balcony", 0), online("chamber", 5), online("garden", -1)],
        other => unreachable!("no such column: {other}"),
    }
}

fn stanza(kind: &str, r#type: &str, to: &str) -> String {
    let r#type = if r#type.is_empty() { String::new() } else { format!(" type='{}'", r#type) };
    let payload = match kind {
        "message" => "<body>o</body>",
        "iq" => "<query xmlns='urn:example:unknown'/>",
        _ => "",
    };
    format!("<{kind} id='1' to='{to}'{type}>{payload}</{kind}>")
}

fn outcome(kind: &str, r#type: &str, address: &str, column: &str) -> String {
    let world = World::new();
    let romeo = world.connect("romeo@example.net/orchard");
    let sessions = juliet(&world, column);
    for (_, session) in &sessions {
        world.take(session);
    }
    let account = if column == "nobody" { "rosaline@example.net" } else { "juliet@example.net" };
    let to = match address {
        "bare" => account.to_owned(),
        "match" => format!("{account}/balcony"),
        "other" => format!("{account}/tomb"),
        other => unreachable!("no such address: {other}"),
    };
    world.send(&romeo, &stanza(kind, r#type, &to));
    world.run();
    world.assert_settled();
    let mut outcomes = Vec::new();
    let mut got = Vec::new();
    for (resource, session) in &sessions {
        match world.take(session).as_slice() {
            [] => {}
            [one] if one.stanza.id().as_deref() == Some("presence") => outcomes.push("account"),
            [one] => {
                assert_eq!(one.stanza.to().map(|to| to.as_str().to_owned()), Some(to.clone()));
                got.push(*resource);
            }
            more => unreachable!("{resource} got it {} times", more.len()),
        }
    }
    outcomes.dedup();
    let got = got.join("+");
    if !got.is_empty() {
        outcomes.push(&got);
    }
    if !world.spool(account).is_empty() {
        outcomes.push("kept");
    }
    let errors = world.xml(&romeo);
    match errors.as_slice() {
        [] => {}
        [error] => {
            let head =
                format!("<{kind} from='{to}' to='romeo@example.net/orchard' type='error' id='1'>");
            assert!(error.starts_with(&head), "{error}");
            assert!(error.contains("service-unavailable"), "{error}");
            outcomes.push("refused");
        }
        more => unreachable!("several answers: {more:?}"),
    }
    if outcomes.is_empty() { "-".to_owned() } else { outcomes.join(" and ") }
}

#[test]
fn every_cell_of_the_delivery_rules_holds() {
    let mut lines = RULES.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let head = lines.next().expect("a head");
    let columns: Vec<_> = head.split('|').skip(1).map(str::trim).collect();
    let mut wrong = Vec::new();
    let mut cells = 0;
    for line in lines {
        let mut fields = line.split('|').map(str::trim);
        let words: Vec<_> = fields.next().expect("a stanza").split_whitespace().collect();
        let (kind, r#type, address) = match words.as_slice() {
            [kind, address] => (*kind, "", *address),
            [kind, r#type, address] => (*kind, *r#type, *address),
            other => unreachable!("{other:?}"),
        };
        for (column, expected) in columns.iter().zip(fields) {
            cells += 1;
            let found = outcome(kind, r#type, address, column);
            if found != expected {
                wrong.push(format!("{kind} {type} {address}, {column}: {found}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(cells, 46 * columns.len(), "a row is missing");
}

#[test]
fn a_roster_push_by_anybody_but_the_server_is_refused() {
    let world = World::new();
    let romeo = world.connect("romeo@example.net/orchard");
    let juliet = world.online("juliet@example.net/balcony", 0);
    world.take(&juliet);
    for prefix in ["", "r:"] {
        let name = if prefix.is_empty() { "xmlns" } else { "xmlns:r" };
        let query = format!("<{prefix}query {name}='jabber:iq:roster'/>");
        let to = "juliet@example.net/balcony";
        world.send(&romeo, &format!("<iq type='set' id='1' to='{to}'>{query}</iq>"));
        world.run();
        let answers = world.xml(&romeo).concat();
        assert!(answers.contains("service-unavailable"), "{answers}");
        assert!(world.take(&juliet).is_empty());
    }
}
