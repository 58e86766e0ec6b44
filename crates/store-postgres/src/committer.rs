//! The group committer: one commit in flight, so that rows become visible in the order in which
//! they were accepted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jackdaw_store::{Batch, Op, StoreError};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::fences::{ClusterId, Fences};
use crate::options::{Options, Target};
use crate::queue::{Job, Queue};
use crate::session::Session;
use crate::transaction::{Origin, Writes, commit_looking};

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
    cluster: Option<ClusterId>,
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
enum Unit {
    /// These look at no row.
    Blind(Writes),
    /// It requires or clears.
    Looking(Batch),
}

fn unit_of(jobs: &[Job]) -> Unit {
    if let [job] = jobs
        && looks(job)
    {
        return Unit::Looking(job.batch.clone());
    }
    let mut writes = Writes::default();
    jobs.iter().for_each(|job| writes.add(&job.batch));
    Unit::Blind(writes)
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
            cluster: options.cluster,
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
        let (mut blind, mut fences) = (Vec::new(), Fences::default());
        for job in group {
            if self.queue.is_away() || job.at.elapsed() > self.deadline {
                (job.done)(Err(StoreError::Busy));
                continue;
            }
            let is_looking = looks(&job);
            if is_looking || !fences.add(job.batch.fences()) {
                self.commit_jobs(std::mem::take(&mut blind)).await;
                fences = Fences::default();
                fences.add(job.batch.fences());
            }
            match is_looking {
                true => self.commit_jobs(vec![job]).await,
                false => blind.push(job),
            }
        }
        self.commit_jobs(blind).await;
    }

    /// One commit for all of them, which are one that looks or several that do not. Those of former
    /// owners are told so, and the others are tried again without them.
    async fn commit_jobs(&mut self, mut jobs: Vec<Job>) {
        while !jobs.is_empty() {
            let result = match self.queue.is_away() {
                true => Err(StoreError::Busy),
                false => self.commit(&unit_of(&jobs), jobs.len()).await,
            };
            if result != Err(StoreError::Fenced) {
                return jobs.into_iter().for_each(|job| (job.done)(result.clone()));
            }
            jobs = self.without_former(jobs).await;
        }
    }

    /// Tells those of former owners, and gives the others back.
    async fn without_former(&mut self, jobs: Vec<Job>) -> Vec<Job> {
        let mut fences = Fences::default();
        for job in &jobs {
            fences.add(job.batch.fences());
        }
        let found = match timeout(self.deadline, self.epochs(&fences)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                jobs.into_iter().for_each(|job| (job.done)(Err(error.clone())));
                return Vec::new();
            }
            // Nothing of them was written, and what is away is found out by the next.
            Err(_elapsed) => {
                jobs.into_iter().for_each(|job| (job.done)(Err(StoreError::Busy)));
                return Vec::new();
            }
        };
        let (former, others): (Vec<Job>, Vec<Job>) =
            jobs.into_iter().partition(|job| Fences::is_former(job.batch.fences(), &found));
        former.into_iter().for_each(|job| (job.done)(Err(StoreError::Fenced)));
        others
    }

    /// The epochs of these shards in the database, once none is less than that of its owner.
    async fn epochs(&self, fences: &Fences) -> Result<HashMap<u16, u64>, StoreError> {
        let Some(cluster) = &self.cluster else {
            return Err(StoreError::Failed("a fence, and no cluster that it is of".into()));
        };
        let session = self.session.as_ref().ok_or(StoreError::Busy)?;
        let found = fences.read(session, cluster).await?;
        let lost = fences.above(&found);
        if lost.is_empty() {
            return Ok(found);
        }
        tracing::error!(
            shards = lost.len(),
            "the database has older epochs than it was given: a backup was restored, or a fail-over \
             lost what was acknowledged; its shards are claimed again"
        );
        lost.claim(session, cluster).await?;
        fences.read(session, cluster).await
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

    /// Tries until it is known what became of the commit, or the deadline is over. Given up, its
    /// number is one of the past as soon as the next commit is written: until then it may still
    /// take effect, afterwards never.
    async fn commit(&mut self, unit: &Unit, batches: usize) -> Result<(), StoreError> {
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
            Err(StoreError::Conflict | StoreError::Fenced) => self.queue.set_impaired(None),
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

    async fn try_until(&mut self, unit: &Unit, until: Instant) -> Result<(), StoreError> {
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

    async fn attempt(&mut self, unit: &Unit, until: Instant) -> Result<(), StoreError> {
        let is_new = self.session.is_none();
        self.connect(until).await?;
        let Some(session) = &self.session else { return Err(StoreError::Unavailable) };
        // The attempt before this one may have been written although nobody heard of it.
        if is_new && self.is_in_doubt && self.is_written(session).await? {
            return Ok(());
        }
        let was_in_doubt = std::mem::replace(&mut self.is_in_doubt, true);
        let origin = Origin { writer: &self.writer, number: self.number, cluster: self.cluster };
        let result = match unit {
            Unit::Blind(writes) => writes.commit(session, origin).await,
            Unit::Looking(batch) => commit_looking(session, batch, origin).await,
        };
        match result {
            // The number is taken: by an attempt that was on its way when the one before this read.
            Err(StoreError::Failed(_)) if self.is_written(session).await == Ok(true) => Ok(()),
            // It answered that it was rolled back.
            Err(error @ (StoreError::Busy | StoreError::Fenced)) => {
                self.is_in_doubt = was_in_doubt;
                Err(error)
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
