//! The write-ahead log: every group is in it, synced, before its rows are in the tree.
//!
//! Segments have a fixed size and are on disk, in full, before they are used. A segment ends
//! together with the tree's memtable; when that is flushed into tables, the segment is used again
//! for a later one, or removed.
//!
//! ```text
//! log/0000000000000007.log   its rows are being flushed
//! log/0000000000000008.log   the one that is written
//! log/0000000000000009.log   the next one: a header and no records
//! log/synced                 the last group that is on disk
//! ```

pub(crate) mod record;
pub(crate) mod replay;
pub(crate) mod segment;
pub(crate) mod witness;

pub(crate) use record::{LoggedRow, RecordBuffer, Stamp};
pub(crate) use segment::Segment;
pub(crate) use witness::Witness;
