//! Storage by shape: the engine's contract, typed maps over it, an engine in memory, and the
//! conformance suite that every engine passes.
//!
//! [`held`] is an engine that does as a test says.
//!
//! Rows belong to an account: `(table, account, item) → value`. An [`Engine`] reads them, pages
//! through them and commits atomic [`Batch`]es; nothing more is asked of it, so that a B-tree, an
//! LSM or SQL can stand behind it. [`Stores`] gives typed access: [`KeyValue`] (one value per
//! account) and [`Map`] (values per account and key).
//!
//! Does not: cache, interpret values, or know which tables there are.
#![forbid(unsafe_code)]

mod answer;
mod batch;
pub mod conformance;
mod engine;
mod error;
pub mod held;
mod memory;
mod row;
mod typed;

pub use answer::Answer;
pub use batch::{Batch, Fence, Op, Table};
pub use engine::{Done, Durability, Engine, Fenced, ItemRange, Row, StoreStats};
pub use error::StoreError;
pub use memory::MemoryEngine;
pub use row::{Fields, Value, Writer};
pub use typed::{KeyValue, Map, Stores};
