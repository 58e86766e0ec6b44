//! Reads: a few connections, each with many reads on their way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jackdaw_store::StoreError;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;

use crate::options::Target;
use crate::queue::Queue;
use crate::session::Session;

/// Reads on their way; beyond it one is refused with [`StoreError::Busy`].
const READS_MAX: usize = 4096;

pub(crate) struct Reader {
    target: Target,
    deadline: Duration,
    slots: Vec<Mutex<Option<Arc<Session>>>>,
    next: AtomicUsize,
    places: Semaphore,
    queue: Arc<Queue>,
}

impl Reader {
    /// Connects when there is something to read.
    pub fn new(target: Target, readers: usize, deadline: Duration, queue: Arc<Queue>) -> Reader {
        let slots = (0..readers.max(1)).map(|_| Mutex::new(None)).collect();
        let places = Semaphore::new(READS_MAX);
        Reader { target, deadline, slots, next: AtomicUsize::new(0), places, queue }
    }

    /// Reads with one of the sessions, within the deadline.
    pub async fn read<T>(
        &self,
        read: impl AsyncFnOnce(&Session) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, StoreError> {
        // Senders' streams wait for what is read, and would for nothing.
        if self.queue.is_away() {
            return Err(StoreError::Unavailable);
        }
        let Ok(_place) = self.places.try_acquire() else { return Err(StoreError::Busy) };
        let answered = timeout(self.deadline, async {
            let session = self.session().await?;
            read(&session).await.map_err(|error| crate::session::failure(&error))
        });
        answered.await.unwrap_or(Err(StoreError::Unavailable))
    }

    async fn session(&self) -> Result<Arc<Session>, StoreError> {
        let nth = self.next.fetch_add(1, Ordering::Relaxed) % self.slots.len();
        let mut slot = self.slots[nth].lock().await;
        if let Some(session) = slot.as_ref().filter(|session| !session.client.is_closed()) {
            return Ok(Arc::clone(session));
        }
        let session = Session::open(&self.target, self.deadline).await?;
        Ok(Arc::clone(slot.insert(Arc::new(session))))
    }
}
