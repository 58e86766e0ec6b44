//! T07: a sync fails once. What the disk then holds is not known, so nobody goes on as if it were.

use super::hostile::HostileDisk;
use super::image::Survivors;
use super::stage::{Play, check_ledger, collect, message, settle};
use crate::error::{Error, Result};
use crate::server::Launch;

const CAPACITY: u64 = 256 << 20;

/// See [`super::TESTS`].
pub fn run(launch: &Launch) -> Result<()> {
    let disk = HostileDisk::new(CAPACITY);
    let mut play = Play::begin(launch, disk.clone())?;
    let mut romeo = play.enter_available("romeo")?;
    let mut acknowledged = Vec::new();
    for n in 0..10 {
        romeo.send(&message("juliet", &format!("before-{n}")))?;
        acknowledged.push(format!("before-{n}"));
    }
    if !settle(&mut romeo)?.is_empty() {
        return Err(Error::unexpected("a message was refused before anything failed"));
    }

    disk.fail_syncs(1);
    // The first meets the failure. The second could be synced, if somebody tried.
    for id in ["failed", "late"] {
        romeo.send(&message("juliet", id))?;
        let refused = settle(&mut romeo)?;
        if !refused.iter().any(|(of, why)| of == id && why == "resource-constraint") {
            let text = format!("`{id}` was not refused after the failed sync: {refused:?}");
            return Err(Error::unexpected(text));
        }
    }
    play.wait_for_readiness(503, "the store failed")?;
    if play.metric("xmpp_store_impaired{reason=\"failed\"}")? != 1.0 {
        return Err(Error::unexpected("the metric does not say that the store failed"));
    }
    if !play.server.log().contains("the store takes no more") {
        return Err(Error::unexpected("the log does not say that the store failed"));
    }

    play.lose_power(Survivors::None)?;
    play.wait_for_readiness(200, "ready")?;
    let mut sent = acknowledged.clone();
    sent.push("failed".into());
    check_ledger(&acknowledged, &sent, &collect(&play, "juliet", acknowledged.len())?)
}
