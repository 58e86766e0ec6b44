//! Compiles `proto/` into types and the gRPC service. `protox` reads the files, so that no build
//! needs `protoc`.

use std::error::Error;
use std::path::Path;

/// Below `proto/`; what they import is found by itself.
const ENTRY: &str = "peer/v1/service.proto";

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    println!("cargo::rerun-if-changed={}", root.display());
    let files = protox::compile([root.join(ENTRY)], [&root])?;
    tonic_prost_build::configure()
        // Payload is a slice of the buffer it was received into.
        .bytes(".")
        .codec_path("crate::wire::codec::Bounded")
        .build_transport(false)
        .emit_rerun_if_changed(false)
        .compile_fds(files)?;
    Ok(())
}
