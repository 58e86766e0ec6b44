//! Our framer and tokenizer beside three other readers, on four shapes of stanza.

#![allow(missing_docs)] // `criterion_group!` makes public functions.

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use jackdaw_bench::shapes::Shape;
use jackdaw_bench::{readers, shapes};
use jackdaw_xml::Scope;

fn framing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("framing");
    let mut shapes = shapes::all();
    shapes.push(shapes::one_kilobyte());
    for shape in &shapes {
        let mut framer = readers::framer();
        measure(&mut group, shape.name, shape, |stanza| {
            readers::frame(&mut framer, stanza.as_bytes())
        });
    }
}

fn reading(criterion: &mut Criterion) {
    for shape in shapes::all() {
        let mut group = criterion.benchmark_group(shape.name);
        let scope = Scope::client();
        let mut framer = readers::framer();
        measure(&mut group, "unframed tokenizer", &shape, |stanza| {
            readers::tokenize_unframed(stanza.as_bytes(), &scope)
        });
        measure(&mut group, "framer + tokenizer", &shape, |stanza| {
            let length = readers::frame(&mut framer, stanza.as_bytes());
            length + readers::tokenize(stanza.as_bytes(), &scope)
        });
        measure(&mut group, "framer + UTF-8 + xmlparser", &shape, |stanza| {
            let length = readers::frame(&mut framer, stanza.as_bytes());
            length + readers::xmlparser(stanza.as_bytes())
        });
        measure(&mut group, "quick-xml NsReader", &shape, readers::quick_xml_namespaces);
        measure(&mut group, "quick-xml Reader", &shape, readers::quick_xml_events);
        measure(&mut group, "rxml", &shape, |stanza| readers::rxml(stanza.as_bytes()));
        measure(&mut group, "tokenizer alone", &shape, |stanza| {
            readers::tokenize(stanza.as_bytes(), &scope)
        });
    }
}

/// Reads all stanzas of a shape in turn.
fn measure(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    shape: &Shape,
    mut read: impl FnMut(&str) -> usize,
) {
    group.throughput(Throughput::Bytes(shape.bytes()));
    group.bench_function(name, |bencher| {
        bencher.iter(|| shape.stanzas.iter().map(|stanza| read(black_box(stanza))).sum::<usize>());
    });
}

fn config() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50)
}

criterion_group! { name = xml; config = config(); targets = framing, reading }
criterion_main!(xml);
