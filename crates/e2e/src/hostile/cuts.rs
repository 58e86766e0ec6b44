//! Where an input is cut before it is sent: what the server makes of bytes must not depend on how
//! many of them come at once.

use super::dice::Dice;

/// Inputs up to here are cut at every byte.
const EVERY_BYTE_MAX: usize = 600;

/// Of longer ones, so many bytes at either end.
const ENDS: usize = 48;

/// Random cuts of a longer input, each into several pieces.
const RANDOM_CUTS: usize = 8;
const RANDOM_PIECES: usize = 8;

/// Bytes at either end of a longer input that are sent one by one.
const DRIPPED: usize = 256;

/// The offsets at which an input is cut, in ascending order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cut(Vec<usize>);

impl Cut {
    /// In one piece.
    pub fn whole() -> Cut {
        Cut(Vec::new())
    }

    /// The pieces.
    pub fn pieces<'a>(&'a self, input: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let from = std::iter::once(0).chain(self.0.iter().copied());
        let to = self.0.iter().copied().chain(std::iter::once(input.len()));
        from.zip(to).map(|(from, to)| &input[from..to])
    }
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str("whole"),
            [at] => write!(f, "cut at {at}"),
            [first, .., last] => write!(f, "{} pieces, {first} to {last}", self.0.len() + 1),
        }
    }
}

/// All cuts an input of this length is sent in: whole, once at every byte, and byte by byte. Of a
/// long input: at every byte near its ends, at random places, and its ends byte by byte.
pub fn cuts(length: usize, dice: &mut Dice) -> Vec<Cut> {
    let mut cuts = vec![Cut::whole()];
    if length <= EVERY_BYTE_MAX {
        cuts.extend((1..length).map(|at| Cut(vec![at])));
        cuts.push(Cut((1..length).collect()));
    } else {
        let ends = (1..ENDS).chain(length - ENDS..length);
        cuts.extend(ends.map(|at| Cut(vec![at])));
        cuts.extend((0..RANDOM_CUTS).map(|_| random(length, dice)));
        cuts.push(Cut((1..DRIPPED).chain(length - DRIPPED..length).collect()));
    }
    cuts.sort();
    cuts.dedup();
    cuts
}

/// Anywhere, into a few pieces.
pub fn random(length: usize, dice: &mut Dice) -> Cut {
    if length < 2 {
        return Cut::whole();
    }
    let mut offsets: Vec<usize> = (1..RANDOM_PIECES).map(|_| 1 + dice.below(length - 1)).collect();
    offsets.sort_unstable();
    offsets.dedup();
    Cut(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_input_is_cut_at_every_byte_and_comes_out_the_same() {
        let input = b"<presence/>";
        let all = cuts(input.len(), &mut Dice::of(1, "cuts"));
        for at in 1..input.len() {
            assert!(all.contains(&Cut(vec![at])), "{at}");
        }
        for cut in all {
            assert_eq!(cut.pieces(input).collect::<Vec<_>>().concat(), input, "{cut}");
        }
    }

    #[test]
    fn a_long_input_is_cut_at_its_ends_and_in_between() {
        let input = vec![b'a'; 100_000];
        let all = cuts(input.len(), &mut Dice::of(1, "cuts"));
        assert!(all.contains(&Cut(vec![1])) && all.contains(&Cut(vec![99_999])));
        assert!(all.len() > 100);
        for cut in all {
            assert_eq!(cut.pieces(&input).map(<[u8]>::len).sum::<usize>(), input.len(), "{cut}");
        }
    }

    #[test]
    fn an_input_of_a_byte_or_none_is_sent_as_it_is() {
        for length in [0, 1] {
            assert_eq!(cuts(length, &mut Dice::of(1, "cuts")), [Cut::whole()]);
            assert_eq!(random(length, &mut Dice::of(1, "cuts")), Cut::whole());
        }
    }
}
