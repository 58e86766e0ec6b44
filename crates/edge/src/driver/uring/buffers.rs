//! The receive buffers of a ring, lent to the kernel through a shared ring of their own.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

/// Size of one buffer.
pub(super) const BUFFER_BYTES: usize = 16 * 1024;

/// The only buffer group of a ring.
pub(super) const GROUP: u16 = 0;

/// Let the kernel fill a buffer bit by bit instead of taking a whole one per receive
/// (Linux 6.12, `IOU_PBUF_RING_INC`).
const INCREMENTAL: u16 = 2;

const PAGE: usize = 4096;

/// The buffers and the ring through which they are offered.
pub(super) struct Buffers {
    entries: NonNull<BufRingEntry>,
    layout: Layout,
    memory: Box<[u8]>,
    /// How much of each buffer has been filled.
    filled: Box<[usize]>,
    tail: u16,
    mask: u16,
}

impl Buffers {
    /// Makes and registers `count` buffers, a power of two.
    pub(super) fn register(ring: &IoUring, count: u16) -> io::Result<Buffers> {
        let bytes = usize::from(count) * size_of::<BufRingEntry>();
        let layout = Layout::from_size_align(bytes, PAGE).map_err(io::Error::other)?;
        // SAFETY: the layout is not empty; `count` is at least one.
        let Some(entries) = NonNull::new(unsafe { alloc_zeroed(layout) }.cast::<BufRingEntry>())
        else {
            handle_alloc_error(layout);
        };
        let mut buffers = Buffers {
            entries,
            layout,
            // Not zeroes, which the system would give only when they are touched: what a ring
            // needs is taken at the start, not under load.
            memory: vec![0xff; usize::from(count) * BUFFER_BYTES].into_boxed_slice(),
            filled: vec![0; usize::from(count)].into_boxed_slice(),
            tail: 0,
            mask: count - 1,
        };
        let address = entries.as_ptr() as u64;
        let register = |flags| {
            // SAFETY: the memory is zeroed, page-aligned, as long as `count` entries, and lives
            // in `buffers`, which `Ring` drops after the ring itself.
            unsafe { ring.submitter().register_buf_ring_with_flags(address, count, GROUP, flags) }
        };
        // Older kernels do not know the flag; whole buffers work as well.
        register(INCREMENTAL).or_else(|_| register(0))?;
        for buffer in 0..count {
            buffers.offer(buffer);
        }
        Ok(buffers)
    }

    /// The bytes that a receive has put into a buffer.
    pub(super) fn bytes(&mut self, buffer: u16, count: usize) -> &mut [u8] {
        let from = self.filled[usize::from(buffer)];
        let start = usize::from(buffer) * BUFFER_BYTES + from;
        // The kernel writes behind these bytes only, and nowhere else until it has the buffer
        // anew.
        &mut self.memory[start..start + count]
    }

    /// The bytes have been used. `kept`: the kernel goes on filling the same buffer.
    pub(super) fn used(&mut self, buffer: u16, count: usize, kept: bool) {
        if kept {
            self.filled[usize::from(buffer)] += count;
        } else {
            self.filled[usize::from(buffer)] = 0;
            self.offer(buffer);
        }
    }

    /// Gives a whole buffer to the kernel.
    fn offer(&mut self, buffer: u16) {
        let start = usize::from(buffer) * BUFFER_BYTES;
        let address = self.memory[start..].as_mut_ptr() as u64;
        let index = usize::from(self.tail & self.mask);
        // SAFETY: `index` is below the number of entries. The kernel reads entries below the tail
        // only, and there are as many entries as buffers, so this one is not being read.
        let entry = unsafe { &mut *self.entries.as_ptr().add(index) };
        entry.set_addr(address);
        entry.set_len(BUFFER_BYTES as u32);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: `entries` is the base of the ring, where the kernel expects the tail; it is
        // aligned, lives as long as `self`, and is shared with the kernel only.
        let tail =
            unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.entries.as_ptr()).cast_mut()) };
        // Publishes the entry above.
        tail.store(self.tail, Ordering::Release);
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and the ring that used it is closed.
        unsafe { dealloc(self.entries.as_ptr().cast(), self.layout) };
    }
}
