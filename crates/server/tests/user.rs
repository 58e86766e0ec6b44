//! `jackdaw user` offline, as an operator or a script runs it.

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use support::{jackdaw, text};

/// Runs the command and gives its exit code, its output and its errors.
fn user(arguments: &[&str], directory: &Path, input: &str) -> (i32, String, String) {
    let output = jackdaw(&[&["user"], arguments].concat(), directory, input);
    let code = output.status.code().expect("no signal");
    (code, text(&output.stdout).into(), text(&output.stderr).into())
}

fn done(output: &str) -> (i32, String, String) {
    (0, output.into(), String::new())
}

#[test]
fn accounts_survive_from_command_to_command() {
    let directory = tempfile::tempdir().unwrap();
    let user = |arguments: &[&str]| user(arguments, directory.path(), "r0m30\n");
    for account in ["romeo@localhost", "Juliet@LOCALHOST"] {
        assert_eq!(user(&["add", account, "--password-stdin"]).0, 0);
    }
    assert_eq!(user(&["list"]), done("juliet@localhost\nromeo@localhost\n"));
    let passwd = user(&["passwd", "romeo@localhost", "--password", "other"]);
    assert_eq!(passwd, done("set the password of romeo@localhost\n"));
    assert_eq!(user(&["del", "romeo@localhost"]), done("deleted romeo@localhost\n"));
    assert_eq!(user(&["list", "--domain", "localhost"]), done("juliet@localhost\n"));
    assert_eq!(user(&["list", "--domain", "example.org"]), done(""));
}

#[test]
fn a_missing_or_existing_account_ends_with_code_4() {
    let directory = tempfile::tempdir().unwrap();
    let user = |arguments: &[&str]| user(arguments, directory.path(), "r0m30\n");
    assert_eq!(user(&["add", "juliet@localhost", "--password-stdin"]).0, 0);
    let again = user(&["add", "juliet@localhost", "--password-stdin"]);
    assert_eq!((again.0, again.2.contains("exists already")), (4, true), "{again:?}");
    for command in
        [&["del", "romeo@localhost"][..], &["passwd", "romeo@localhost", "--password", "x"]]
    {
        let missing = user(command);
        assert_eq!((missing.0, missing.2.contains("no such account")), (4, true), "{missing:?}");
    }
}

#[test]
fn what_cannot_be_done_ends_with_code_1_and_leaves_no_account() {
    let directory = tempfile::tempdir().unwrap();
    let user = |arguments: &[&str], input: &str| user(arguments, directory.path(), input);
    let add = |account| ["add", account, "--password-stdin"];
    let elsewhere = user(&add("juliet@example.org"), "r0m30\n");
    assert!(elsewhere.2.contains("add it to [[domains]]"), "{elsewhere:?}");
    let empty = user(&add("juliet@localhost"), "\n");
    assert!(empty.2.contains("the password is empty"), "{empty:?}");
    let ended = user(&add("juliet@localhost"), "");
    assert!(ended.2.contains("it has ended"), "{ended:?}");
    let no_terminal = user(&["add", "juliet@localhost"], "r0m30\n");
    assert!(no_terminal.2.contains("use --password-stdin"), "{no_terminal:?}");
    assert_eq!([elsewhere.0, empty.0, ended.0, no_terminal.0], [1; 4]);
    assert_eq!(user(&["list"], ""), done(""));
}

#[test]
fn strangers_cannot_enter_the_data_directory() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(user(&["list"], directory.path(), ""), done(""));
    let metadata = std::fs::metadata(directory.path().join("data")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_store_in_memory_has_no_accounts_offline() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("jackdaw.toml"), "[storage]\nengine = \"memory\"\n")
        .unwrap();
    let (code, _, errors) = user(&["list"], directory.path(), "");
    assert_eq!((code, errors.contains("start it first")), (1, true), "{errors}");
}
