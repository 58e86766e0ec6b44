//! However the bytes arrive, the frames are the same (X13).

use jackdaw_xml::{Frame, Framer, Limits, Scan, XmlError};
use proptest::prelude::*;

use crate::{corpus, generate};

const HEADER: &str = "<?xml version='1.0'?>\n<stream:stream to='a' xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams'>";

/// The frames of a stream that arrives in these pieces, up to the error if there is one. A run of
/// white space counts as one frame.
fn frames<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<(Frame, Vec<u8>)>, Option<XmlError>) {
    let mut framer = Framer::new();
    let mut frames: Vec<(Frame, Vec<u8>)> = Vec::new();
    let mut pending = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            match framer.scan(&Limits::after_auth(), piece) {
                Err(error) => return (frames, Some(error)),
                Ok(Scan::Partial) => {
                    pending.extend_from_slice(piece);
                    break;
                }
                Ok(Scan::Complete { frame, length }) => {
                    let (head, rest) = piece.split_at(length);
                    pending.extend_from_slice(head);
                    piece = rest;
                    let bytes = std::mem::take(&mut pending);
                    match frames.last_mut() {
                        Some((Frame::Whitespace, run)) if frame == Frame::Whitespace => {
                            run.extend_from_slice(&bytes);
                        }
                        _ => frames.push((frame, bytes)),
                    }
                }
            }
        }
        assert_eq!(framer.is_between(), pending.is_empty());
    }
    (frames, None)
}

#[test]
fn every_split_of_the_corpus_gives_the_same_frames() {
    for stanza in corpus::VALID.iter().chain(corpus::INVALID) {
        let text = format!("{HEADER}{stanza}\n</stream:stream>");
        let bytes = text.as_bytes();
        let whole = frames([bytes]);
        for at in 1..bytes.len() {
            let (first, second) = bytes.split_at(at);
            assert_eq!(frames([first, second]), whole, "{text:?} split at {at}");
        }
        assert_eq!(frames(bytes.chunks(1)), whole, "{text:?} byte by byte");
    }
}

#[test]
fn a_valid_stanza_is_one_frame_wherever_it_stands() {
    // The framer reads blocks of 64 bytes: the stanza starts at each place of a block.
    for stanza in corpus::VALID {
        for shift in 0..64 {
            let before = format!("<x y='{}'/>", "z".repeat(shift));
            let text = format!("{HEADER}{before}{stanza}</stream:stream>");
            let (frames, error) = frames([text.as_bytes()]);
            assert_eq!(error, None);
            let kinds: Vec<Frame> = frames.iter().map(|(frame, _)| *frame).collect();
            use Frame::{Element, StreamClose, StreamOpen};
            assert_eq!(kinds, [StreamOpen, Element, Element, StreamClose]);
            assert_eq!(frames[2].1, stanza.as_bytes());
        }
    }
}

proptest! {
    #![proptest_config(generate::cases(2_000))]

    #[test]
    fn any_cuts_of_any_documents_give_the_same_frames(
        documents in prop::collection::vec(generate::any_document(), 1..4),
        cuts in prop::collection::vec(1..40_usize, 1..12),
    ) {
        let text = format!("{HEADER}{}</stream:stream>", documents.concat());
        let bytes = text.as_bytes();
        let mut pieces = Vec::new();
        let mut rest = bytes;
        for length in cuts.iter().cycle() {
            let (piece, others) = rest.split_at((*length).min(rest.len()));
            pieces.push(piece);
            rest = others;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(frames(pieces), frames([bytes]));
        prop_assert_eq!(frames(bytes.chunks(1)), frames([bytes]));
    }
}
