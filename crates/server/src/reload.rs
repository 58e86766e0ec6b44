//! SIGHUP: the files are read again. A mistake in them changes nothing.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::Signal;
use tokio::sync::watch;

use crate::certificates;
use crate::command::{CommandError, Place};
use crate::config::{Applies, Change};
use crate::logging::Logging;
use crate::node::Settings;

/// How often certificates are looked at again. A renewal that is forgotten is complained about
/// every day.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(86_400);

/// Reads configuration and certificates, and complains about certificates that clients will refuse.
pub(crate) fn read(place: &Place, now: SystemTime) -> Result<Settings, CommandError> {
    let config = place.read()?;
    let certificates = certificates::load(&config, now)?;
    Ok(Settings { config, certificates })
}

/// Logs what an operator should do about the certificates.
pub(crate) fn complain(settings: &Settings, now: SystemTime) {
    for complaint in settings.certificates.iter().filter_map(|one| one.complaint(now)) {
        tracing::warn!("certificate: {complaint}");
    }
}

/// Reloads at every `hangup` and publishes what was read. Runs until it is dropped.
pub(crate) async fn watch(
    place: Place,
    mut hangup: Signal,
    logging: Logging,
    settings: watch::Sender<Arc<Settings>>,
) {
    let mut daily = tokio::time::interval(COMPLAINT_INTERVAL);
    loop {
        tokio::select! {
            // None means that the runtime is going down, and this task with it.
            Some(()) = hangup.recv() => reload(&place, &logging, &settings),
            _ = daily.tick() => complain(&settings.borrow(), now()),
        }
    }
}

fn reload(place: &Place, logging: &Logging, settings: &watch::Sender<Arc<Settings>>) {
    tracing::info!("SIGHUP: reading configuration and certificates again");
    match read(place, now()) {
        Ok(new) => {
            let changes = settings.borrow().config.changes(&new.config);
            logging.set_level(&new.config.log.level);
            complain(&new, now());
            settings.send_replace(Arc::new(new));
            changes.iter().for_each(tell);
            tracing::info!(changed = changes.len(), "reload done");
        }
        Err(error) => tracing::error!("reload refused, everything stays as it was: {error}"),
    }
}

fn tell(change: &Change) {
    match change.applies {
        Applies::Reload => tracing::info!(key = change.key, "changed, and applied"),
        Applies::Restart => tracing::warn!(key = change.key, "changed, but waits for a restart"),
    }
}

/// Certificates end by the wall clock.
#[expect(clippy::disallowed_methods, reason = "the server is where the clock is read")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}
