//! The server on a PostgreSQL: accounts offline and over the socket, and what cannot work.

mod support;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use jackdaw_test_postgres::Postgres;
use support::{command, jackdaw, text};

fn configure(directory: &Path, dsn: &str, more: &str) {
    let text = format!(
        "[listeners]\nc2s.addresses = []\nc2s_tls.addresses = []\nhttp.addresses = []\n\
         c2s_plain.addresses = [\"127.0.0.1:0\"]\n[edge]\ndriver = \"epoll\"\nworkers = 1\n\
         [log]\nformat = \"human\"\n\
         [storage]\nengine = \"postgres\"\n[storage.postgres]\ndsn = \"{dsn}\"\n{more}"
    );
    std::fs::write(directory.join("jackdaw.toml"), text).unwrap();
}

#[test]
fn accounts_are_in_the_database_whoever_asks() {
    let database = Postgres::start();
    let dsn = database.new_database();
    let [first, second] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    for directory in [&first, &second] {
        configure(directory.path(), &dsn, "");
    }
    let add = ["user", "add", "juliet@localhost", "--password-stdin"];
    let added = jackdaw(&add, first.path(), "r0m30\n");
    assert!(added.status.success(), "{}", text(&added.stderr));
    // Another machine, so to say: nothing but the database is common.
    let mut server = command(&["serve"], second.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut report = BufReader::new(server.stderr.take().unwrap()).lines().map_while(Result::ok);
    let storage = report.find(|line| line.contains("PostgreSQL")).unwrap();
    assert!(storage.contains("database test0 at /"), "{storage}");
    assert!(storage.contains("synchronous_commit = on; ack = durable"), "{storage}");
    let listed = jackdaw(&["user", "list"], second.path(), "");
    assert_eq!(text(&listed.stdout), "juliet@localhost\n");
    for (arguments, done) in [
        (&["user", "passwd", "juliet@localhost", "--password", "m0nt4gu3"][..], "set the password"),
        (&["user", "del", "juliet@localhost"], "deleted juliet@localhost"),
    ] {
        let output = jackdaw(arguments, second.path(), "");
        assert!(text(&output.stdout).starts_with(done), "{}", text(&output.stderr));
    }
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(text(&jackdaw(&["user", "list"], first.path(), "").stdout), "");
}

#[test]
fn a_password_comes_from_a_file_the_description_or_the_environment() {
    let (database, port) = Postgres::start_on_port(&[], &[]);
    let name = database.create_database();
    database.query(&name, "ALTER ROLE jackdaw PASSWORD 'r0m30'");
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    std::fs::write(directory.join("password"), "r0m30\n").unwrap();
    let list = |dsn: &str, more: &str, variable: &str| {
        configure(directory, dsn, &format!("tls = \"disable\"\n{more}"));
        command(&["user", "list"], directory).env("PGPASSWORD", variable).output().unwrap()
    };
    let without = format!("postgresql://jackdaw@127.0.0.1:{port}/{name}");
    let with = format!("postgresql://jackdaw:r0m30@127.0.0.1:{port}/{name}");
    for (dsn, more, variable) in [
        (&without, "password_file = \"password\"", "wrong"),
        (&with, "", "wrong"),
        (&without, "", "r0m30"),
    ] {
        let output = list(dsn, more, variable);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let refused = list(&without, "", "wrong");
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said.contains("does not let jackdaw in") && !said.contains("wrong"), "{said}");
    let missing = list(&without, "password_file = \"nowhere\"", "");
    assert!(text(&missing.stderr).contains("nowhere: cannot read the password"));
}

#[test]
fn a_server_without_its_database_does_not_start_and_says_why() {
    let directory = tempfile::tempdir().unwrap();
    configure(directory.path(), "postgresql://jackdaw@%2Fnowhere/jackdaw", "");
    let output = jackdaw(&["serve"], directory.path(), "");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    let expected = "storage.postgres: cannot connect to database jackdaw at /nowhere: ";
    assert!(said.contains(expected), "{said}");
}
