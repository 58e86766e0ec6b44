//! Refcounted slices out of large chunks.

use bytes::{Bytes, BytesMut};

/// Bytes of a chunk: some hundred stanzas of the usual size.
const CHUNK_BYTES: usize = 64 * 1024;

/// Larger pieces get a buffer of their own: a chunk would be used up by a few of them, and one
/// that is kept for long would pin the rest.
const LARGE_BYTES: usize = 8 * 1024;

/// Copies byte strings into chunks and hands out refcounted slices of them.
///
/// In steady state nothing is allocated: when a chunk is used up and every slice of it was
/// dropped, it is used again. Whoever keeps a slice for long copies it first: it pins its chunk.
#[derive(Debug, Default)]
pub struct Arena {
    chunk: BytesMut,
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
            // Takes the old chunk back if nobody holds a slice of it, else makes a new one.
            self.chunk.reserve(CHUNK_BYTES);
        }
        self.chunk.extend_from_slice(bytes);
        self.chunk.split().freeze()
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
    fn a_large_piece_has_a_buffer_of_its_own() {
        let mut arena = Arena::new();
        let small = arena.copy(b"small");
        let large = arena.copy(&vec![7; LARGE_BYTES]);
        let distance = (large.as_ptr() as usize).abs_diff(small.as_ptr() as usize);
        assert!(distance > 5, "not in the same chunk");
        assert_eq!(large.len(), LARGE_BYTES);
    }
}
