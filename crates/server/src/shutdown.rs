//! Stopping: gracefully when asked once, at once when asked again.

use tokio::sync::watch;

/// How far the stop has come. It never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Nobody has asked.
    Running,
    /// Streams are being closed and queues written.
    Graceful,
    /// Whatever is not done is left.
    Now,
}

/// The handle by which the node is stopped and by which its parts learn of it. Clones are the same
/// handle.
#[derive(Debug, Clone)]
pub struct Shutdown {
    stage: watch::Sender<Stage>,
}

impl Default for Shutdown {
    fn default() -> Shutdown {
        Shutdown { stage: watch::Sender::new(Stage::Running) }
    }
}

impl Shutdown {
    /// Asks for a stop: the first time gracefully, from the second on at once.
    pub fn request(&self) -> Stage {
        self.stage.send_modify(|stage| {
            *stage = match *stage {
                Stage::Running => Stage::Graceful,
                Stage::Graceful | Stage::Now => Stage::Now,
            };
        });
        self.stage()
    }

    /// How far it has come.
    pub fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Waits until at least this stage is reached.
    pub async fn reached(&self, stage: Stage) {
        let mut receiver = self.stage.subscribe();
        receiver.wait_for(|now| *now >= stage).await.expect("`self` holds the sender");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_request_is_graceful_and_the_second_is_not() {
        let shutdown = Shutdown::default();
        let clone = shutdown.clone();
        let waiting = tokio::spawn(async move { clone.reached(Stage::Graceful).await });
        assert_eq!(shutdown.request(), Stage::Graceful);
        waiting.await.unwrap();
        assert_eq!(shutdown.request(), Stage::Now);
        shutdown.reached(Stage::Graceful).await;
        assert_eq!(shutdown.request(), Stage::Now);
    }
}
