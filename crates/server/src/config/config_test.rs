//! What operators write, and what they are told.

use expect_test::{Expect, expect};

use super::*;

/// Parses `text` and compares the errors, or `ok`.
fn check(text: &str, expected: Expect) {
    let answer = match Config::parse("jackdaw.toml", text) {
        Ok(_) => "ok\n".to_owned(),
        Err(error) => format!("{error}\n"),
    };
    expected.assert_eq(&answer);
}

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(Config::parse("jackdaw.toml", "").unwrap(), Config::default());
}

#[test]
fn a_table_keeps_the_defaults_of_what_it_leaves_out() {
    let config = Config::parse("jackdaw.toml", "[limits]\noffline_messages_max = 7\n").unwrap();
    let expected = Limits { offline_messages_max: 7, ..Limits::default() };
    assert_eq!(config.limits, expected);
}

#[test]
fn unknown_names_are_answered_with_the_nearest_known() {
    check(
        "[limits]\n\nconections_max = 1\n",
        expect![[r#"
        jackdaw.toml:3: limits.conections_max: unknown key; did you mean `connections_max`?
    "#]],
    );
    check(
        "[stream_managment]\n",
        expect![[r#"
        jackdaw.toml:1: stream_managment: unknown table; did you mean [stream_management]?
    "#]],
    );
    check(
        "[listeners.c2s-tls]\n",
        expect![[r#"
        jackdaw.toml:1: listeners.c2s-tls: unknown table; did you mean [listeners.c2s_tls]?
    "#]],
    );
    check(
        "[limits]\nresume_timeout_secs = 1\n",
        expect![[r#"
        jackdaw.toml:2: limits.resume_timeout_secs: unknown key here; `resume_timeout_secs` belongs in [stream_management]
    "#]],
    );
    check(
        "admins = []\n",
        expect![[r#"
        jackdaw.toml:1: admins: unknown table or key; `admins` belongs in [server]
    "#]],
    );
    check(
        "[client_state]\ncolour = 1\n",
        expect![[r#"
        jackdaw.toml:2: client_state.colour: unknown key; [client_state] has: enabled, held_stanzas_max
    "#]],
    );
}

#[test]
fn names_that_are_not_bare_are_quoted() {
    check(
        "\"\" = 1\n\"listeners.c2s\" = 2\n[limits]\n\"a\\nb\" = 3\n[server]\n[server.\"c d\"]\n",
        expect![[r#"
            jackdaw.toml:1: "": unknown table; `jackdaw config default` prints all there are
            jackdaw.toml:2: "listeners.c2s": unknown table; did you mean [listeners.c2s]?
            jackdaw.toml:4: limits."a\nb": unknown key; [limits] has: connections_max, connections_per_address_max, memory_mib_max, stanza_preauth_bytes_max, stanza_bytes_max, stanza_depth_max, stanza_elements_max, outbox_bytes_max, resources_per_account_max, roster_items_max, blocklist_items_max, offline_messages_max, vcard_bytes_max, private_bytes_max
            jackdaw.toml:6: server."c d": unknown key; [server] has: data_dir, admins, shutdown_timeout_secs
        "#]],
    );
}

#[test]
fn wrong_values_say_what_to_write() {
    check(
        "[limits]\noffline_messages_max = \"many\"\n",
        expect![[r#"
        jackdaw.toml:2: limits.offline_messages_max: invalid type: string "many", expected u32; write 0 to 1_000_000 messages
    "#]],
    );
    check(
        "[limits]\noffline_messages_max = -1\n",
        expect![[r#"
        jackdaw.toml:2: limits.offline_messages_max: -1 is out of range; write 0 to 1_000_000 messages
    "#]],
    );
    check(
        "[limits]\nstanza_bytes_max = 99\n",
        expect![[r#"
        jackdaw.toml:2: limits.stanza_bytes_max: 99 is out of range; write 10_000 to 16_777_216 bytes
    "#]],
    );
    check(
        "[edge]\ndriver = \"iouring\"\n",
        expect![[r#"
        jackdaw.toml:2: edge.driver: "iouring" is not "auto", "io_uring" or "epoll"; did you mean "io_uring"?
    "#]],
    );
    check(
        "[auth]\nmechanisms = [\"SCRAM-SHA-256\",\n \"DIGEST-MD5\"]\n",
        expect![[r#"
        jackdaw.toml:2: auth.mechanisms: "DIGEST-MD5" is not "SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "EXTERNAL" or "ANONYMOUS"
    "#]],
    );
    check(
        "[listeners.http]\naddresses = [\"localhost:5280\"]\n",
        expect![[r#"
        jackdaw.toml:2: listeners.http.addresses: "localhost:5280" is not an address to listen on; write "any:5222", "loopback:5222", "192.0.2.1:5222" or "[2001:db8::1]:5222"
    "#]],
    );
    check(
        "[server]\nadmins = [\"juliet@localhost/balcony\"]\n",
        expect![[r#"
        jackdaw.toml:2: server.admins: "juliet@localhost/balcony" is not the address of an account; write it like "juliet@example.org", without a resource
    "#]],
    );
    check(
        "[log]\nlevel = \"loud=very\"\n",
        expect![[r#"
        jackdaw.toml:2: log.level: "loud=very" is not a log level; write "error", "warn", "info", "debug" or "trace", and per module "info,jackdaw_edge=debug"
    "#]],
    );
    check(
        "[contacts]\nabuse = [\"abuse@example.org\"]\n",
        expect![[r#"
        jackdaw.toml:2: contacts.abuse: "abuse@example.org" is not a contact URI; write "mailto:…", "xmpp:…" or "https://…"
    "#]],
    );
    check(
        "[domains]\nname = \"example.org\"\n",
        expect![[r#"
        jackdaw.toml:1: domains: write it as [[domains]], once for each
    "#]],
    );
    check(
        "[limits\n",
        expect![[r#"
        jackdaw.toml:1: this is not TOML: unclosed table, expected `]`
    "#]],
    );
}

#[test]
fn several_mistakes_are_all_named_in_the_order_of_the_lines() {
    check(
        "[limits]\na = 1\nstanza_depth_max = 1\n[edge]\nworker = 2\n",
        expect![[r#"
        jackdaw.toml:2: limits.a: unknown key; [limits] has: connections_max, connections_per_address_max, memory_mib_max, stanza_preauth_bytes_max, stanza_bytes_max, stanza_depth_max, stanza_elements_max, outbox_bytes_max, resources_per_account_max, roster_items_max, blocklist_items_max, offline_messages_max, vcard_bytes_max, private_bytes_max
        jackdaw.toml:3: limits.stanza_depth_max: 1 is out of range; write 16 to 1_024 levels
        jackdaw.toml:5: edge.worker: unknown key; did you mean `workers`?
    "#]],
    );
}

#[test]
fn keys_that_contradict_each_other_are_refused() {
    check(
        "domains = []\n",
        expect![[r#"
        jackdaw.toml:1: domains: there is none; leave `domains` out to serve localhost
    "#]],
    );
    check(
        "[[domains]]\nname = \"a.example\"\n[[domains]]\nname = \"A.example\"\nkey = \"k\"\n",
        expect![[r#"
            jackdaw.toml:4: domains[1].name: this domain stands here twice
            jackdaw.toml:5: domains[1].key: `certificate` is missing: name the certificate this key belongs to
        "#]],
    );
    check(
        "[[domains]]\nname = \"a.example\"\ncertificate = \"c\"\n",
        expect![[r#"
        jackdaw.toml:3: domains[0].certificate: `key` is missing: a certificate is of no use without its private key
    "#]],
    );
    check(
        "[server]\nadmins = [\"juliet@example.org\"]\n",
        expect![[r#"
        jackdaw.toml:2: server.admins: juliet@example.org is not an account here; add `example.org` to [[domains]]
    "#]],
    );
    check(
        "[listeners.c2s_tls]\naddresses = [\"any:5222\"]\n",
        expect![[r#"
        jackdaw.toml:2: listeners.c2s_tls.addresses: 0.0.0.0:5222 is already taken by listeners.c2s
        jackdaw.toml:2: listeners.c2s_tls.addresses: [::]:5222 is already taken by listeners.c2s
    "#]],
    );
    check(
        "[listeners]\nc2s.addresses = []\nc2s_tls.addresses = []\n",
        expect![[r#"
        jackdaw.toml:1: listeners: no client could connect; give one of the c2s listeners an address
    "#]],
    );
    check(
        "[auth]\nmechanisms = []\n",
        expect![[r#"
        jackdaw.toml:2: auth.mechanisms: nobody could log in; leave the key out for the default
    "#]],
    );
    check(
        "[auth]\nmechanisms = [\"EXTERNAL\"]\n",
        expect![[r#"
        jackdaw.toml:2: auth.mechanisms: EXTERNAL needs `client_authorities`: the authorities whose certificates count
    "#]],
    );
    check(
        "[limits]\nstanza_bytes_max = 20_000\nstanza_preauth_bytes_max = 30_000\n",
        expect![[r#"
            jackdaw.toml:3: limits.stanza_preauth_bytes_max: strangers may send more than users; make it at most `stanza_bytes_max`
        "#]],
    );
    check(
        "[limits]\nstanza_bytes_max = 10_000_000\n",
        expect![[r#"
        jackdaw.toml:1: limits.outbox_bytes_max: a single stanza would not fit; make it at least `stanza_bytes_max`
        jackdaw.toml:2: stream_management.unacked_bytes_max: a single stanza would not fit; make it at least `limits.stanza_bytes_max`
    "#]],
    );
}

#[test]
fn several_domains_and_every_family_of_address_are_fine() {
    check(
        "[[domains]]\nname = \"a.example\"\n[[domains]]\nname = \"b.example\"\n\
         [listeners.c2s]\naddresses = [\"127.0.0.1:5222\", \"[::1]:5222\", \"any:5322\"]\n\
         proxy_protocol = true\n",
        expect![[r#"
            ok
        "#]],
    );
}

#[test]
fn a_database_is_described_in_a_table_of_its_own() {
    let text = "[storage]\nengine = \"postgres\"\n[storage.postgres]\n\
                dsn = \"postgresql://jackdaw@%2Frun%2Fpostgresql/jackdaw\"\ndeadline_secs = 3\n";
    let config = Config::parse("jackdaw.toml", text).unwrap();
    assert_eq!(config.storage.postgres.deadline_secs, Seconds(3));
    assert_eq!(config.storage.postgres.connections, Postgres::default().connections);
    check(
        "[storage]\nengine = \"postgresql\"\n[storage.postgres]\nconection = 1\n",
        expect![[r#"
            jackdaw.toml:4: storage.postgres.conection: unknown key; did you mean `connections`?
        "#]],
    );
    check(
        "[storage]\nengine = \"postgresql\"\n",
        expect![[r#"
            jackdaw.toml:2: storage.engine: "postgresql" is not "fjall", "memory" or "postgres"; did you mean "postgres"?
        "#]],
    );
    check(
        "[storage]\nengine = \"postgres\"\n",
        expect![[r#"
            jackdaw.toml:1: storage.postgres.dsn: write [storage.postgres] with dsn = "postgresql://user@host:5432/database"
        "#]],
    );
    check(
        "[storage]\nengine = \"postgres\"\npostgres.dsn = \"postgresql://jackdaw@db.example/x\"\n",
        expect![[r#"
            jackdaw.toml:3: storage.postgres.ca_file: without authorities the database cannot be told from a stranger; name the file of its authority, or say tls = "disable" if nobody is on the way to it
        "#]],
    );
    check(
        "[storage.postgres]\ndsn = \"postgresql://jackdaw:r0m30@db.example?sslmode=require\"\n",
        expect![[r#"
            jackdaw.toml:2: storage.postgres.dsn: sslmode is not for the DSN; set `tls`
        "#]],
    );
    check(
        "[storage.postgres]\nconnections = 0\n",
        expect![[r#"
            jackdaw.toml:2: storage.postgres.connections: 0 is out of range; write 1 to 64 connections
        "#]],
    );
}

#[test]
fn a_password_in_a_description_is_not_shown_by_debug() {
    let text = "[storage.postgres]\ndsn = \"postgresql://jackdaw:r0m30@db.example/x\"\n";
    let config = Config::parse("jackdaw.toml", text).unwrap();
    assert!(!format!("{config:?}").contains("r0m30"));
}
