//! A PostgreSQL of a test's own: Debian's, in a directory that goes with it, on a socket in there.
//!
//! Everything here panics where it cannot go on: a test without its database has shown nothing.
//!
//! Does not: run anywhere but in tests, or look for a PostgreSQL that runs already.
#![forbid(unsafe_code)]

mod processes;

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

/// Where Debian has its server, newest first.
const VERSIONS: [&str; 4] = ["18", "17", "16", "15"];

/// Ports tried where somebody else takes one between its choice and the start.
const PORTS_MAX: usize = 20;

/// A server that is there until it is dropped.
#[derive(Debug)]
pub struct Postgres {
    directory: TempDir,
    bin: PathBuf,
    process: Mutex<Child>,
    /// What it is started with beside what every one is: `name=value`.
    settings: Vec<String>,
    databases: AtomicUsize,
}

/// As the user of the package: PostgreSQL refuses to run as root.
fn unprivileged(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if is_root() {
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    }
    command.arg("--").arg(program).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().expect("`id` runs");
    output.stdout == b"0\n"
}

fn give_to_postgres(path: &Path) {
    if is_root() {
        let owned = Command::new("chown").arg("postgres").arg(path).status();
        assert!(owned.expect("`chown` runs").success());
    }
}

fn bin() -> PathBuf {
    let paths = VERSIONS.iter().map(|v| PathBuf::from(format!("/usr/lib/postgresql/{v}/bin")));
    let found = paths.into_iter().find(|path| path.join("initdb").exists());
    found.expect("PostgreSQL is not here, so nothing was tested: apt-get install postgresql")
}

fn run(bin: &Path, directory: &Path, settings: &[String]) -> Child {
    let mut server = unprivileged(&bin.join("postgres"));
    server.arg("-D").arg(directory.join("data")).arg("-k").arg(directory);
    server.args(["-c", "listen_addresses=", "-c", "max_connections=200"]);
    server.args(settings.iter().flat_map(|setting| ["-c", setting]));
    server.stderr(Stdio::null()).spawn().expect("PostgreSQL can be started")
}

impl Postgres {
    /// Only on a socket in its directory: no port that anybody else could have. Lets in who asks.
    pub fn start() -> Postgres {
        Postgres::start_with(&[])
    }

    /// The same with settings of its own, `name=value` each.
    pub fn start_with(settings: &[&str]) -> Postgres {
        let server = Postgres::init(settings.iter().map(|&setting| setting.into()).collect());
        assert!(server.is_ready_at_last(), "PostgreSQL does not start");
        server
    }

    /// Also on a port of 127.0.0.1, which is returned, and there it wants passwords. The settings
    /// can name the files (name and text), which stand where relative names begin.
    pub fn start_on_port(files: &[(&str, &str)], settings: &[&str]) -> (Postgres, u16) {
        let mut server = Postgres::init(Vec::new());
        server.stop();
        files.iter().for_each(|(name, text)| server.write(name, text));
        let port = (0..PORTS_MAX).find_map(|_| server.start_on_some_port(settings));
        (server, port.expect("a port that nobody takes meanwhile"))
    }

    fn start_on_some_port(&mut self, settings: &[&str]) -> Option<u16> {
        let port = free_port();
        self.settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        self.settings.push("listen_addresses=127.0.0.1".into());
        self.settings.push(format!("port={port}"));
        *self.process() = run(&self.bin, self.directory.path(), &self.settings);
        self.is_ready_at_last().then_some(port)
    }

    fn init(settings: Vec<String>) -> Postgres {
        let bin = bin();
        let directory = TempDir::with_prefix("jackdaw-pg-").expect("a directory");
        give_to_postgres(directory.path());
        let data = directory.path().join("data");
        let mut made = unprivileged(&bin.join("initdb"));
        made.args(["--auth-local=trust", "--auth-host=scram-sha-256", "--username=jackdaw"]);
        made.args(["--encoding=UTF8", "--no-sync", "-D"]);
        assert!(made.arg(&data).status().expect("`initdb` runs").success());
        let process = Mutex::new(run(&bin, directory.path(), &settings));
        Postgres { directory, bin, process, settings, databases: AtomicUsize::new(0) }
    }

    /// Puts a file into its data directory that only it can read.
    fn write(&self, name: &str, text: &str) {
        let path = self.directory.path().join("data").join(name);
        std::fs::write(&path, text).expect("a file is written");
        let readable = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, readable).expect("permissions are set");
        give_to_postgres(&path);
    }

    fn process(&self) -> MutexGuard<'_, Child> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it as a crash does.
    pub fn stop(&self) {
        let mut process = self.process();
        // One that is paused hears nothing but this.
        processes::signal("CONT", &processes::family(process.id()));
        // `setpriv` became the server.
        if processes::signal("QUIT", &[process.id()]) {
            process.wait().ok();
        }
    }

    /// Starts it again on what it wrote.
    pub fn restart(&self) {
        *self.process() = run(&self.bin, self.directory.path(), &self.settings);
        assert!(self.is_ready_at_last(), "PostgreSQL does not start again");
    }

    /// Stops its clock, so to say: connections stay and nothing answers, not even a new one.
    pub fn pause(&self) {
        processes::pause(self.process().id());
    }

    /// Lets it go on.
    pub fn resume(&self) {
        processes::signal("CONT", &processes::family(self.process().id()));
    }

    fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command.arg("-h").arg(self.directory.path()).args(["-U", "jackdaw"]);
        if let Some(port) = self.settings.iter().find_map(|setting| setting.strip_prefix("port=")) {
            command.args(["-p", port]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// `pg_isready` itself waits for an answer, but not for the socket to appear. False: it ended.
    fn is_ready_at_last(&self) -> bool {
        while !self.tool("pg_isready").status().expect("`pg_isready` runs").success() {
            if self.process().try_wait().expect("it can be asked").is_some() {
                return false;
            }
            std::thread::yield_now();
        }
        true
    }

    /// The name of a new, empty one.
    pub fn create_database(&self) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        assert!(self.tool("createdb").arg(&name).status().expect("`createdb` runs").success());
        name
    }

    /// The URL of a new, empty database, by the socket.
    pub fn new_database(&self) -> String {
        let name = self.create_database();
        format!("postgresql://jackdaw@{}/{name}", self.socket().replace('/', "%2F"))
    }

    /// The directory of its socket.
    pub fn socket(&self) -> String {
        self.directory.path().to_str().expect("a path of text").to_owned()
    }

    /// What `psql` prints for a statement: rows, their columns divided by `|`.
    pub fn query(&self, database: &str, sql: &str) -> String {
        let mut psql = self.tool("psql");
        psql.args(["-d", database, "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql]);
        let output = psql.stdout(Stdio::piped()).output().expect("`psql` runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    listener.local_addr().expect("it has an address").port()
}
