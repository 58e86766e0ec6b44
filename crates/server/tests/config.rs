//! `jackdaw config` as an operator runs it.

mod support;

use support::{jackdaw, text};

#[test]
fn the_printed_default_passes_the_check() {
    let directory = tempfile::tempdir().unwrap();
    let printed = jackdaw(&["config", "default"], directory.path(), "");
    assert!(printed.status.success());
    let checked = jackdaw(&["config", "check", "-"], directory.path(), text(&printed.stdout));
    assert_eq!(text(&checked.stdout), "standard input: fine, for localhost\n");
    assert_eq!(checked.status.code(), Some(0));
}

#[test]
fn a_wrong_file_ends_with_code_3_and_names_line_and_key() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("jackdaw.toml"), "[log]\n\nlevl = \"info\"\n").unwrap();
    for arguments in [&["config", "check"][..], &["serve"], &["user", "list"]] {
        let output = jackdaw(arguments, directory.path(), "");
        assert_eq!(
            text(&output.stderr),
            "jackdaw: jackdaw.toml:3: log.levl: unknown key; did you mean `level`?\n"
        );
        assert_eq!(output.status.code(), Some(3), "{arguments:?}");
    }
}

#[test]
fn a_named_file_that_is_missing_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let output = jackdaw(&["config", "check", "missing.toml"], directory.path(), "");
    assert!(text(&output.stderr).starts_with("jackdaw: missing.toml: cannot be read: "));
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn a_certificate_that_cannot_be_read_is_found_before_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let config = "[[domains]]\nname = \"a.example\"\ncertificate = \"a.crt\"\nkey = \"a.key\"\n";
    std::fs::write(directory.path().join("jackdaw.toml"), config).unwrap();
    for arguments in [&["config", "check"][..], &["serve"]] {
        let output = jackdaw(arguments, directory.path(), "");
        assert!(text(&output.stderr).contains("a.crt: reading failed: "), "{output:?}");
        assert_eq!(output.status.code(), Some(3), "{arguments:?}");
    }
}

#[test]
fn a_wrong_command_line_ends_with_code_2() {
    let directory = tempfile::tempdir().unwrap();
    let output = jackdaw(&["sing"], directory.path(), "");
    assert_eq!(output.status.code(), Some(2));
}
