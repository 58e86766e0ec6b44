//! What the gate needs besides cargo, and how to get it on a bare Debian.

use crate::error::{Error, Result};
use crate::process;

/// A program the gate needs, and the Debian package it comes in.
struct Tool {
    program: &'static str,
    probe: &'static [&'static str],
    package: &'static str,
}

const fn tool(
    program: &'static str,
    probe: &'static [&'static str],
    package: &'static str,
) -> Tool {
    Tool { program, probe, package }
}

/// `venv` and `ensurepip` are packages of their own in Debian, so the probe imports both.
const TOOLS: &[Tool] = &[
    tool("python3", &["-c", "import venv, ensurepip"], "python3-venv"),
    tool("node", &["--version"], "nodejs"),
    tool("npm", &["--version"], "npm"),
    tool("go-sendxmpp", &["--version"], "go-sendxmpp"),
    tool("gcc", &["--version"], "gcc"),
    tool("c++", &["--version"], "g++"),
    tool("pkg-config", &["--version"], "pkg-config"),
    tool("pkg-config", &["--exists", "libstrophe"], "libstrophe-dev"),
    // Debian keeps the server out of PATH, in a folder for each version.
    tool("sh", &["-c", "ls /usr/lib/postgresql/*/bin/initdb"], "postgresql"),
];

/// Installs the Debian packages of the tools that are missing. Does nothing where all are there.
pub fn install_missing() -> Result<()> {
    let missing: Vec<&Tool> = TOOLS
        .iter()
        .filter(|tool| !process::succeeds(process::command(tool.program).args(tool.probe)))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|tool| tool.package).collect();
    println!("installing {}", packages.join(" "));
    let installed = as_root(&["apt-get", "update", "-qq"]).and_then(|()| {
        let install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends"];
        as_root(&[&install[..], &packages].concat())
    });
    installed.map_err(|error| {
        Error::Answer(format!("{error}; install these by hand: {}", packages.join(" ")))
    })
}

/// Runs `words` as root, by sudo where we are somebody else.
fn as_root(words: &[&str]) -> Result<()> {
    let user = process::output(process::command("id").arg("-u"))?;
    let words = match user.trim() {
        "0" => words.to_vec(),
        _ => [&["sudo", "-n"], words].concat(),
    };
    let mut command = process::command(words[0]);
    process::run(command.args(&words[1..]).env("DEBIAN_FRONTEND", "noninteractive"))
}
