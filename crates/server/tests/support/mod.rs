//! Runs the binary in a directory of its own.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The binary, ready to be started in `directory` without anything from our own environment.
pub fn command(arguments: &[&str], directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jackdaw"));
    command.args(arguments).current_dir(directory);
    command.env_remove("JACKDAW_CONFIG").env_remove("JACKDAW_LOG");
    command
}

/// Runs it to its end with `input` on standard input.
pub fn jackdaw(arguments: &[&str], directory: &Path, input: &str) -> Output {
    let mut child = command(arguments, directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // A command that does not read its input may be gone by now.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    child.wait_with_output().expect("the binary ends")
}

/// Output as text.
pub fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}
