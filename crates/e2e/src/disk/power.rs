//! T09: power fails at some moment; what was not synced is gone, or some of it by chance.

use jackdaw_xml::Element;

use super::hostile::HostileDisk;
use super::image::Survivors;
use super::stage::{Play, check_ledger, collect, large, message};
use crate::actor::{Actor, SM};
use crate::connection::Arrival;
use crate::error::Result;
use crate::server::Launch;

const CAPACITY: u64 = 1 << 30;

/// Rounds, each with a power cut of its own.
const ROUNDS: u64 = 8;

/// Messages that were acknowledged when power fails; the ones behind them are under way.
const ACKNOWLEDGED_MIN: u64 = 40;

/// Bytes of what somebody else sends meanwhile: segments of the log end, memtables are flushed and
/// tables compacted under power cuts as well.
const BALLAST: usize = 200_000;

/// See [`super::TESTS`].
pub fn run(launch: &Launch) -> Result<()> {
    let disk = HostileDisk::new(CAPACITY);
    let mut play = Play::begin(launch, disk)?;
    // The store was made a moment ago: its own files have to be there as well.
    play.lose_power(Survivors::None)?;
    // Sent and not acknowledged: may come in a later round.
    let mut pending = Vec::new();
    for round in 0..ROUNDS {
        let survivors = if round % 2 == 0 { Survivors::None } else { Survivors::Some(round) };
        let (acknowledged, new) = write_until_power_fails(&mut play, round, survivors)?;
        pending.extend(new);
        let arrived = collect(&play, "juliet", acknowledged.len())?;
        check_ledger(&acknowledged, &pending, &arrived)?;
        pending.retain(|id| !arrived.contains(id));
    }
    Ok(())
}

/// Sends without a pause and counts what is acknowledged; power fails in the middle of it.
fn write_until_power_fails(
    play: &mut Play,
    round: u64,
    survivors: Survivors,
) -> Result<(Vec<String>, Vec<String>)> {
    let (mut romeo, mut mercutio) = (play.enter("romeo")?, play.enter("mercutio")?);
    let id = |n: u64| format!("round-{round}-{n}");
    let mut sent = 0;
    let enough = ACKNOWLEDGED_MIN + round * 7;
    loop {
        for _ in 0..4 {
            romeo.send(&message("juliet", &id(sent)))?;
            sent += 1;
        }
        mercutio.send(&large("benvolio", &id(sent), BALLAST))?;
        romeo.send(&Element::new(SM, "r"))?;
        if sent - u64::from(romeo.unacknowledged()) >= enough {
            break;
        }
        wait_for_answer(&mut romeo)?;
    }
    let acknowledged = sent - u64::from(romeo.unacknowledged());
    play.lose_power(survivors)?;
    let ids = |count: u64| (0..count).map(id).collect::<Vec<_>>();
    Ok((ids(acknowledged), ids(sent)))
}

fn wait_for_answer(actor: &mut Actor) -> Result<()> {
    loop {
        match actor.next(true)? {
            Arrival::Element(element) if element.is(SM, "a") => return Ok(()),
            Arrival::Element(_) => {}
            other => return Err(crate::login::unexpected("<a/>", &other)),
        }
    }
}
