//! Places where a test ends the process, and mistakes that a test makes it make.
//!
//! Without the feature `inject` every function here is empty or says no, and the compiler leaves
//! nothing of the call. With it, the environment decides (`FAILPOINTS`, as the crate `fail` reads
//! it): `commit-before-sync=3*off->return` ends the process the fourth time it comes there.
//! `jackdaw-e2e ledger` sets it and reads the ledger afterwards (`docs/proof.md`).
//!
//! Does not: decide by itself, or do anything in a release.
#![forbid(unsafe_code)]

/// Where a test may end the process: the table of all crash points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The data directory is locked; the store is not open.
    StartBeforeStore,
    /// The store is open, nothing listens.
    StartAfterStore,
    /// Clients can connect; nobody has been told.
    StartListening,
    /// A group of commits is about to be written to the log.
    CommitBeforeWrite,
    /// It is written, and not synced.
    CommitBeforeSync,
    /// It is on disk, as far as it has to be; nobody has been told.
    CommitAfterSync,
    /// A stanza is accepted; its stream has not been told.
    AcceptBeforeReceipt,
    /// Its stream has been told, or will be by mail.
    AcceptAfterReceipt,
    /// `<a/>` is about to be written.
    AckBeforeWrite,
    /// It is in the output of its stream.
    AckAfterWrite,
    /// Output is about to be sent.
    SendBefore,
    /// It is with the kernel, or in its queue.
    SendAfter,
    /// A client has asked to resume.
    ResumeAsked,
    /// A session of an earlier process is in the table; its messages are not numbered anew.
    RestoreBeforeCommit,
    /// They are, on disk; nobody has been told.
    RestoreAfterCommit,
    /// The stream that had the session has given it away.
    ResumeSurrendered,
    /// The stream that asked has it; its client has not been told.
    ResumeArrived,
    /// `<resumed/>` and what was not acknowledged is in the output of its stream.
    ResumeTold,
}

impl Point {
    /// Every one.
    pub const ALL: [Point; 18] = [
        Point::StartBeforeStore,
        Point::StartAfterStore,
        Point::StartListening,
        Point::CommitBeforeWrite,
        Point::CommitBeforeSync,
        Point::CommitAfterSync,
        Point::AcceptBeforeReceipt,
        Point::AcceptAfterReceipt,
        Point::AckBeforeWrite,
        Point::AckAfterWrite,
        Point::SendBefore,
        Point::SendAfter,
        Point::ResumeAsked,
        Point::RestoreBeforeCommit,
        Point::RestoreAfterCommit,
        Point::ResumeSurrendered,
        Point::ResumeArrived,
        Point::ResumeTold,
    ];

    /// Its name in `FAILPOINTS` and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Point::StartBeforeStore => "start-before-store",
            Point::StartAfterStore => "start-after-store",
            Point::StartListening => "start-listening",
            Point::CommitBeforeWrite => "commit-before-write",
            Point::CommitBeforeSync => "commit-before-sync",
            Point::CommitAfterSync => "commit-after-sync",
            Point::AcceptBeforeReceipt => "accept-before-receipt",
            Point::AcceptAfterReceipt => "accept-after-receipt",
            Point::AckBeforeWrite => "ack-before-write",
            Point::AckAfterWrite => "ack-after-write",
            Point::SendBefore => "send-before",
            Point::SendAfter => "send-after",
            Point::ResumeAsked => "resume-asked",
            Point::RestoreBeforeCommit => "restore-before-commit",
            Point::RestoreAfterCommit => "restore-after-commit",
            Point::ResumeSurrendered => "resume-surrendered",
            Point::ResumeArrived => "resume-arrived",
            Point::ResumeTold => "resume-told",
        }
    }

    /// Whether it is reached once, before any client is there.
    pub fn is_at_start(self) -> bool {
        matches!(self, Point::StartBeforeStore | Point::StartAfterStore | Point::StartListening)
    }

    /// Whether a client passes it at most once after a start.
    pub fn is_once_each(self) -> bool {
        matches!(self, Point::RestoreBeforeCommit | Point::RestoreAfterCommit)
    }
}

/// A mistake that a server could make. That the tests find each shows that they can find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A commit is reported before it is written.
    AckBeforeSync,
    /// A row is not written, and nobody hears of it.
    RowDropped,
    /// `h` covers what was received, whether or not it is accepted.
    HandledTooFar,
    /// A message that was acknowledged stays in the spool.
    RowKept,
}

impl Bug {
    /// Every one.
    pub const ALL: [Bug; 4] =
        [Bug::AckBeforeSync, Bug::RowDropped, Bug::HandledTooFar, Bug::RowKept];

    /// Its name in `FAILPOINTS` and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Bug::AckBeforeSync => "bug-ack-before-sync",
            Bug::RowDropped => "bug-row-dropped",
            Bug::HandledTooFar => "bug-handled-too-far",
            Bug::RowKept => "bug-row-kept",
        }
    }
}

#[cfg(feature = "inject")]
mod injected {
    use super::{Bug, Point};

    /// Faults are injected as long as this lives.
    pub struct Armed {
        _scenario: fail::FailScenario<'static>,
    }

    /// Reads which faults are wanted. Called once, first of all.
    pub fn arm() -> Armed {
        Armed { _scenario: fail::FailScenario::setup() }
    }

    /// Ends the process if a test wants that here and now.
    pub fn reach(point: Point) {
        fail::fail_point!(point.name(), |_| {
            eprintln!("crash point {}", point.name());
            std::process::abort()
        });
    }

    /// What a busy disk takes: time enough for what was said too early to be heard.
    #[expect(clippy::disallowed_methods, reason = "in builds for tests alone")]
    pub fn dawdle() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }

    /// Whether a test wants this mistake to be made now.
    pub fn has(bug: Bug) -> bool {
        fail::fail_point!(bug.name(), |_| true);
        false
    }
}

#[cfg(not(feature = "inject"))]
mod injected {
    use super::{Bug, Point};

    /// Nothing: no faults are injected.
    pub struct Armed;

    /// Does nothing.
    pub const fn arm() -> Armed {
        Armed
    }

    /// Does nothing.
    #[inline(always)]
    pub const fn reach(_: Point) {}

    /// Does nothing.
    #[inline(always)]
    pub const fn dawdle() {}

    /// No.
    #[inline(always)]
    pub const fn has(_: Bug) -> bool {
        false
    }
}

pub use injected::{Armed, arm, dawdle, has, reach};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_apart() {
        let points = Point::ALL.iter().map(|point| point.name());
        let names: Vec<&str> = points.chain(Bug::ALL.iter().map(|bug| bug.name())).collect();
        let distinct: std::collections::BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(distinct.len(), names.len());
    }
}
