//! What is written together.

use bytes::Bytes;
use jackdaw_jid::BareJid;

/// A table by name. Whoever uses one declares it; an engine takes any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Table(&'static str);

impl Table {
    /// A table of this name: lower-case ASCII letters, digits and `_`, at most 32.
    pub const fn new(name: &'static str) -> Table {
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty() && bytes.len() <= 32, "a table name has 1 to 32 characters");
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            assert!(byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
            at += 1;
        }
        Table(name)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        self.0
    }
}

/// One step of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Writes a row, in place of an older one.
    Put {
        /// The table.
        table: Table,
        /// Whose row.
        account: BareJid,
        /// Which row.
        item: Bytes,
        /// What it holds.
        value: Bytes,
    },
    /// Removes a row, if there is one.
    Delete {
        /// The table.
        table: Table,
        /// Whose row.
        account: BareJid,
        /// Which row.
        item: Bytes,
    },
    /// Removes every row of the account in the table.
    Clear {
        /// The table.
        table: Table,
        /// Whose rows.
        account: BareJid,
    },
    /// The commit fails with [`StoreError::Conflict`](crate::StoreError::Conflict) unless the row
    /// holds just this, or is absent for `None`. Requirements are checked before anything of the
    /// batch is written, against what was committed before it.
    Require {
        /// The table.
        table: Table,
        /// Whose row.
        account: BareJid,
        /// Which row.
        item: Bytes,
        /// What it must hold.
        value: Option<Bytes>,
    },
}

/// By which right a shard is written: as its owner since the assignment of this epoch. Epochs of
/// one cluster rise, and no two assignments have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fence {
    /// The shard.
    pub shard: u16,
    /// The epoch of the owner who writes.
    pub epoch: u64,
}

/// Steps that are committed together or not at all, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    ops: Vec<Op>,
    fences: Vec<Fence>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Writes a row.
    pub fn put(&mut self, table: Table, account: &BareJid, item: &[u8], value: impl Into<Bytes>) {
        let (account, item) = (account.clone(), Bytes::copy_from_slice(item));
        self.ops.push(Op::Put { table, account, item, value: value.into() });
    }

    /// Removes a row.
    pub fn delete(&mut self, table: Table, account: &BareJid, item: &[u8]) {
        let (account, item) = (account.clone(), Bytes::copy_from_slice(item));
        self.ops.push(Op::Delete { table, account, item });
    }

    /// Removes every row of the account in the table.
    pub fn clear(&mut self, table: Table, account: &BareJid) {
        self.ops.push(Op::Clear { table, account: account.clone() });
    }

    /// Requires that there is no such row.
    pub fn require_absent(&mut self, table: Table, account: &BareJid, item: &[u8]) {
        let (account, item) = (account.clone(), Bytes::copy_from_slice(item));
        self.ops.push(Op::Require { table, account, item, value: None });
    }

    /// Requires that the row holds just this.
    pub fn require_value(
        &mut self,
        table: Table,
        account: &BareJid,
        item: &[u8],
        value: impl Into<Bytes>,
    ) {
        let (account, item) = (account.clone(), Bytes::copy_from_slice(item));
        self.ops.push(Op::Require { table, account, item, value: Some(value.into()) });
    }

    /// The commit fails with [`StoreError::Fenced`](crate::StoreError::Fenced) if somebody has
    /// claimed the shard for a later epoch. An engine that is one node's alone does not look.
    pub fn fence(&mut self, fence: Fence) {
        if !self.fences.contains(&fence) {
            self.fences.push(fence);
        }
    }

    /// By which rights it is written.
    pub fn fences(&self) -> &[Fence] {
        &self.fences
    }

    /// The steps.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// The steps, taken.
    pub fn into_ops(self) -> Vec<Op> {
        self.ops
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Whether it only removes rows: then it is taken also where there is no room for new ones.
    pub fn only_removes(&self) -> bool {
        self.ops.iter().all(|op| !matches!(op, Op::Put { .. }))
    }

    /// About how many bytes it will write.
    pub fn bytes(&self) -> usize {
        let of = |op: &Op| match op {
            Op::Put { account, item, value, .. } => {
                account.as_str().len() + item.len() + value.len()
            }
            Op::Delete { account, item, .. } | Op::Require { account, item, .. } => {
                account.as_str().len() + item.len()
            }
            Op::Clear { account, .. } => account.as_str().len(),
        };
        self.ops.iter().map(of).sum()
    }
}
