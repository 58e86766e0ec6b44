//! Third-party clients: installs them below the target folder, hands them to the runner of
//! the end-to-end tests.

use std::path::PathBuf;

use serde::Serialize;

use crate::ci;
use crate::error::{Error, Result};
use crate::process::{self, Tally};
use crate::workspace::Workspace;

/// Where the programs that drive the clients are kept.
const SOURCES: &str = "crates/e2e/clients";

/// How the runner starts one client.
#[derive(Debug, Serialize)]
struct Client {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<PathBuf>,
    /// Configuration of the server the client cannot do without, as TOML.
    server: &'static str,
}

/// What the runner reads.
#[derive(Debug, Serialize)]
struct Clients {
    client: Vec<Client>,
}

/// A client by name, and how to install it into a folder of its own.
type Recipe = (&'static str, fn(&Workshop) -> Result<Client>);

const RECIPES: &[Recipe] = &[
    ("slixmpp", slixmpp),
    ("xmppjs", xmppjs),
    ("libstrophe", libstrophe),
    ("go-sendxmpp", go_sendxmpp),
];

/// Installs the clients named, or all of them, and runs their checks against the release binary.
pub fn run(workspace: &Workspace, driver: &str, names: &[&str]) -> Result<Tally> {
    let mut client = Vec::new();
    for (name, install) in RECIPES {
        if names.is_empty() || names.contains(name) {
            client.push(install(&Workshop::open(workspace, name)?)?);
        }
    }
    if client.is_empty() {
        let known: Vec<&str> = RECIPES.iter().map(|(name, _)| *name).collect();
        return Err(Error::Answer(format!("no such client; there are {}", known.join(", "))));
    }
    let list = workspace.target().join("clients/clients.toml");
    let text = toml::to_string(&Clients { client })
        .map_err(|error| Error::Answer(format!("clients.toml: {error}")))?;
    std::fs::write(&list, text).map_err(Error::file(&list))?;
    ci::counting(ci::end_to_end(workspace, driver)?.arg("clients").arg(list))
}

/// Where one client's sources lie, and where it is installed and built.
struct Workshop {
    sources: PathBuf,
    folder: PathBuf,
}

impl Workshop {
    fn open(workspace: &Workspace, name: &str) -> Result<Workshop> {
        let folder = workspace.target().join("clients").join(name);
        std::fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
        Ok(Workshop { sources: workspace.root().join(SOURCES).join(name), folder })
    }

    fn source(&self, name: &str) -> PathBuf {
        self.sources.join(name)
    }

    fn built(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Copies a source into the folder, for tools that install beside it.
    fn copy(&self, name: &str) -> Result<()> {
        let from = self.source(name);
        std::fs::copy(&from, self.built(name)).map_err(Error::file(from))?;
        Ok(())
    }
}

/// Python: slixmpp in a private virtual environment.
fn slixmpp(shop: &Workshop) -> Result<Client> {
    let python = shop.built("venv/bin/python");
    if !python.is_file() {
        process::run(process::command("python3").args(["-m", "venv"]).arg(shop.built("venv")))?;
    }
    let mut pip = process::command(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    process::run(pip.arg(shop.source("requirements.txt")))?;
    Ok(Client {
        name: "slixmpp",
        program: python,
        arguments: vec![shop.source("main.py")],
        server: "",
    })
}

/// JavaScript: @xmpp/client on Node, from the versions in its lock file.
fn xmppjs(shop: &Workshop) -> Result<Client> {
    for file in ["package.json", "package-lock.json", "main.mjs"] {
        shop.copy(file)?;
    }
    let mut npm = process::command("npm");
    npm.args(["ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]);
    process::run(npm.current_dir(&shop.folder))?;
    let arguments = vec![shop.built("main.mjs")];
    Ok(Client { name: "xmppjs", program: PathBuf::from("node"), arguments, server: "" })
}

/// C: a program on Debian's libstrophe.
fn libstrophe(shop: &Workshop) -> Result<Client> {
    let program = shop.built("main");
    let flags =
        process::output(process::command("pkg-config").args(["--cflags", "--libs", "libstrophe"]))?;
    let mut compiler = process::command("cc");
    compiler
        .args(["-std=c11", "-D_POSIX_C_SOURCE=200809L", "-O1", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&program);
    compiler.arg(shop.source("main.c")).args(flags.split_whitespace());
    process::run(&mut compiler)?;
    Ok(Client { name: "libstrophe", program, arguments: Vec::new(), server: "" })
}

/// Go: go-sendxmpp as Debian packages it, driven by a script.
fn go_sendxmpp(shop: &Workshop) -> Result<Client> {
    let arguments = vec![shop.source("main.py")];
    // The version in Debian 12 knows no SCRAM.
    let server = r#"auth.mechanisms = ["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"]"#;
    Ok(Client { name: "go-sendxmpp", program: PathBuf::from("python3"), arguments, server })
}
