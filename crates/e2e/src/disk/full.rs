//! T06: the disk is full, and then it is not.

use jackdaw_xml::Element;

use super::hostile::HostileDisk;
use super::stage::{Play, check_ledger, collect, condition, message, settle};
use crate::actor::Actor;
use crate::connection::Arrival;
use crate::error::{Error, Result};
use crate::server::Launch;

/// Room for the log, for tables, and for the reserve that the store leaves free.
const CAPACITY: u64 = 192 << 20;

/// Messages before, during and after the want of room.
const MESSAGES: usize = 20;

const ROSTER: &str = "jabber:iq:roster";

/// See [`super::TESTS`].
pub fn run(launch: &Launch) -> Result<()> {
    let disk = HostileDisk::new(CAPACITY);
    let mut play = Play::begin(launch, disk.clone())?;
    let mut romeo = play.enter_available("romeo")?;
    let mut mercutio = play.enter_available("mercutio")?;
    let before = send_many(&mut romeo, "benvolio", "before")?;
    refused_all_or_none(&mut romeo, 0)?;

    disk.set_capacity(disk.used() + 4096);
    play.wait_for_readiness(503, "the disk is full")?;
    if play.metric("xmpp_store_impaired{reason=\"full\"}")? != 1.0 {
        return Err(Error::unexpected("the metric does not say that the disk is full"));
    }
    send_many(&mut romeo, "juliet", "refused")?;
    refused_all_or_none(&mut romeo, MESSAGES)?;
    sessions_go_on(&mut romeo, &mut mercutio)?;
    rosters_are_read_and_not_changed(&mut romeo)?;
    // Somebody logs in, gets what is there, and it goes: removals need no new room.
    check_ledger(&before, &before, &collect(&play, "benvolio", MESSAGES)?)?;

    disk.set_capacity(CAPACITY);
    play.wait_for_readiness(200, "ready")?;
    let after = send_many(&mut romeo, "juliet", "after")?;
    refused_all_or_none(&mut romeo, 0)?;
    play.restart()?;
    check_ledger(&after, &after, &collect(&play, "juliet", MESSAGES)?)?;
    // Delivered while there was no room, and removed all the same.
    check_ledger(&[], &[], &collect(&play, "benvolio", 0)?)
}

fn send_many(from: &mut Actor, to: &str, name: &str) -> Result<Vec<String>> {
    let ids: Vec<String> = (0..MESSAGES).map(|n| format!("{name}-{n}")).collect();
    ids.iter().try_for_each(|id| from.send(&message(to, id)))?;
    Ok(ids)
}

fn refused_all_or_none(from: &mut Actor, expected: usize) -> Result<()> {
    let mut refused = settle(from)?;
    from.ping()?;
    while let Some(Arrival::Element(element)) = from.take_unread() {
        if element.attr("type") == Some("error") {
            refused.push((element.attr("id").unwrap_or_default().into(), condition(&element)));
        }
    }
    let named = refused.iter().filter(|(_, why)| why == "resource-constraint").count();
    match (named, refused.len()) {
        (named, all) if named == expected && all == expected => Ok(()),
        _ => Err(Error::unexpected(format!("{expected} refusals expected, got {refused:?}"))),
    }
}

fn sessions_go_on(romeo: &mut Actor, mercutio: &mut Actor) -> Result<()> {
    romeo.send(&message("mercutio", "online"))?;
    loop {
        match mercutio.next(false)? {
            Arrival::Element(element) if element.attr("id") == Some("online") => return Ok(()),
            Arrival::Element(_) => {}
            other => return Err(crate::login::unexpected("a message", &other)),
        }
    }
}

fn rosters_are_read_and_not_changed(romeo: &mut Actor) -> Result<()> {
    let read = ask(romeo, "get", Element::new(ROSTER, "query"))?;
    if read.attr("type") != Some("result") {
        return Err(Error::unexpected("the roster cannot be read"));
    }
    let item = Element::new(ROSTER, "item").with_attr("jid", "tybalt@localhost");
    let changed = ask(romeo, "set", Element::new(ROSTER, "query").with_child(item))?;
    match condition(&changed).as_str() {
        "resource-constraint" => Ok(()),
        other => Err(Error::unexpected(format!("a roster change was answered with `{other}`"))),
    }
}

fn ask(actor: &mut Actor, kind: &str, payload: Element) -> Result<Element> {
    let iq = Element::new(jackdaw_xml::ns::CLIENT, "iq")
        .with_attr("type", kind)
        .with_attr("id", format!("disk-{kind}"))
        .with_child(payload);
    actor.send(&iq)?;
    loop {
        match actor.next(false)? {
            Arrival::Element(element) if element.attr("id") == iq.attr("id") => return Ok(element),
            Arrival::Element(_) => {}
            other => return Err(crate::login::unexpected("an answer", &other)),
        }
    }
}
