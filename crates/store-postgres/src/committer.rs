//! The group committer: one commit in flight, so that rows become visible in the order in which
//! they were accepted.

use std::sync::Arc;
use std::time::Duration;

use jackdaw_store::{Batch, Op, StoreError};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::options::{Options, Target};
use crate::queue::{Job, Queue};
use crate::session::Session;
use crate::transaction::{Writes, commit_looking};

/// Between two attempts at first, and at most.
const RETRY_MIN: Duration = Duration::from_millis(20);
const RETRY_MAX: Duration = Duration::from_secs(1);

/// How often a database that is away is asked whether it is back: for so long it may be refused
/// although it is.
const ASKED_WHILE_AWAY: Duration = Duration::from_millis(250);

/// The name of an engine among all that write to a database.
pub(crate) const WRITER_BYTES: usize = 16;

pub(crate) struct Committer {
    target: Target,
    /// How long all attempts at a commit may take.
    deadline: Duration,
    /// How often a database is asked that has nothing to do.
    asked_every: Duration,
    queue: Arc<Queue>,
    /// Names this engine among all that write to the database.
    writer: [u8; WRITER_BYTES],
    /// The last number given to a commit.
    number: i64,
    /// Whether something of the commit under this number was sent and not answered.
    is_in_doubt: bool,
    session: Option<Session>,
}

/// Jobs that are committed as one.
enum Unit<'a> {
    /// These look at no row.
    Blind(Writes),
    /// It requires or clears.
    Looking(&'a Batch),
}

fn looks(job: &Job) -> bool {
    job.batch.ops().iter().any(|op| matches!(op, Op::Require { .. } | Op::Clear { .. }))
}

impl Committer {
    /// Registers the writer on a session that is open.
    pub async fn new(
        options: &Options,
        target: Target,
        queue: Arc<Queue>,
        session: Session,
        writer: [u8; WRITER_BYTES],
    ) -> Result<Committer, tokio_postgres::Error> {
        let sql = "INSERT INTO jackdaw_writers (writer, committed) VALUES ($1, 0)";
        session.client.execute(sql, &[&&writer[..]]).await?;
        Ok(Committer {
            target,
            deadline: options.deadline,
            asked_every: options.asked_every,
            queue,
            writer,
            number: 0,
            is_in_doubt: false,
            session: Some(session),
        })
    }

    /// Commits until the queue is closed and empty. Whenever there is nothing to commit for a
    /// while, it asks whether the database is still there, or again.
    pub async fn run(mut self) {
        loop {
            let pause = if self.queue.is_away() { ASKED_WHILE_AWAY } else { self.asked_every };
            let pause = pause.mul_f64(spread(&self.writer, self.number));
            match timeout(pause, self.queue.take()).await {
                Ok(Some(group)) => self.commit_group(group).await,
                Ok(None) => return,
                Err(_elapsed) => self.ask().await,
            }
        }
    }

    async fn commit_group(&mut self, group: Vec<Job>) {
        let mut blind = Vec::new();
        for job in group {
            if self.queue.is_away() || job.at.elapsed() > self.deadline {
                (job.done)(Err(StoreError::Busy));
            } else if looks(&job) {
                self.commit_blind(std::mem::take(&mut blind)).await;
                let result = self.commit(&Unit::Looking(&job.batch), 1).await;
                (job.done)(result);
            } else {
                blind.push(job);
            }
        }
        self.commit_blind(blind).await;
    }

    /// Looks whether the database is there.
    async fn ask(&mut self) {
        let until = Instant::now() + self.deadline;
        let asked = timeout_at(until, async {
            self.connect(until).await?;
            let Some(session) = &self.session else { return Err(StoreError::Unavailable) };
            self.last_committed(session).await
        });
        let answer = asked.await.unwrap_or(Err(StoreError::Unavailable));
        match answer {
            // Only a commit can tell that what else was wrong is over.
            Ok(_) if self.queue.is_away() => self.queue.set_impaired(None),
            Ok(_) => {}
            Err(error) => {
                self.session = None;
                self.queue.set_impaired(Some(error));
            }
        }
    }

    async fn commit_blind(&mut self, jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        if self.queue.is_away() {
            return jobs.into_iter().for_each(|job| (job.done)(Err(StoreError::Busy)));
        }
        let mut writes = Writes::default();
        jobs.iter().for_each(|job| writes.add(&job.batch));
        let result = self.commit(&Unit::Blind(writes), jobs.len()).await;
        jobs.into_iter().for_each(|job| (job.done)(result.clone()));
    }

    /// Tries until it is known what became of the commit, or the deadline is over. Given up, its
    /// number is one of the past as soon as the next commit is written: until then it may still
    /// take effect, afterwards never.
    async fn commit(&mut self, unit: &Unit<'_>, batches: usize) -> Result<(), StoreError> {
        self.number += 1;
        self.is_in_doubt = false;
        let started = Instant::now();
        let result = self.try_until(unit, started + self.deadline).await;
        match &result {
            Ok(()) => {
                let rows = match unit {
                    Unit::Blind(writes) => writes.len(),
                    Unit::Looking(batch) => batch.ops().len(),
                };
                self.queue.committed(batches, rows, started.elapsed());
                self.queue.set_impaired(None);
            }
            Err(StoreError::Conflict) => self.queue.set_impaired(None),
            Err(error) => {
                self.session = None;
                self.queue.failed();
                self.queue.set_impaired(Some(error.clone()));
            }
        }
        match result {
            Err(StoreError::Unavailable | StoreError::Busy) => match self.is_in_doubt {
                true => Err(StoreError::Unavailable),
                // Nothing of it was left behind.
                false => Err(StoreError::Busy),
            },
            result => result,
        }
    }

    async fn try_until(&mut self, unit: &Unit<'_>, until: Instant) -> Result<(), StoreError> {
        let mut pause = RETRY_MIN;
        loop {
            let result = timeout_at(until, self.attempt(unit, until)).await;
            let result = result.unwrap_or(Err(StoreError::Unavailable));
            let again = match &result {
                // What the connection has in flight is not known.
                Err(StoreError::Unavailable) => {
                    self.session = None;
                    true
                }
                result => matches!(result, Err(StoreError::Busy)),
            };
            if !again || Instant::now() + pause >= until {
                return result;
            }
            sleep(pause.mul_f64(spread(&self.writer, self.number))).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    async fn attempt(&mut self, unit: &Unit<'_>, until: Instant) -> Result<(), StoreError> {
        let is_new = self.session.is_none();
        self.connect(until).await?;
        let Some(session) = &self.session else { return Err(StoreError::Unavailable) };
        // The attempt before this one may have been written although nobody heard of it.
        if is_new && self.is_in_doubt && self.is_written(session).await? {
            return Ok(());
        }
        let was_in_doubt = std::mem::replace(&mut self.is_in_doubt, true);
        let result = match unit {
            Unit::Blind(writes) => writes.commit(session, &self.writer, self.number).await,
            Unit::Looking(batch) => commit_looking(session, batch, &self.writer, self.number).await,
        };
        match result {
            // The number is taken: by an attempt that was on its way when the one before this read.
            Err(StoreError::Failed(_)) if self.is_written(session).await == Ok(true) => Ok(()),
            // It answered that it was rolled back.
            Err(StoreError::Busy) => {
                self.is_in_doubt = was_in_doubt;
                Err(StoreError::Busy)
            }
            other => other,
        }
    }

    /// Makes a connection if there is none.
    async fn connect(&mut self, until: Instant) -> Result<(), StoreError> {
        if self.session.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            self.session = Some(Session::open(&self.target, left).await?);
            self.queue.reconnected();
        }
        Ok(())
    }

    async fn is_written(&self, session: &Session) -> Result<bool, StoreError> {
        Ok(self.last_committed(session).await? == self.number)
    }

    async fn last_committed(&self, session: &Session) -> Result<i64, StoreError> {
        let found = session.client.query_one(&session.committed, &[&&self.writer[..]]).await;
        Ok(found.map_err(|error| crate::session::failure(&error))?.get(0))
    }
}

/// Half to one and a half, another one for each writer and commit: nodes that lost the database
/// together do not come back together.
fn spread(writer: &[u8; WRITER_BYTES], number: i64) -> f64 {
    let seed = writer.iter().fold(0u64, |seed, byte| seed.rotate_left(8) ^ u64::from(*byte));
    let mixed = (seed ^ number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
    0.5 + mixed as f64 / 1024.0
}
