//! The loop of one worker thread.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::clock;
use crate::driver::Driver;
use crate::engine::Engine;
use crate::protocol::Protocol;
use crate::stats::Published;

/// What the owner of the edge tells its workers.
#[derive(Default)]
pub(crate) struct Control {
    shutting_down: AtomicBool,
    deadline: Mutex<Option<Instant>>,
}

impl Control {
    pub(crate) fn shut_down(&self, deadline: Instant) {
        *self.deadline.lock() = Some(deadline);
        self.shutting_down.store(true, Ordering::Release);
    }

    fn deadline(&self) -> Option<Instant> {
        if !self.shutting_down.load(Ordering::Acquire) {
            return None;
        }
        *self.deadline.lock()
    }
}

/// Turns until the edge is shut down: what the driver brings, what else there is to do, then
/// everything written goes out.
pub(crate) fn run<P: Protocol, D: Driver>(
    mut engine: Engine<P>,
    mut driver: D,
    control: &Control,
    published: &Arc<Published>,
) -> io::Result<()> {
    loop {
        let places = engine.core.gate.places(engine.now());
        driver.accept(places);
        let wait = until(&mut engine, places > 0, control);
        driver.turn(wait, &mut engine)?;
        let deadline = control.deadline();
        if deadline.is_some() {
            engine.shut_down();
        }
        engine.end_turn();
        engine.flush(&mut driver);
        engine.core.count_in_use(driver.in_use());
        published.publish(&engine.core.stats);
        if let Some(deadline) = deadline {
            let over = engine.now() >= deadline;
            if over {
                engine.abort_all();
                engine.flush(&mut driver);
            }
            if over || engine.core.stats.connections == 0 {
                driver.finish();
                engine.core.count_in_use(driver.in_use());
                published.publish(&engine.core.stats);
                return Ok(());
            }
        }
    }
}

/// How long to wait; announces the sleep to those who would send mail.
fn until<P: Protocol>(engine: &mut Engine<P>, open: bool, control: &Control) -> Option<Duration> {
    let mut wait = engine.wait(open);
    let letterbox = &engine.core.mailbox.letterboxes[usize::from(engine.core.worker)];
    if wait != Some(Duration::ZERO) && !letterbox.sleep() {
        wait = Some(Duration::ZERO);
    }
    if let Some(deadline) = control.deadline() {
        let left = deadline.saturating_duration_since(clock::now());
        wait = Some(wait.map_or(left, |wait| wait.min(left)));
    }
    wait
}
