//! What the process holds in its heap, counted by its allocator.
//!
//! Resident memory does not fall when something is freed, so it cannot tell a crowd that is there
//! from one that has left. This counts what was asked for and not given back, to the byte.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};

/// Threads with a counter of their own. Workers, the runtime's and the store's threads start first;
/// later ones share the last counter.
const COUNTERS: usize = 64;

/// The counter that is shared.
const SHARED: usize = COUNTERS - 1;

/// A cache line of its own, as one thread writes to it all the time. It may fall below zero: what
/// one thread allocates another may free.
#[repr(align(128))]
struct Counter(AtomicIsize);

static HELD: [Counter; COUNTERS] = [const { Counter(AtomicIsize::new(0)) }; COUNTERS];

/// The place of the next thread.
static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Has no destructor and allocates nothing, so an allocator may use it.
    static PLACE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// An allocator that counts the bytes it has handed out.
#[derive(Debug)]
pub struct Counted<A>(A);

impl<A> Counted<A> {
    /// Counts what `allocator` hands out.
    pub const fn new(allocator: A) -> Counted<A> {
        Counted(allocator)
    }
}

/// Bytes in the heap, if the process has a [`Counted`] allocator; else none. What C libraries
/// allocate by themselves is not in it.
pub fn heap_bytes() -> u64 {
    let sum: isize = HELD.iter().map(|counter| counter.0.load(Ordering::Relaxed)).sum();
    // Read while others write, the sum may be off by what is being moved.
    u64::try_from(sum).unwrap_or(0)
}

fn add(bytes: isize) {
    let place = PLACE.try_with(|place| {
        if place.get() == usize::MAX {
            place.set(NEXT.fetch_add(1, Ordering::Relaxed).min(SHARED));
        }
        place.get()
    });
    let place = place.unwrap_or(SHARED);
    let counter = &HELD[place].0;
    if place == SHARED {
        counter.fetch_add(bytes, Ordering::Relaxed);
    } else {
        // One writer: a load and a store, no locked instruction.
        counter.store(counter.load(Ordering::Relaxed).wrapping_add(bytes), Ordering::Relaxed);
    }
}

/// No layout is larger than `isize::MAX`.
fn size(layout: Layout) -> isize {
    layout.size() as isize
}

// SAFETY: every call is passed on as it is, and what comes back is returned as it is.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counted<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract, which is the same.
        let place = unsafe { self.0.alloc(layout) };
        if !place.is_null() {
            add(size(layout));
        }
        place
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract, which is the same.
        let place = unsafe { self.0.alloc_zeroed(layout) };
        if !place.is_null() {
            add(size(layout));
        }
        place
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        add(-size(layout));
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { self.0.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller keeps the contract, which is the same.
        let moved = unsafe { self.0.realloc(place, layout, new_size) };
        if !moved.is_null() {
            add(new_size as isize - size(layout));
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use std::alloc::System;

    use super::*;

    /// The counters are those of the process: one test alone uses them.
    #[test]
    fn what_one_thread_allocates_and_another_frees_is_gone() {
        let heap = Counted::new(System);
        let layout = Layout::from_size_align(1_000, 8).expect("a layout");
        let before = heap_bytes();
        for _ in 0..COUNTERS + 2 {
            // SAFETY: the layout has a size.
            let place = unsafe { heap.alloc(layout) } as usize;
            assert_eq!(heap_bytes(), before + 1_000);
            let grown = std::thread::spawn(move || {
                let heap = Counted::new(System);
                // SAFETY: it was allocated with this layout, and nobody else has it.
                let grown = unsafe { heap.realloc(place as *mut u8, layout, 3_000) };
                grown as usize
            });
            let grown = grown.join().expect("no panic");
            assert_eq!(heap_bytes(), before + 3_000);
            let layout = Layout::from_size_align(3_000, 8).expect("a layout");
            // SAFETY: the same.
            unsafe { heap.dealloc(grown as *mut u8, layout) };
            assert_eq!(heap_bytes(), before);
        }
    }
}
