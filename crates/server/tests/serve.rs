//! A running server as its operator sees it: start, report, accounts, reload and stop.

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use support::{command, jackdaw, text};

/// Every port is whatever is free, so that tests can run side by side.
const CONFIG: &str = r#"
    [listeners]
    c2s.addresses = ["127.0.0.1:0"]
    c2s_tls.addresses = ["127.0.0.1:0"]
    http.addresses = ["127.0.0.1:0"]
    [edge]
    driver = "epoll"
    workers = 1
    [log]
    format = "human"
"#;

/// A server in a directory of its own; killed if a test fails.
struct Running {
    child: Child,
    log: BufReader<ChildStderr>,
    report: String,
    directory: tempfile::TempDir,
}

impl Running {
    /// Starts a server and waits for its report.
    fn start(config: &str) -> Running {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("jackdaw.toml"), config).unwrap();
        let mut child = command(&[], directory.path())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut running = Running { child, log, report: String::new(), directory };
        running.report = running.read_until("Add a user: ");
        running
    }

    /// The log up to the line with these words. Waits for it; fails at the end of the log.
    fn read_until(&mut self, words: &str) -> String {
        let mut read = String::new();
        loop {
            let start = read.len();
            let count = self.log.read_line(&mut read).expect("UTF-8");
            assert_ne!(count, 0, "{words:?} is not in the log:\n{read}");
            if read[start..].contains(words) {
                return read;
            }
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).expect("a process");
        kill_process(pid, signal).unwrap();
    }

    /// All that the listener of this name in the report answers.
    fn exchange(&self, listener: &str, request: &str) -> String {
        let line = self.report.lines().find(|line| line.contains(listener)).expect("a listener");
        let address = line.rsplit(' ').next().expect("an address");
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// What the HTTP listener answers.
    fn get(&self, target: &str) -> String {
        let request = format!("GET {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        self.exchange(" HTTP ", &request)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_server_reports_answers_probes_and_stops_when_asked() {
    let mut server = Running::start(CONFIG);
    assert!(server.report.contains("new self-signed certificate data/tls/localhost.crt"));
    assert!(server.report.contains("epoll, 1 worker"), "{}", server.report);
    assert!(server.get("/readyz").ends_with("\r\n\r\nready\n"));
    assert!(server.get("/metrics").contains("xmpp_edge_info{driver=\"epoll\"} 1\n"));
    server.signal(Signal::TERM);
    server.read_until("SIGTERM: stopping");
    server.read_until("stopped");
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_stream_that_ends_with_an_error_is_counted() {
    let server = Running::start(CONFIG);
    let header = "<stream:stream to='verona.example' version='1.0' xmlns='jabber:client' \
                  xmlns:stream='http://etherx.jabber.org/streams'>";
    let answer = server.exchange(" STARTTLS ", header);
    assert!(answer.contains("<host-unknown "), "{answer}");
    let metrics = server.get("/metrics");
    assert!(
        metrics.contains("xmpp_stream_errors_total{condition=\"host-unknown\"} 1\n"),
        "{metrics}"
    );
}

#[test]
fn accounts_are_managed_while_it_runs_and_are_there_after_it_stopped() {
    let mut server = Running::start(CONFIG);
    let add = ["user", "add", "juliet@localhost", "--password-stdin"];
    let added = jackdaw(&add, server.path(), "r0m30\n");
    assert_eq!(text(&added.stdout), "added juliet@localhost\n");
    let log = server.read_until("account added");
    assert!(log.contains("juliet@localhost") && !log.contains("r0m30"), "{log}");
    assert_eq!(jackdaw(&add, server.path(), "r0m30\n").status.code(), Some(4));
    server.signal(Signal::INT);
    server.read_until("stopped");
    assert!(server.child.wait().unwrap().success());
    let listed = jackdaw(&["user", "list"], server.path(), "");
    assert_eq!(text(&listed.stdout), "juliet@localhost\n");
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let server = Running::start(CONFIG);
    let second = jackdaw(&["serve"], server.path(), "");
    assert!(text(&second.stderr).contains("another server is running"), "{second:?}");
    assert_eq!(second.status.code(), Some(1));
}

#[test]
fn a_reload_applies_what_can_change_and_says_what_waits() {
    let mut server = Running::start(CONFIG);
    let file = server.path().join("jackdaw.toml");
    let changed =
        CONFIG.replace("workers = 1", "workers = 2") + "level = \"warn,jackdaw_server=debug\"";
    std::fs::write(&file, changed).unwrap();
    server.signal(Signal::HUP);
    let log = server.read_until("reload done");
    assert!(log.contains("waits for a restart") && log.contains("edge.workers"), "{log}");
    assert!(log.contains("changed, and applied") && log.contains("log.level"), "{log}");
    std::fs::write(&file, "[log]\nlevl = 1\n").unwrap();
    server.signal(Signal::HUP);
    let log = server.read_until("reload refused");
    assert!(log.contains("jackdaw.toml:2: log.levl"), "{log}");
    assert!(server.get("/readyz").ends_with("\r\n\r\nready\n"));
}

#[test]
fn a_plain_text_listener_is_reported_loudly() {
    let config = CONFIG.replace("c2s_tls.addresses", "c2s_plain.addresses");
    let server = Running::start(&config);
    assert!(server.report.contains("PLAIN TEXT on 127.0.0.1:"), "{}", server.report);
}
