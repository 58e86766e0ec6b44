//! SipHash-2-4 (Aumasson and Bernstein, 2012). Written out, because where an account lives must not
//! change with a version of somebody else's crate.

/// The hash of `bytes` under `key`.
pub(crate) fn siphash_2_4(key: &[u8; 16], bytes: &[u8]) -> u64 {
    let (first, second) = key.split_at(8);
    let (k0, k1) = (word(first), word(second));
    let mut state = State([
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ]);
    let mut words = bytes.chunks_exact(8);
    for chunk in &mut words {
        state.absorb(word(chunk));
    }
    // The last word has the rest, and the length in its highest byte.
    state.absorb(word(words.remainder()) | (bytes.len() as u64) << 56);
    state.finish()
}

/// Up to 8 bytes, little-endian.
fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

struct State([u64; 4]);

impl State {
    fn absorb(&mut self, word: u64) {
        self.0[3] ^= word;
        self.round();
        self.round();
        self.0[0] ^= word;
    }

    fn finish(mut self) -> u64 {
        self.0[2] ^= 0xff;
        for _ in 0..4 {
            self.round();
        }
        self.0.iter().fold(0, |hash, v| hash ^ v)
    }

    fn round(&mut self) {
        let [mut v0, mut v1, mut v2, mut v3] = self.0;
        v0 = v0.wrapping_add(v1);
        v1 = v1.rotate_left(13) ^ v0;
        v0 = v0.rotate_left(32);
        v2 = v2.wrapping_add(v3);
        v3 = v3.rotate_left(16) ^ v2;
        v0 = v0.wrapping_add(v3);
        v3 = v3.rotate_left(21) ^ v0;
        v2 = v2.wrapping_add(v1);
        v1 = v1.rotate_left(17) ^ v2;
        v2 = v2.rotate_left(32);
        self.0 = [v0, v1, v2, v3];
    }
}

#[cfg(test)]
mod tests {
    use super::siphash_2_4;

    #[test]
    fn the_authors_test_vectors_come_out() {
        let key: [u8; 16] = std::array::from_fn(|n| n as u8);
        let input: Vec<u8> = (0..15).collect();
        for (length, hash) in [
            (0, 0x726f_db47_dd0e_0e31),
            (1, 0x74f8_39c5_93dc_67fd),
            (7, 0xab02_00f5_8b01_d137),
            (8, 0x93f5_f579_9a93_2462),
            (15, 0xa129_ca61_49be_45e5),
        ] {
            assert_eq!(siphash_2_4(&key, &input[..length]), hash, "{length} bytes");
        }
    }
}
