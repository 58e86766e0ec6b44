//! T10: every sync takes two seconds.

use std::time::{Duration, Instant};

use super::hostile::HostileDisk;
use super::stage::{Play, check_ledger, collect, message, settle};
use crate::actor::Actor;
use crate::connection::Arrival;
use crate::error::{Error, Result};
use crate::server::Launch;

const CAPACITY: u64 = 256 << 20;

/// What a sync takes.
const DELAY: Duration = Duration::from_secs(2);

/// Messages between two who are there while a third one's waits for the disk.
const ONLINE: usize = 100;

/// See [`super::TESTS`].
pub fn run(launch: &Launch) -> Result<()> {
    let disk = HostileDisk::new(CAPACITY);
    let mut play = Play::begin(launch, disk.clone())?;
    let mut romeo = play.enter_available("romeo")?;
    let mut mercutio = play.enter_available("mercutio")?;
    let mut benvolio = play.enter_available("benvolio")?;
    disk.set_sync_delay(DELAY);

    let began = Instant::now();
    romeo.send(&message("juliet", "slow"))?;
    talk(&mut mercutio, &mut benvolio)?;
    let talked = began.elapsed();
    if talked > DELAY {
        return Err(Error::unexpected(format!("{ONLINE} messages took {talked:?} beside it")));
    }
    if !settle(&mut romeo)?.is_empty() {
        return Err(Error::unexpected("a message was refused because the disk was slow"));
    }
    let waited = began.elapsed();
    if waited < DELAY {
        return Err(Error::unexpected(format!("acknowledged after {waited:?}, before the sync")));
    }
    if play.metric("xmpp_commit_latency_seconds_sum")? < DELAY.as_secs_f64() {
        return Err(Error::unexpected("the commit latency does not show the slow disk"));
    }
    // Not acknowledged, and killed in the middle of its sync: may be lost, the other may not.
    romeo.send(&message("juliet", "under way"))?;
    disk.set_sync_delay(Duration::ZERO);
    play.restart()?;
    let sent = ["slow".to_owned(), "under way".to_owned()];
    check_ledger(&sent[..1], &sent, &collect(&play, "juliet", 1)?)
}

fn talk(one: &mut Actor, other: &mut Actor) -> Result<()> {
    for n in 0..ONLINE {
        let id = format!("online-{n}");
        one.send(&message("benvolio", &id))?;
        loop {
            match other.next(false)? {
                Arrival::Element(element) if element.attr("id") == Some(&id) => break,
                Arrival::Element(_) => {}
                unexpected => return Err(crate::login::unexpected("a message", &unexpected)),
            }
        }
    }
    Ok(())
}
