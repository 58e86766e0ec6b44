//! Refcounted slices out of large chunks.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Bytes of a chunk: some hundred stanzas of the usual size.
const CHUNK_BYTES: usize = 64 * 1024;

/// Larger pieces get a buffer of their own: a chunk would be used up by a few of them, and one
/// that is kept for long would pin the rest.
const LARGE_BYTES: usize = 8 * 1024;

/// Chunks that are used in turn. What a turn of a worker has in hand fits into one, so with a few
/// of them one is always free again when the next is wanted.
const CHUNKS_MAX: usize = 4;

/// Buffers that are kept for pieces in parts. Between turns there is one for each stream whose peer
/// is in the middle of a stanza, which is rare; the kernel cuts one wherever its buffer ends.
const BUFFERS_MAX: usize = 16;

/// Copies byte strings into chunks and hands out refcounted slices of them.
///
/// In steady state nothing is allocated: a chunk of which every slice was dropped is used again.
/// Whoever keeps a slice for long copies it first: it pins its chunk.
#[derive(Debug, Default)]
pub struct Arena {
    chunk: BytesMut,
    /// Used up, the oldest first. Some of their slices may still be held.
    used: VecDeque<BytesMut>,
    /// Empty, for pieces that come in parts.
    buffers: Vec<Vec<u8>>,
}

impl Arena {
    /// An arena without a chunk; the first copy makes one.
    pub fn new() -> Arena {
        Arena::default()
    }

    /// A slice that holds a copy of `bytes`.
    pub fn copy(&mut self, bytes: &[u8]) -> Bytes {
        if bytes.len() >= LARGE_BYTES {
            return Bytes::copy_from_slice(bytes);
        }
        if self.chunk.capacity() < bytes.len() {
            self.take_chunk();
        }
        self.chunk.extend_from_slice(bytes);
        self.chunk.split().freeze()
    }

    /// An empty buffer for a piece that comes in parts.
    pub fn take_buffer(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_default()
    }

    /// Takes such a buffer back.
    pub fn give_buffer(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= LARGE_BYTES && self.buffers.len() < BUFFERS_MAX {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }

    /// Goes on with a chunk that nobody holds a slice of, else with a new one.
    fn take_chunk(&mut self) {
        if self.chunk.try_reclaim(CHUNK_BYTES) {
            return;
        }
        let free = self.used.iter_mut().position(|chunk| chunk.try_reclaim(CHUNK_BYTES));
        let next = free.and_then(|index| self.used.remove(index));
        if self.used.len() + 1 >= CHUNKS_MAX {
            // It is pinned: its slices free it when they go.
            self.used.pop_front();
        }
        let next = next.unwrap_or_else(|| BytesMut::with_capacity(CHUNK_BYTES));
        let before = std::mem::replace(&mut self.chunk, next);
        self.used.push_back(before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_hold_what_was_copied() {
        let mut arena = Arena::new();
        let pieces: Vec<Vec<u8>> = (0..2000u32).map(|n| vec![n as u8; n as usize % 900]).collect();
        let slices: Vec<Bytes> = pieces.iter().map(|piece| arena.copy(piece)).collect();
        assert_eq!(slices, pieces);
    }

    #[test]
    fn a_chunk_whose_slices_are_gone_is_used_again() {
        let mut arena = Arena::new();
        let first = arena.copy(&[1; 100]).as_ptr();
        let reused = (0..CHUNK_BYTES / 50).any(|_| arena.copy(&[2; 100]).as_ptr() == first);
        assert!(reused, "the second round begins where the first did");
    }

    #[test]
    fn slices_that_are_held_for_a_while_do_not_cost_a_chunk_each() {
        let mut arena = Arena::new();
        let mut held = VecDeque::new();
        let mut places = std::collections::BTreeSet::new();
        for _ in 0..20_000 {
            held.push_back(arena.copy(&[3; 200]));
            places.insert(held.back().map_or(0, |slice| slice.as_ptr() as usize));
            if held.len() > 16 {
                held.pop_front();
            }
        }
        assert!(places.len() * 200 <= 2 * CHUNK_BYTES, "{} places", places.len());
    }

    #[test]
    fn a_slice_that_is_held_for_ever_is_let_go_of() {
        let mut arena = Arena::new();
        let mut held = Vec::new();
        for _ in 0..20 {
            held.push(arena.copy(&[4; 100]));
            (0..CHUNK_BYTES / 1000).for_each(|_| drop(arena.copy(&[5; 1000])));
        }
        assert!(arena.used.len() < CHUNKS_MAX);
        assert!(held.iter().all(|slice| **slice == [4; 100]));
    }

    #[test]
    fn a_buffer_comes_back_empty() {
        let mut arena = Arena::new();
        let mut buffer = arena.take_buffer();
        buffer.extend_from_slice(b"a part");
        let place = buffer.as_ptr();
        arena.give_buffer(buffer);
        arena.give_buffer(Vec::with_capacity(LARGE_BYTES + 1));
        let again = arena.take_buffer();
        assert!(again.is_empty());
        assert_eq!(again.as_ptr(), place);
        assert_eq!(arena.take_buffer().capacity(), 0);
    }

    #[test]
    fn a_large_piece_has_a_buffer_of_its_own() {
        let mut arena = Arena::new();
        let small = arena.copy(b"small");
        let large = arena.copy(&vec![7; LARGE_BYTES]);
        let distance = (large.as_ptr() as usize).abs_diff(small.as_ptr() as usize);
        assert!(distance > 5, "not in the same chunk");
        assert_eq!(large.len(), LARGE_BYTES);
    }
}
