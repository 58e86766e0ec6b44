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

type Reader<'r> = (&'static str, Box<dyn FnMut(&str) -> usize + 'r>);

fn main() {
    println!("MB/s; in brackets how often the second and third column go into the first\n");
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
            "framer + tokenizer",
            Box::new(move |stanza| {
                let length = readers::frame(&mut first, stanza.as_bytes());
                length + readers::tokenize(stanza.as_bytes(), scope)
            }),
        ),
        (
            "framer + UTF-8 + xmlparser",
            Box::new(move |stanza| {
                let length = readers::frame(&mut second, stanza.as_bytes());
                length + readers::xmlparser(stanza.as_bytes())
            }),
        ),
        ("quick-xml NsReader", Box::new(readers::quick_xml_namespaces)),
        ("quick-xml Reader", Box::new(readers::quick_xml_events)),
        ("rxml", Box::new(|stanza| readers::rxml(stanza.as_bytes()))),
        ("framer alone", Box::new(move |stanza| readers::frame(&mut third, stanza.as_bytes()))),
        ("tokenizer alone", Box::new(move |stanza| readers::tokenize(stanza.as_bytes(), scope))),
    ]
}

fn print_row(shape: &Shape) {
    let scope = Scope::client();
    let mut readers = all_readers(&scope);
    let mut fastest = vec![Duration::MAX; readers.len()];
    for _ in 0..ROUNDS {
        for ((_, read), fastest) in readers.iter_mut().zip(&mut fastest) {
            let start = Instant::now();
            let sum: usize = shape.stanzas.iter().map(|stanza| read(black_box(stanza))).sum();
            black_box(sum);
            *fastest = start.elapsed().min(*fastest);
        }
    }
    let speed = |time: &Duration| shape.bytes() as f64 / time.as_secs_f64() / 1e6;
    let speeds: Vec<f64> = fastest.iter().map(speed).collect();
    let columns = speeds.iter().enumerate().map(|(column, speed)| match column {
        1 | 2 => format!("{speed:.0} ({:.1} ×)", speeds[0] / speed),
        _ => format!("{speed:.0}"),
    });
    let mean = shape.bytes() / shape.stanzas.len() as u64;
    println!("| {} | {mean} | {} |", shape.name, columns.collect::<Vec<_>>().join(" | "));
}
