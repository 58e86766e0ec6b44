//! A PostgreSQL of a test's own: in a directory that goes with it, on a socket in there.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

/// Where Debian has its server, newest first.
const VERSIONS: [&str; 4] = ["18", "17", "16", "15"];

pub struct Server {
    directory: TempDir,
    bin: PathBuf,
    process: Child,
    databases: AtomicUsize,
}

/// As the user of the package: PostgreSQL refuses to run as root.
fn unprivileged(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if users_id() == "0" {
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    }
    command.arg("--").arg(program).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn users_id() -> String {
    let output = Command::new("id").arg("-u").output().expect("runs");
    String::from_utf8(output.stdout).expect("a number").trim().to_owned()
}

fn bin() -> PathBuf {
    let paths = VERSIONS.iter().map(|v| PathBuf::from(format!("/usr/lib/postgresql/{v}/bin")));
    let found = paths.into_iter().find(|path| path.join("initdb").exists());
    found.expect("PostgreSQL is not here, so nothing was tested: apt-get install postgresql")
}

/// Only a socket in its directory: no port that anybody else could have.
fn run(bin: &Path, directory: &Path) -> Child {
    let mut server = unprivileged(&bin.join("postgres"));
    server.arg("-D").arg(directory.join("data")).arg("-k").arg(directory);
    server.args(["-c", "listen_addresses=", "-c", "max_connections=200"]);
    server.stderr(Stdio::null()).spawn().expect("runs")
}

impl Server {
    pub fn start() -> Server {
        let bin = bin();
        let directory = TempDir::with_prefix("jackdaw-pg-").expect("a directory");
        if users_id() == "0" {
            let owned = Command::new("chown").arg("postgres").arg(directory.path()).status();
            assert!(owned.expect("runs").success());
        }
        let data = directory.path().join("data");
        let mut made = unprivileged(&bin.join("initdb"));
        made.args(["--auth=trust", "--username=jackdaw", "--encoding=UTF8", "--no-sync", "-D"]);
        assert!(made.arg(&data).status().expect("runs").success());
        let process = run(&bin, directory.path());
        let mut server = Server { directory, bin, process, databases: AtomicUsize::new(0) };
        server.wait_until_ready();
        server
    }

    /// Ends it as a crash does.
    pub fn stop(&mut self) {
        // `setpriv` became the server.
        let stopped = Command::new("kill").arg("-QUIT").arg(self.process.id().to_string()).status();
        if stopped.is_ok_and(|status| status.success()) {
            self.process.wait().ok();
        }
    }

    /// Starts it again on what it wrote.
    pub fn restart(&mut self) {
        self.process = run(&self.bin, self.directory.path());
        self.wait_until_ready();
    }

    fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command.arg("-h").arg(self.directory.path()).args(["-U", "jackdaw"]);
        command.stdout(Stdio::null());
        command
    }

    /// `pg_isready` itself waits for an answer, but not for the socket to appear.
    fn wait_until_ready(&mut self) {
        while !self.tool("pg_isready").status().expect("runs").success() {
            assert!(self.process.try_wait().expect("asked").is_none(), "PostgreSQL did not start");
            std::thread::yield_now();
        }
    }

    /// The URL of an empty one.
    pub fn new_database(&self) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        assert!(self.tool("createdb").arg(&name).status().expect("runs").success());
        let host = self.directory.path().to_str().expect("text").replace('/', "%2F");
        format!("postgresql://jackdaw@{host}/{name}")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
