//! The comparison of `xml.rs` as one table, for machines that have other things to do: the readers
//! take turns, and of each the fastest round counts.

#![expect(clippy::disallowed_methods)] // It is a clock that is wanted here.

use std::hint::black_box;
use std::time::{Duration, Instant};

use jackdaw_bench::readers;
use jackdaw_bench::shapes::{self, Shape};
use jackdaw_xml::Scope;

/// Turns of every reader. A round takes about 0.1 ms, so that some fall between the interruptions.
const ROUNDS: usize = 3_000;

/// Gets a stanza and all that follows it in the stream.
type Reader<'r> = (&'static str, Box<dyn FnMut(&str, &str) -> usize + 'r>);

fn main() {
    println!("MB/s; in brackets how often the third and fourth column go into the first\n");
    let names: Vec<&str> = all_readers(&Scope::client()).iter().map(|(name, _)| *name).collect();
    println!("| shape | bytes | {} |", names.join(" | "));
    println!("|---|---|{}", "---|".repeat(names.len()));
    let mut shapes = shapes::all();
    shapes.push(shapes::one_kilobyte());
    for shape in &shapes {
        print_row(shape);
    }
}

/// Ours and the two that it is to be compared with come first.
fn all_readers(scope: &Scope) -> Vec<Reader<'_>> {
    let (mut first, mut second, mut third) =
        (readers::framer(), readers::framer(), readers::framer());
    vec![
        (
            "unframed tokenizer",
            Box::new(move |_, stream| readers::tokenize_unframed(stream.as_bytes(), scope)),
        ),
        (
            "framer + tokenizer",
            Box::new(move |stanza, stream| {
                let length = readers::frame(&mut first, stream.as_bytes());
                length + readers::tokenize(stanza.as_bytes(), scope)
            }),
        ),
        (
            "framer + UTF-8 + xmlparser",
            Box::new(move |stanza, stream| {
                let length = readers::frame(&mut second, stream.as_bytes());
                length + readers::xmlparser(stanza.as_bytes())
            }),
        ),
        ("quick-xml NsReader", Box::new(|stanza, _| readers::quick_xml_namespaces(stanza))),
        ("quick-xml Reader", Box::new(|stanza, _| readers::quick_xml_events(stanza))),
        ("rxml", Box::new(|stanza, _| readers::rxml(stanza.as_bytes()))),
        ("framer alone", Box::new(move |_, stream| readers::frame(&mut third, stream.as_bytes()))),
        ("tokenizer alone", Box::new(|stanza, _| readers::tokenize(stanza.as_bytes(), scope))),
    ]
}

fn print_row(shape: &Shape) {
    let scope = Scope::client();
    let mut readers = all_readers(&scope);
    let mut fastest = vec![Duration::MAX; readers.len()];
    let whole: String = shape.stanzas.concat();
    let mut stream = whole.as_str();
    let mut stanzas = Vec::new();
    for stanza in &shape.stanzas {
        let (stanza, rest) = stream.split_at(stanza.len());
        stanzas.push((stanza, stream));
        stream = rest;
    }
    for _ in 0..ROUNDS {
        for ((_, read), fastest) in readers.iter_mut().zip(&mut fastest) {
            let start = Instant::now();
            let sums = stanzas.iter().map(|(stanza, stream)| {
                let (stanza, stream) = black_box((*stanza, *stream));
                read(stanza, stream)
            });
            black_box(sums.sum::<usize>());
            *fastest = start.elapsed().min(*fastest);
        }
    }
    let speed = |time: &Duration| shape.bytes() as f64 / time.as_secs_f64() / 1e6;
    let speeds: Vec<f64> = fastest.iter().map(speed).collect();
    let columns = speeds.iter().enumerate().map(|(column, speed)| match column {
        2 | 3 => format!("{speed:.0} ({:.1} ×)", speeds[0] / speed),
        _ => format!("{speed:.0}"),
    });
    let mean = shape.bytes() / shape.stanzas.len() as u64;
    println!("| {} | {mean} | {} |", shape.name, columns.collect::<Vec<_>>().join(" | "));
}
