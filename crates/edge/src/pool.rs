//! Spare output buffers of one worker.

/// Spare buffers kept. At the bound a returned buffer is freed.
const SPARE_MAX: usize = 256;

/// What a fresh buffer holds; most turns write less to one connection.
const FRESH: usize = 4 * 1024;

/// A buffer that grew past this is freed when it comes back, so that one burst to a slow peer
/// does not stay in memory.
const RETAINED_MAX: usize = 64 * 1024;

/// Lends buffers to connections that have something to send; idle ones own none.
#[derive(Default)]
pub(crate) struct Pool {
    spare: Vec<Vec<u8>>,
}

impl Pool {
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_else(|| Vec::with_capacity(FRESH))
    }

    pub(crate) fn give(&mut self, mut buffer: Vec<u8>) {
        let keep = (1..=RETAINED_MAX).contains(&buffer.capacity());
        if keep && self.spare.len() < SPARE_MAX {
            buffer.clear();
            self.spare.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_returned_buffer_is_lent_again_empty() {
        let mut pool = Pool::default();
        let mut buffer = pool.take();
        buffer.extend_from_slice(b"secret");
        let address = buffer.as_ptr();
        pool.give(buffer);
        let again = pool.take();
        assert_eq!((again.as_ptr(), again.len()), (address, 0));
    }

    #[test]
    fn large_and_surplus_buffers_are_freed() {
        let mut pool = Pool::default();
        pool.give(Vec::with_capacity(RETAINED_MAX + 1));
        pool.give(Vec::new());
        assert!(pool.spare.is_empty());
        for _ in 0..2 * SPARE_MAX {
            pool.give(Vec::with_capacity(FRESH));
        }
        assert_eq!(pool.spare.len(), SPARE_MAX);
    }
}
