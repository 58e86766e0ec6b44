//! Reads scripts. `scripts/README.md` describes the language.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::identity::Identity;

/// A script, ready to be performed.
#[derive(Debug)]
pub struct Script {
    /// The rule it proves: its first line.
    pub rule: String,
    /// Configuration of the server, as TOML.
    pub server: String,
    /// Whether the server keeps its rows in a PostgreSQL that nobody else uses.
    pub has_database: bool,
    /// Accounts nobody speaks for.
    pub accounts: Vec<String>,
    /// Who speaks.
    pub cast: Vec<Role>,
    /// What they do, in order.
    pub steps: Vec<Step>,
}

/// An actor's part.
#[derive(Debug, Clone, Default)]
pub struct Role {
    /// As the steps call it.
    pub name: String,
    /// Address, with the resource to bind; without one the server chooses.
    pub jid: String,
    /// Password.
    pub password: String,
    /// How the connection is encrypted.
    pub tls: Tls,
    /// The SASL mechanism.
    pub mechanism: String,
    /// The type of channel binding, for mechanisms with `-PLUS`.
    pub binding: Option<String>,
    /// The address that the client certificate asserts.
    pub certificate: Option<String>,
    /// That certificate, once it is issued.
    pub identity: Option<Arc<Identity>>,
    /// The IPv4 address of the client that a proxy speaks for.
    pub proxied: Option<String>,
    /// Stream management, if it is to be switched on.
    pub sm: Option<StreamManagement>,
    /// Whether the account is to be made before the script begins.
    pub has_account: bool,
}

/// How a connection is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tls {
    /// By STARTTLS (RFC 6120 §5).
    #[default]
    Starttls,
    /// From the first byte (XEP-0368).
    Direct,
    /// Not at all, on the listener for that.
    None,
}

/// What the actor does about XEP-0198.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamManagement {
    /// Asks for a session that can be resumed.
    pub resume: bool,
    /// Answers `<r/>`.
    pub answers: bool,
}

/// How far a connection is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// TCP; nothing sent.
    Tcp,
    /// TLS; no stream header sent.
    Tls,
    /// Stream features before authentication received.
    Features,
    /// Authenticated, features received again.
    Auth,
    /// Resource bound.
    Bind,
}

/// One line of a script, with its block.
#[derive(Debug)]
pub struct Step {
    /// Where it stands.
    pub line: usize,
    /// What happens.
    pub act: Act,
}

/// What happens in a step. The number is that of the role in the cast.
#[derive(Debug)]
pub enum Act {
    /// `connects`, `connects up to …`
    Connects(usize, Stage),
    /// `starts TLS`, `starts TLS and sends raw:`
    StartsTls(usize, String),
    /// `sees a certificate for DOMAIN`
    SeesCertificate(usize, String),
    /// `authenticates`: SASL and the stream restart.
    Authenticates(usize),
    /// `authenticates by SASL2`, `authenticates by SASL2 with:` what is asked for along with it.
    AuthenticatesBySasl2(usize, String),
    /// `sends:`
    Sends(usize, String),
    /// `sends raw:`
    SendsRaw(usize, String),
    /// `receives:`, in order or not
    Receives(usize, String, Order),
    /// `receives a header:`
    ReceivesHeader(usize, String),
    /// `receives nothing`
    ReceivesNothing(usize),
    /// `receives the end of the stream`
    ReceivesEnd(usize),
    /// `is disconnected`
    IsDisconnected(usize),
    /// `disconnects`
    Disconnects(usize),
    /// `drops`
    Drops(usize),
    /// `resumes`
    Resumes(usize),
    /// `The server restarts`
    ServerRestarts,
    /// `The server is killed`
    ServerIsKilled,
    /// `The server is ready`, `The server is not ready: TEXT`
    ServerSays(String),
    /// `The database stops answering`, `… answers again`, `… is killed`, `… is started again`
    Database(Fate),
}

/// What becomes of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It keeps its connections and says nothing.
    Paused,
    /// It goes on.
    Resumed,
    /// It ends without a word.
    Killed,
    /// It is started on what it wrote.
    Started,
}

/// Whether the elements of a block have an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As written.
    Written,
    /// Any.
    Any,
}

const PASSWORD_DEFAULT: &str = "wherefore-art-thou";
const MECHANISM_DEFAULT: &str = "SCRAM-SHA-256";

/// A line, its number, and the indented lines below it.
struct Block<'a> {
    line: usize,
    head: &'a str,
    body: Vec<&'a str>,
}

impl Block<'_> {
    /// The lines below without their layout, joined.
    fn raw(&self) -> String {
        self.body.iter().map(|line| line.trim()).collect()
    }
}

impl Script {
    /// Reads a script.
    pub fn parse(text: &str) -> Result<Script> {
        let rule = text.lines().next().and_then(|line| line.strip_prefix("# "));
        let rule =
            rule.ok_or_else(|| wrong(1, "the first line names the rule: `# RFC 6121 §8.5.2: …`"))?;
        let mut script = Script {
            rule: rule.to_owned(),
            server: String::new(),
            has_database: false,
            accounts: Vec::new(),
            cast: Vec::new(),
            steps: Vec::new(),
        };
        for block in blocks(text)? {
            script.take(&block)?;
        }
        match script.steps.is_empty() {
            true => Err(wrong(1, "nothing happens")),
            false => Ok(script),
        }
    }

    fn take(&mut self, block: &Block<'_>) -> Result<()> {
        if block.head == "[Server]" {
            self.server = block.body.join("\n");
        } else if block.head == "[Database]" {
            self.has_database = true;
        } else if let Some(jid) = block.head.strip_prefix("[Account] ") {
            self.accounts.push(jid.to_owned());
        } else if let Some(name) = block.head.strip_prefix("[Client] ") {
            self.cast.push(role(name, block)?);
        } else {
            let act = self.act(block)?;
            self.steps.push(Step { line: block.line, act });
        }
        Ok(())
    }

    fn act(&self, block: &Block<'_>) -> Result<Act> {
        match block.head {
            "The server restarts" => return Ok(Act::ServerRestarts),
            "The server is killed" => return Ok(Act::ServerIsKilled),
            "The server is ready" => return Ok(Act::ServerSays("ready".into())),
            "The database stops answering" => return Ok(Act::Database(Fate::Paused)),
            "The database answers again" => return Ok(Act::Database(Fate::Resumed)),
            "The database is killed" => return Ok(Act::Database(Fate::Killed)),
            "The database is started again" => return Ok(Act::Database(Fate::Started)),
            _ => {}
        }
        if let Some(reason) = block.head.strip_prefix("The server is not ready: ") {
            return Ok(Act::ServerSays(reason.to_owned()));
        }
        // The longest name wins: Romeo's phone is not Romeo.
        let who = self
            .cast
            .iter()
            .enumerate()
            .filter_map(|(who, role)| {
                let verb = block.head.strip_prefix(role.name.as_str())?.strip_prefix(' ')?;
                Some((who, verb))
            })
            .min_by_key(|(_, verb)| verb.len());
        let (who, verb) = who.ok_or_else(|| wrong(block.line, "nobody of that name"))?;
        let lines = block.body.join("\n");
        Ok(match verb {
            "connects" => Act::Connects(who, Stage::Bind),
            "connects up to tcp" => Act::Connects(who, Stage::Tcp),
            "connects up to tls" => Act::Connects(who, Stage::Tls),
            "connects up to features" => Act::Connects(who, Stage::Features),
            "connects up to auth" => Act::Connects(who, Stage::Auth),
            "starts TLS" | "starts TLS and sends raw:" => Act::StartsTls(who, block.raw()),
            "authenticates" => Act::Authenticates(who),
            "authenticates by SASL2" | "authenticates by SASL2 with:" => {
                Act::AuthenticatesBySasl2(who, lines)
            }
            "sends:" => Act::Sends(who, lines),
            "sends raw:" => Act::SendsRaw(who, block.body.iter().map(|line| line.trim()).collect()),
            "receives:" => Act::Receives(who, lines, Order::Written),
            "receives in any order:" => Act::Receives(who, lines, Order::Any),
            "receives a header:" => Act::ReceivesHeader(who, lines),
            "receives nothing" => Act::ReceivesNothing(who),
            "receives the end of the stream" => Act::ReceivesEnd(who),
            "is disconnected" => Act::IsDisconnected(who),
            "disconnects" => Act::Disconnects(who),
            "drops" => Act::Drops(who),
            "resumes" => Act::Resumes(who),
            _ => match verb.strip_prefix("sees a certificate for ") {
                Some(domain) => Act::SeesCertificate(who, domain.to_owned()),
                None => return Err(wrong(block.line, format!("nobody can `{verb}`"))),
            },
        })
    }
}

fn wrong(line: usize, why: impl Into<String>) -> Error {
    Error::Script { line, why: why.into() }
}

/// Comments begin with `#` at the margin; a line of dashes only divides.
fn blocks(text: &str) -> Result<Vec<Block<'_>>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let blank = line.trim().is_empty() || line.starts_with('#') || line.starts_with("---");
        if blank {
            continue;
        }
        if !line.starts_with(char::is_whitespace) {
            blocks.push(Block { line: number + 1, head: line.trim_end(), body: Vec::new() });
            continue;
        }
        match blocks.last_mut() {
            Some(block) => block.body.push(line),
            None => return Err(wrong(number + 1, "an indented line belongs below another")),
        }
    }
    Ok(blocks)
}

fn role(name: &str, block: &Block<'_>) -> Result<Role> {
    let mut role = Role {
        name: name.to_owned(),
        password: PASSWORD_DEFAULT.to_owned(),
        mechanism: MECHANISM_DEFAULT.to_owned(),
        has_account: true,
        ..Role::default()
    };
    for line in &block.body {
        let (key, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.trim();
        match (key.trim(), value) {
            ("jid", jid) => role.jid = jid.to_owned(),
            ("password", password) => role.password = password.to_owned(),
            ("mechanism", mechanism) => role.mechanism = mechanism.to_owned(),
            ("binding", binding) => role.binding = Some(binding.to_owned()),
            ("certificate", jid) => role.certificate = Some(jid.to_owned()),
            ("proxied", address) => role.proxied = Some(address.to_owned()),
            ("account", "none") => role.has_account = false,
            ("tls", "starttls") => role.tls = Tls::Starttls,
            ("tls", "direct") => role.tls = Tls::Direct,
            ("tls", "none") => role.tls = Tls::None,
            ("sm", "yes") => role.sm = Some(StreamManagement { resume: false, answers: true }),
            ("sm", "resume") => role.sm = Some(StreamManagement { resume: true, answers: true }),
            ("sm", "silent") => role.sm = Some(StreamManagement { resume: true, answers: false }),
            _ => return Err(wrong(block.line, format!("{name} cannot have `{}`", line.trim()))),
        }
    }
    match role.jid.is_empty() {
        true => Err(wrong(block.line, format!("{name} has no jid"))),
        false => Ok(role),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "# RFC 1: x\n[Client] Romeo\n\tjid: romeo@localhost\n\
        [Client] Romeo's phone\n\tjid: romeo@localhost/phone\n\tsm: resume\n---\n";

    fn parse(steps: &str) -> Result<Script> {
        Script::parse(&format!("{HEAD}{steps}"))
    }

    #[test]
    fn the_longest_name_acts() {
        let script = parse("Romeo's phone connects\nRomeo sends:\n\t<a>\n\t</a>\n").unwrap();
        assert!(matches!(script.steps[0].act, Act::Connects(1, Stage::Bind)));
        assert!(matches!(&script.steps[1].act, Act::Sends(0, xml) if xml == "\t<a>\n\t</a>"));
    }

    #[test]
    fn mistakes_name_their_line() {
        let line = |steps| match parse(steps) {
            Err(Error::Script { line, .. }) => line,
            other => panic!("{other:?}"),
        };
        assert_eq!(line("Tybalt connects\n"), 8);
        assert_eq!(line("Romeo connects\nRomeo dances\n"), 9);
        assert_eq!(line(""), 1);
    }

    #[test]
    fn a_script_names_its_rule() {
        assert!(Script::parse("Romeo connects\n").is_err());
        assert_eq!(parse("Romeo connects\n").unwrap().rule, "RFC 1: x");
    }
}
