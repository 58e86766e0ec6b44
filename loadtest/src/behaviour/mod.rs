//! What clients do, one file each.

mod chat;
mod quiet;

pub use chat::{Chat, ChatSettings};
pub use quiet::Quiet;

/// Digits of a sequence number in a stanza's `id`, so that it can be changed in place.
const DIGITS: usize = 10;

/// Writes `number` over the digits at the end of `place`.
fn write_number(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_with_leading_zeros() {
        let mut place = [b'x'; DIGITS];
        write_number(&mut place, 4_711);
        assert_eq!(&place, b"0000004711");
    }
}
