//! The binary `jackdaw`.

fn main() {}
