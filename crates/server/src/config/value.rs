//! What a value of a key can be. Each type is parsed once, here, and never checked again.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _};

use super::nearest::nearest;

/// A value that can be described and printed as TOML.
pub trait Setting {
    /// What the value looks like, in words.
    fn kind() -> String;
    /// The value as TOML; `None` if it is not set.
    fn to_toml(&self) -> Option<String>;
}

/// A string in TOML's quotes.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

impl Setting for bool {
    fn kind() -> String {
        "true or false".into()
    }
    fn to_toml(&self) -> Option<String> {
        Some(self.to_string())
    }
}

macro_rules! number {
    ($($type:ty),+) => {$(
        impl Setting for $type {
            fn kind() -> String {
                "an integer".into()
            }
            fn to_toml(&self) -> Option<String> {
                Some(grouped(i64::from(*self)))
            }
        }
    )+};
}
number!(u32);

/// A number with `_` between the thousands, as TOML allows and eyes prefer.
pub(super) fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}

impl Setting for String {
    fn kind() -> String {
        "a string".into()
    }
    fn to_toml(&self) -> Option<String> {
        Some(quoted(self))
    }
}

impl Setting for PathBuf {
    fn kind() -> String {
        "a path".into()
    }
    fn to_toml(&self) -> Option<String> {
        Some(quoted(&self.to_string_lossy()))
    }
}

impl<T: Setting> Setting for Option<T> {
    fn kind() -> String {
        T::kind()
    }
    fn to_toml(&self) -> Option<String> {
        self.as_ref().and_then(T::to_toml)
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn kind() -> String {
        format!("a list of {}", T::kind())
    }
    fn to_toml(&self) -> Option<String> {
        let items: Vec<String> = self.iter().filter_map(T::to_toml).collect();
        Some(format!("[{}]", items.join(", ")))
    }
}

/// A whole number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(transparent)]
pub struct Seconds(pub u32);

impl Seconds {
    /// As the standard library's type.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

impl Setting for Seconds {
    fn kind() -> String {
        "an integer".into()
    }
    fn to_toml(&self) -> Option<String> {
        Some(grouped(i64::from(self.0)))
    }
}

/// Makes `Deserialize` and `Setting` for a type that is written as a string.
macro_rules! from_string {
    ($type:ty, $kind:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
        impl Setting for $type {
            fn kind() -> String {
                $kind.into()
            }
            fn to_toml(&self) -> Option<String> {
                Some(quoted(&self.to_string()))
            }
        }
    };
}

pub(super) use from_string;

/// Describes an enum that is written as one of a few words.
macro_rules! choice {
    ($(#[$meta:meta])+ $name:ident { $( $(#[$variant_meta:meta])+ $variant:ident = $word:literal, )+ }) => {
        $(#[$meta])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $( $(#[$variant_meta])+ $variant, )+ }

        impl $name {
            /// Every word the key accepts.
            pub const WORDS: &[&str] = &[$($word),+];

            /// The word for this value.
            pub const fn as_str(self) -> &'static str {
                match self { $( $name::$variant => $word, )+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;
            fn from_str(word: &str) -> Result<$name, UnknownWord> {
                match word {
                    $( $word => Ok($name::$variant), )+
                    _ => Err(UnknownWord { word: word.into(), words: $name::WORDS }),
                }
            }
        }

        from_string!($name, one_of($name::WORDS));
    };
}

/// `"a", "b" or "c"`.
fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// A word that is none of those a key accepts.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownWord {
    word: String,
    words: &'static [&'static str],
}

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not {}", quoted(&self.word), one_of(self.words))?;
        match nearest(&self.word, self.words.iter().copied()) {
            Some(word) => write!(f, "; did you mean {}?", quoted(word)),
            None => Ok(()),
        }
    }
}

choice! {
    /// What moves the bytes of client connections.
    Driver {
        /// io_uring if the kernel allows it, else epoll.
        Auto = "auto",
        /// io_uring or refuse to start.
        IoUring = "io_uring",
        /// epoll.
        Epoll = "epoll",
    }
}

choice! {
    /// A SASL mechanism (RFC 6120 §6) that may be offered. Each SCRAM brings its `-PLUS` along.
    Mechanism {
        /// RFC 5802 with SHA-512.
        ScramSha512 = "SCRAM-SHA-512",
        /// RFC 7677.
        ScramSha256 = "SCRAM-SHA-256",
        /// RFC 5802; mandatory to implement.
        ScramSha1 = "SCRAM-SHA-1",
        /// RFC 4616: the password itself, inside TLS.
        Plain = "PLAIN",
        /// RFC 4422 appendix A: the client's certificate (XEP-0178).
        External = "EXTERNAL",
        /// RFC 4505: no account at all.
        Anonymous = "ANONYMOUS",
    }
}

choice! {
    /// Where the rows live.
    Engine {
        /// The embedded log-structured store.
        Fjall = "fjall",
        /// Memory: everything is gone after a stop. For tests and demonstrations.
        Memory = "memory",
        /// A PostgreSQL.
        Postgres = "postgres",
    }
}

choice! {
    /// How the way to a database is protected.
    DatabaseTls {
        /// Not at all.
        Disable = "disable",
        /// Encrypted, to whoever answers.
        Require = "require",
        /// Encrypted, to the host that was named.
        VerifyFull = "verify-full",
    }
}

choice! {
    /// What the server's acknowledgement of a message promises.
    Ack {
        /// It is on disk, or delivered and acknowledged.
        Durable = "durable",
        /// It is in the server's memory and will be on disk soon.
        Fast = "fast",
    }
}

choice! {
    /// What a log line looks like.
    LogFormat {
        /// `human` if the log goes to a terminal, else `json`.
        Auto = "auto",
        /// For eyes.
        Human = "human",
        /// One JSON object a line.
        Json = "json",
    }
}

choice! {
    /// What happens when a client binds a resource that is in use (RFC 6120 §7.7.2.2).
    ResourceConflict {
        /// The older session is ended with `<conflict/>`.
        Replace = "replace",
        /// The newer session is refused with `<conflict/>`.
        Refuse = "refuse",
    }
}

/// An address to listen on: `any:PORT`, `loopback:PORT`, `192.0.2.1:PORT` or `[2001:db8::1]:PORT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// Every address of the machine, IPv4 and IPv6.
    Any(u16),
    /// This machine only, IPv4 and IPv6.
    Loopback(u16),
    /// Exactly this address.
    Exact(SocketAddr),
}

impl ListenAddress {
    /// The sockets to open. Of two, the IPv6 one may fail: a machine without IPv6 is not an error.
    /// IPv6 sockets are to be opened with `IPV6_V6ONLY`, so that both families can share a port.
    pub fn sockets(self) -> Vec<SocketAddr> {
        match self {
            ListenAddress::Any(port) => {
                both(Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED, port).to_vec()
            }
            ListenAddress::Loopback(port) => {
                both(Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST, port).to_vec()
            }
            ListenAddress::Exact(address) => vec![address],
        }
    }

    /// Whether other machines can reach it.
    pub fn is_reachable(self) -> bool {
        self.sockets().iter().any(|address| !address.ip().is_loopback())
    }
}

fn both(v4: Ipv4Addr, v6: Ipv6Addr, port: u16) -> [SocketAddr; 2] {
    [SocketAddr::new(IpAddr::V4(v4), port), SocketAddr::new(IpAddr::V6(v6), port)]
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<ListenAddress, String> {
        let wrong = || {
            format!(
                "{} is not an address to listen on; write \"any:5222\", \"loopback:5222\", \
                 \"192.0.2.1:5222\" or \"[2001:db8::1]:5222\"",
                quoted(text)
            )
        };
        match text.split_once(':') {
            Some(("any", port)) => port.parse().map(ListenAddress::Any).map_err(|_| wrong()),
            Some(("loopback", port)) => {
                port.parse().map(ListenAddress::Loopback).map_err(|_| wrong())
            }
            _ => text.parse().map(ListenAddress::Exact).map_err(|_| wrong()),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Any(port) => write!(f, "any:{port}"),
            ListenAddress::Loopback(port) => write!(f, "loopback:{port}"),
            ListenAddress::Exact(address) => address.fmt(f),
        }
    }
}

from_string!(ListenAddress, "\"any:PORT\", \"loopback:PORT\" or \"ADDRESS:PORT\"");

/// What the log shows: a level, or directives per module as `tracing` writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevel(String);

impl LogLevel {
    /// The directives.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<LogLevel, String> {
        match tracing_subscriber::EnvFilter::try_new(text) {
            Ok(_) if !text.trim().is_empty() => Ok(LogLevel(text.into())),
            _ => Err(format!(
                "{} is not a log level; write \"error\", \"warn\", \"info\", \"debug\" or \"trace\", \
                 and per module \"info,jackdaw_edge=debug\"",
                quoted(text)
            )),
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

from_string!(LogLevel, "a log level");

/// What an operator wants to see of a server that is well.
pub(super) fn log_level_default() -> LogLevel {
    LogLevel("info".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_addresses_are_written_as_they_are_read() {
        for text in ["any:5222", "loopback:1", "127.0.0.1:5222", "[::1]:5222"] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn any_and_loopback_open_both_families() {
        let any = ListenAddress::Any(5222).sockets();
        assert_eq!(any, ["0.0.0.0:5222".parse().unwrap(), "[::]:5222".parse().unwrap()]);
        assert!(ListenAddress::Any(1).is_reachable());
        assert!(!ListenAddress::Loopback(1).is_reachable());
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["5222", "any", "any:x", "any:70000", "localhost:5222", "::1:5222", ""] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1_000", "1_234_567"]);
    }

    #[test]
    fn a_wrong_word_is_answered_with_the_nearest() {
        let error = "iouring".parse::<Driver>().unwrap_err().to_string();
        assert_eq!(
            error,
            r#""iouring" is not "auto", "io_uring" or "epoll"; did you mean "io_uring"?"#
        );
    }
}
