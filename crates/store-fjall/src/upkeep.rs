//! What goes on beside the commits: the next segment of the log, flushes, compaction,
//! and a look at the disk's room and at the tables' checksums.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jackdaw_store::StoreError;
use parking_lot::{Condvar, Mutex};

use crate::engine::Options;
use crate::log::Segment;
use crate::log::segment;
use crate::manifest;
use crate::queue::Queue;
use crate::tree::{Tree, TreeError, is_full};

/// How often to look whether there is room.
const LOOK: Duration = Duration::from_secs(1);

/// Memtables that may wait for their flush before commits wait for it: each is memory, and a
/// segment to be read at a start.
const SEALED_MAX: usize = 3;

/// Runs of young tables before commits wait for the compaction: every read looks at each.
const YOUNG_RUNS_MAX: usize = 24;

/// Pause between two megabytes of the check of all tables: it takes a tenth of a slow disk.
const CHECK_PAUSE: Duration = Duration::from_millis(5);

/// The threads' common state.
pub(crate) struct Upkeep {
    tree: Arc<Tree>,
    queue: Arc<Queue>,
    log: PathBuf,
    options: Options,
    state: Mutex<State>,
    /// Something is to be done: a segment ended, or the store closes.
    due: Condvar,
    /// Something was done: a segment is ready, a memtable flushed, tables compacted.
    done: Condvar,
    /// Held during a step of compaction.
    compacting: Mutex<()>,
}

/// What is left to do.
struct State {
    next: Option<Segment>,
    /// The one that is written is half full.
    is_next_due: bool,
    /// The number of the segment after that.
    next_number: u64,
    /// Segments whose memtables are not flushed yet, oldest first.
    ended: VecDeque<u64>,
    is_full: bool,
    is_closing: bool,
    is_compaction_due: bool,
    /// Nobody compacts any more.
    is_compaction_over: bool,
    /// Every table was read once.
    is_checked: bool,
    /// Something that was read did not fit together.
    is_suspect: bool,
    /// Tables from this one on may be what an interrupted flush or compaction left.
    leftovers: Option<u64>,
}

impl Upkeep {
    /// `ended` are the segments that the start found flushed or sealed; `next_number` was never
    /// used.
    pub fn new(
        tree: Arc<Tree>,
        queue: Arc<Queue>,
        log: PathBuf,
        options: Options,
        ended: VecDeque<u64>,
        next_number: u64,
    ) -> Upkeep {
        let state = State {
            next: None,
            is_next_due: false,
            next_number,
            ended,
            is_full: false,
            is_closing: false,
            is_compaction_due: true,
            is_compaction_over: false,
            is_checked: false,
            is_suspect: false,
            leftovers: None,
        };
        Upkeep {
            tree,
            queue,
            log,
            options,
            state: Mutex::new(state),
            due: Condvar::new(),
            done: Condvar::new(),
            compacting: Mutex::new(()),
        }
    }

    /// The next segment will be needed soon.
    pub fn want_next(&self) {
        self.state.lock().is_next_due = true;
        self.due.notify_all();
    }

    /// Whether the next segment is ready.
    pub fn has_next(&self) -> bool {
        self.state.lock().next.is_some()
    }

    /// The next segment, as soon as it is ready and what waits to be flushed is within bounds.
    pub fn next_segment(&self) -> Result<Segment, StoreError> {
        let mut state = self.state.lock();
        loop {
            if let Some(error) = self.queue.failure() {
                return Err(error);
            }
            let is_compacting = !state.is_compaction_over && !state.is_closing;
            let is_behind = state.ended.len() >= SEALED_MAX
                || is_compacting && self.tree.young_runs() >= YOUNG_RUNS_MAX;
            if !is_behind && let Some(next) = state.next.take() {
                state.is_next_due = false;
                return Ok(next);
            }
            state.is_next_due = true;
            if state.is_full || state.is_closing && state.next.is_none() {
                return Err(StoreError::Full);
            }
            self.due.notify_all();
            self.done.wait_for(&mut state, LOOK);
        }
    }

    /// It was not used.
    pub fn give_back(&self, segment: Segment) {
        self.state.lock().next = Some(segment);
    }

    /// A segment ended, and its memtable waits to be flushed.
    pub fn ended(&self, segment: u64) {
        self.state.lock().ended.push_back(segment);
        self.due.notify_all();
    }

    /// Segments whose rows are not all in tables.
    pub fn segments(&self) -> usize {
        self.state.lock().ended.len() + 1
    }

    /// Whether every table was read once since the start.
    pub fn is_checked(&self) -> bool {
        self.state.lock().is_checked
    }

    /// The threads come to an end.
    pub fn close(&self) {
        self.state.lock().is_closing = true;
        self.due.notify_all();
        self.done.notify_all();
    }

    /// Makes segments, flushes and watches the room, until the store closes or fails.
    pub fn run(&self) {
        loop {
            let worked = self.prepare().and_then(|()| self.flush());
            let is_short = match &worked {
                Err(TreeError::Full) => true,
                Ok(()) | Err(_) => self.is_short_of_room(),
            };
            match worked {
                Err(TreeError::Failed(why)) => self.queue.fail(&StoreError::Failed(why)),
                Err(TreeError::Damaged(why)) => {
                    self.queue.fail(&StoreError::Failed(format!("a flush failed: {why}")));
                }
                Ok(()) | Err(TreeError::Full) => self.queue.set_full(is_short),
            }
            let mut state = self.state.lock();
            state.is_full = is_short;
            self.done.notify_all();
            let has_next = state.next.is_some() || !state.is_next_due;
            let is_idle = has_next && state.ended.is_empty();
            if !state.is_closing && (is_idle || is_short) {
                self.due.wait_for(&mut state, LOOK);
            }
            if state.is_closing || self.queue.failure().is_some() {
                return;
            }
        }
    }

    /// Sees to it that there is a next segment when it is due. Not before: a server that stores
    /// little need not write sixteen megabytes of zeros at every start.
    fn prepare(&self) -> Result<(), TreeError> {
        let number = {
            let state = self.state.lock();
            if state.next.is_some() || !state.is_next_due {
                return Ok(());
            }
            state.next_number
        };
        let made = Segment::create(&self.log, number, self.options.segment_bytes);
        let segment = made.map_err(io_failure)?;
        let mut state = self.state.lock();
        state.next_number = segment.number + 1;
        state.next = Some(segment);
        self.done.notify_all();
        Ok(())
    }

    /// Flushes what was sealed, and lets go of its segments.
    fn flush(&self) -> Result<(), TreeError> {
        let segments: Vec<u64> = self.state.lock().ended.iter().copied().collect();
        if segments.is_empty() {
            return Ok(());
        }
        self.remove_leftovers();
        let first = self.tree.next_table();
        if let Err(error) = self.tree.flush() {
            self.left_over(first);
            return Err(error);
        }
        // One at a time, oldest first: whatever a crash leaves is without a gap.
        for number in segments {
            segment::retire(&self.log, number).map_err(io_failure)?;
            self.state.lock().ended.pop_front();
        }
        self.state.lock().is_compaction_due = true;
        self.due.notify_all();
        Ok(())
    }

    fn left_over(&self, from: u64) {
        let mut state = self.state.lock();
        state.leftovers = Some(state.leftovers.map_or(from, |before| before.min(from)));
    }

    /// Called by the thread that flushes; waits for nobody.
    fn remove_leftovers(&self) {
        let Some(_idle) = self.compacting.try_lock() else { return };
        let leftovers = self.state.lock().leftovers.take();
        if let Some(from) = leftovers {
            self.tree.remove_leftovers(from);
        }
    }

    fn is_short_of_room(&self) -> bool {
        match (self.options.free_bytes)(&self.log) {
            Ok(free) => free < self.options.free_bytes_min,
            Err(error) => {
                tracing::warn!(%error, "the disk's room is not known");
                false
            }
        }
    }

    /// Compacts whenever something was flushed, until the store closes or fails.
    pub fn compact(&self) {
        loop {
            {
                let mut state = self.state.lock();
                while !state.is_compaction_due && !state.is_closing {
                    self.due.wait(&mut state);
                }
                if state.is_closing {
                    return;
                }
                if state.is_full {
                    self.due.wait_for(&mut state, LOOK);
                    continue;
                }
                state.is_compaction_due = false;
            }
            if self.queue.failure().is_some() || !self.compact_once() {
                self.state.lock().is_compaction_over = true;
                return;
            }
        }
    }

    /// False: it makes no sense to go on.
    fn compact_once(&self) -> bool {
        let first = self.tree.next_table();
        let compacted = {
            let _busy = self.compacting.lock();
            self.tree.compact()
        };
        match compacted {
            Ok(is_more) => {
                let mut state = self.state.lock();
                state.is_compaction_due |= is_more;
                self.done.notify_all();
            }
            Err(TreeError::Full) => {
                self.left_over(first);
                let mut state = self.state.lock();
                state.is_compaction_due = true;
                self.due.wait_for(&mut state, LOOK);
            }
            Err(TreeError::Failed(why)) => {
                self.queue.fail(&StoreError::Failed(format!("a compaction failed: {why}")));
                return false;
            }
            Err(TreeError::Damaged(why)) => {
                tracing::error!(%why, "tables are not compacted any more");
                self.suspect();
                return false;
            }
        }
        true
    }

    /// Some read failed: the tables are to be checked again.
    pub fn suspect(&self) {
        self.state.lock().is_suspect = true;
        self.due.notify_all();
    }

    /// Checks the tables after the start and whenever a read failed, until the store closes.
    pub fn check(&self) {
        while !self.state.lock().is_closing {
            self.check_tables();
            let mut state = self.state.lock();
            while !state.is_suspect && !state.is_closing {
                self.due.wait(&mut state);
            }
            state.is_suspect = false;
        }
    }

    /// Reads every table once and compares its checksum. Blocks are also checked whenever
    /// they are read; this finds what nobody reads before it is needed, and names the file.
    fn check_tables(&self) {
        let tables = self.tree.tables();
        for table in &tables {
            let checked = manifest::check_table(table, &mut |_| {
                let mut state = self.state.lock();
                if !state.is_closing {
                    // Woken more often than that it reads a little faster.
                    self.done.wait_for(&mut state, CHECK_PAUSE);
                }
            });
            if self.state.lock().is_closing {
                return;
            }
            if let Err(error) = checked {
                // One that was compacted meanwhile is gone rightly.
                if self.tree.tables().iter().any(|now| now.path == table.path) {
                    self.queue.damaged(&error);
                }
            }
        }
        self.state.lock().is_checked = true;
        tracing::info!(tables = tables.len(), "the tables of the store were checked");
    }
}

fn io_failure(error: io::Error) -> TreeError {
    if is_full(&error) { TreeError::Full } else { TreeError::Failed(error.to_string()) }
}
