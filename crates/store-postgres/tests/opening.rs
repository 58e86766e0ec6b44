//! What an operator is told about a database that cannot be used, and how TLS protects one that
//! can.

use jackdaw_store_postgres::{OpenError, Options, PostgresEngine, Tls};
use jackdaw_test_postgres::Postgres;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

fn refusal(dsn: &str, tls: Tls) -> OpenError {
    let options = Options { tls, ..Options::new(dsn).expect("a DSN") };
    PostgresEngine::open(options).err().expect("it is refused")
}

fn refusal_of_socket(server: &Postgres) -> OpenError {
    refusal(&server.new_database(), Tls::Disable)
}

#[test]
fn a_database_that_forgets_what_it_acknowledged_is_refused() {
    for setting in ["fsync", "synchronous_commit"] {
        let server = Postgres::start_with(&[&format!("{setting}=off")]);
        let error = refusal_of_socket(&server);
        assert!(
            matches!(&error, OpenError::NotDurable { setting: found, .. } if *found == setting)
        );
        assert!(error.to_string().ends_with(&format!("set {setting} = on")), "{error}");
    }
}

#[test]
fn a_database_that_takes_no_writes_is_refused() {
    let server = Postgres::start_with(&["default_transaction_read_only=on"]);
    // Not by `createdb`, which would be refused too.
    let dsn = format!("postgresql://jackdaw@{}/postgres", server.socket().replace('/', "%2F"));
    let error = refusal(&dsn, Tls::Disable);
    assert!(matches!(error, OpenError::ReadOnly { .. }), "{error}");
}

#[test]
fn a_database_that_is_not_there_is_told_with_its_place() {
    let server = Postgres::start();
    let dsn = server.new_database();
    let missing = refusal(&dsn.replace("test0", "verona"), Tls::Disable);
    assert!(missing.to_string().ends_with("make it: createdb --owner=jackdaw verona"), "{missing}");
    server.query("test0", "CREATE ROLE stranger LOGIN");
    for right in ["CREATE", "USAGE"] {
        server.query("test0", &format!("REVOKE {right} ON SCHEMA public FROM PUBLIC"));
        let forbidden = refusal(&dsn.replace("jackdaw@", "stranger@"), Tls::Disable);
        assert!(forbidden.to_string().contains("make stranger the owner"), "{forbidden}");
    }
    server.stop();
    let away = refusal(&dsn, Tls::Disable);
    assert!(away.to_string().starts_with("cannot connect to database test0 at /"), "{away}");
}

#[test]
fn a_database_that_does_not_answer_is_given_up_in_time() {
    let server = Postgres::start();
    let dsn = server.new_database();
    server.pause();
    let connect_timeout = std::time::Duration::from_millis(100);
    let options = Options { connect_timeout, ..Options::new(&dsn).expect("a DSN") };
    let error = PostgresEngine::open(options).err().expect("nobody answers");
    assert!(matches!(error, OpenError::Late { .. }), "{error}");
}

/// An authority, and a certificate of it for `localhost`: files for a server, and one to trust.
struct Authority {
    directory: TempDir,
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Authority {
        let directory = TempDir::new().expect("a directory");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate").pem();
        std::fs::write(directory.path().join("ca.pem"), issuer.pem()).expect("written");
        Authority { directory, certificate, key: key.serialize_pem() }
    }

    fn trusted(&self) -> Tls {
        Tls::VerifyFull { authorities: self.directory.path().join("ca.pem") }
    }
}

#[test]
fn tls_protects_by_authority_and_name() {
    let authority = Authority::new();
    let files =
        [("server.crt", authority.certificate.as_str()), ("server.key", authority.key.as_str())];
    let (server, port) = Postgres::start_on_port(&files, &["ssl=on"]);
    let database = server.create_database();
    server.query(&database, "ALTER ROLE jackdaw PASSWORD 'r0m30'");
    let dsn = |host, password| format!("postgresql://jackdaw:{password}@{host}:{port}/{database}");
    let right = dsn("localhost", "r0m30");
    for tls in [authority.trusted(), Tls::Require] {
        let options = Options { tls, ..Options::new(&right).expect("a DSN") };
        let engine = PostgresEngine::open(options).expect("opens");
        let encrypted = "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                         WHERE application_name = 'jackdaw'";
        assert_eq!(server.query(&database, encrypted), "t");
        drop(engine);
    }
    let other = Authority::new();
    for (dsn, tls) in
        [(right.as_str(), other.trusted()), (&dsn("127.0.0.1", "r0m30"), authority.trusted())]
    {
        let error = refusal(dsn, tls);
        assert!(matches!(error, OpenError::Tls { .. }), "{error}");
    }
    let wrong = refusal(&dsn("localhost", "r0me0"), Tls::Require);
    assert!(wrong.to_string().contains("does not let jackdaw in"), "{wrong}");
    let none = refusal(&format!("postgresql://jackdaw@localhost:{port}/{database}"), Tls::Require);
    assert!(matches!(none, OpenError::Refused { .. }), "{none}");
}

#[test]
fn a_database_without_tls_is_not_spoken_to_in_the_clear() {
    let (server, port) = Postgres::start_on_port(&[], &[]);
    let database = server.create_database();
    let dsn = format!("postgresql://jackdaw@localhost:{port}/{database}");
    let error = refusal(&dsn, Tls::Require);
    assert!(matches!(error, OpenError::Tls { .. }), "{error}");
    let nothing = Tls::VerifyFull { authorities: "/nonexistent".into() };
    assert!(refusal(&dsn, nothing).to_string().starts_with("/nonexistent: "));
}
