//! A bounded pool for password checks.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use parking_lot::Mutex;

/// Checks that may wait. At 15 ms each a client waits four seconds at the bound, and gives up.
const QUEUE_MAX: usize = 256;

type Job = Box<dyn FnOnce() + Send>;

/// Threads that do nothing but PBKDF2. A full queue refuses; nothing else waits for it.
pub struct PasswordPool {
    jobs: SyncSender<Job>,
}

impl PasswordPool {
    /// A pool of this many threads. They end with the pool.
    pub fn new(threads: usize) -> std::io::Result<PasswordPool> {
        let (jobs, queue) = sync_channel::<Job>(QUEUE_MAX);
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..threads.max(1) {
            let queue = Arc::clone(&queue);
            let run = move || {
                loop {
                    // One thread waits at the queue, the others at the lock.
                    let job = queue.lock().recv();
                    match job {
                        Ok(job) => job(),
                        Err(_) => return,
                    }
                }
            };
            std::thread::Builder::new().name(format!("password-{number}")).spawn(run)?;
        }
        Ok(PasswordPool { jobs })
    }

    /// Queues the job; false if there is no room.
    pub fn run(&self, job: Job) -> bool {
        match self.jobs.try_send(job) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }
}
