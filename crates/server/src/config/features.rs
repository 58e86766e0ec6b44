//! The settings of what the server offers to its clients.

use std::num::NonZeroU32;
use std::path::PathBuf;

use jackdaw_stream::sasl::{ITERATIONS_DEFAULT, ITERATIONS_MAX, ITERATIONS_MIN};

use super::address::ContactUri;
use super::section::{RELOAD, RESTART, section};
use super::value::{Mechanism, ResourceConflict, Seconds};

section! {
    ["auth"]
    /// How clients prove who they are.
    Auth {
        /// SASL mechanisms to offer, once TLS is on or on `c2s_plain`; every SCRAM comes with
        /// channel binding (`-PLUS`) inside TLS. `PLAIN` shows the password to the server and costs
        /// a whole key derivation per login: for clients that know nothing else. `EXTERNAL` needs
        /// `client_authorities`. `ANONYMOUS` lets in anybody.
        mechanisms: Vec<Mechanism> =
            vec![Mechanism::ScramSha512, Mechanism::ScramSha256, Mechanism::ScramSha1] => RESTART;
        /// PEM file with the authorities whose client certificates count for `EXTERNAL` (XEP-0178).
        client_authorities: Option<PathBuf> = None
            => RELOAD.example(r#""/etc/jackdaw/client-authorities.crt""#);
        /// PBKDF2 iterations of newly set passwords. More makes a stolen store harder to guess from
        /// and a login slower on the client. RFC 7677 §4 asks for at least 4,096.
        scram_iterations: u32 = ITERATIONS_DEFAULT.get()
            => RESTART.count("iterations", ITERATIONS_MIN as i64, ITERATIONS_MAX as i64);
        /// Failed attempts on one stream before it is closed (RFC 6120 §6.4.5 recommends 2 to 5
        /// retries).
        attempts_max: u32 = 3 => RESTART.count("attempts", 1, 10);
        /// Whether clients may come back with a token instead of the password (XEP-0484).
        fast: bool = true => RESTART;
    }
}

impl Auth {
    /// The iterations as the derivation takes them.
    pub fn scram_iterations(&self) -> NonZeroU32 {
        NonZeroU32::new(self.scram_iterations).unwrap_or(ITERATIONS_DEFAULT)
    }
}

section! {
    ["sessions"]
    /// Bound resources.
    Sessions {
        /// What happens when a client binds a resource that is in use: `replace` ends the older
        /// session, which is what a client that lost its connection needs; `refuse` answers
        /// `<conflict/>` to the newer one.
        resource_conflict: ResourceConflict = ResourceConflict::Replace => RESTART;
    }
}

section! {
    ["stream_management"]
    /// Acknowledgements and resumption (XEP-0198).
    StreamManagement {
        /// How long a session waits for its client to come back before it ends. Until then its
        /// contacts see it as it was, and messages wait for it. Long enough for a tunnel or a
        /// change of networks; 0 turns resumption off.
        resume_timeout_secs: Seconds = Seconds(600) => RESTART.seconds(0, 86_400);
        /// Stanzas kept for a client that has not acknowledged them; beyond, messages wait in the
        /// store until it has.
        unacked_stanzas_max: u32 = 1_000 => RESTART.count("stanzas", 10, 100_000);
        /// Bytes of such stanzas.
        unacked_bytes_max: u32 = 1_048_576 => RESTART.bytes(65_536, 1 << 30);
        /// The server asks for an acknowledgement (`<r/>`) after so many stanzas.
        ack_request_stanzas: u32 = 10 => RESTART.count("stanzas", 1, 1_000);
    }
}

section! {
    ["client_state"]
    /// What a client that said it is inactive is spared (XEP-0352): presence is held back, the
    /// newest of each contact; chat states are dropped; a message flushes everything.
    ClientState {
        /// Whether clients may say that they are inactive.
        enabled: bool = true => RESTART;
        /// Stanzas held back for one session before all of them are flushed.
        held_stanzas_max: u32 = 200 => RESTART.count("stanzas", 1, 10_000);
    }
}

section! {
    ["registration"]
    /// Accounts made by clients (XEP-0077). A server that is open to everybody is found by spammers
    /// within days.
    Registration {
        /// Whether strangers may make accounts. Users may change their password and delete their
        /// account either way.
        enabled: bool = false => RESTART;
        /// Accounts made from one IPv4 address or one IPv6 /64 in an hour.
        accounts_per_hour_max: u32 = 3 => RESTART.count("accounts per hour", 1, 100_000);
    }
}

section! {
    ["contacts"]
    /// Whom to write to, as URIs, shown to everybody who asks (XEP-0157).
    Contacts {
        /// For reports of abuse.
        abuse: Vec<ContactUri> = vec![] => RESTART.example(r#"["mailto:abuse@example.org"]"#);
        /// For the administrators.
        admin: Vec<ContactUri> = vec![] => RESTART.example(r#"["xmpp:juliet@example.org"]"#);
        /// For praise and complaint.
        feedback: Vec<ContactUri> = vec![] => RESTART.example(r#"["https://example.org/feedback"]"#);
        /// For sales.
        sales: Vec<ContactUri> = vec![] => RESTART.example(r#"["mailto:sales@example.org"]"#);
        /// For reports of security holes.
        security: Vec<ContactUri> = vec![] => RESTART.example(r#"["mailto:security@example.org"]"#);
        /// Where the service says how it does.
        status: Vec<ContactUri> = vec![] => RESTART.example(r#"["https://status.example.org"]"#);
        /// For help.
        support: Vec<ContactUri> = vec![] => RESTART.example(r#"["xmpp:help@example.org"]"#);
    }
}
