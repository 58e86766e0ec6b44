//! The command line, and nothing but its shape.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::{AccountAddress, DomainName};

/// What the exit codes mean; in the long help and in `docs/`.
const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  it did not work; the last line on standard error says why and what to do
  2  the command line is wrong
  3  the configuration is wrong, or a certificate it names
  4  the account does not exist, or exists already";

/// Jackdaw, an XMPP server.
///
/// Without a command it serves: domain localhost, data in ./data, clients on 5222 and 5223.
#[derive(Debug, Parser)]
#[command(name = "jackdaw", version, after_long_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// Configuration file [default: jackdaw.toml in the working directory, if there is one]
    #[arg(long, short, global = true, value_name = "FILE", env = "JACKDAW_CONFIG")]
    pub config: Option<PathBuf>,

    /// Data directory, whatever the configuration says
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server; the default
    ///
    /// Stops gracefully on SIGTERM or SIGINT, at once on a second one. Reads configuration and
    /// certificates again on SIGHUP.
    Serve,
    /// Add, change and list accounts, of a running server or offline
    #[command(subcommand)]
    User(UserCommand),
    /// Print or check a configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Prepare a cluster; nodes do not work together yet
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Print the extensions as JSON, for docs/xeps.md and doap.xml
    #[command(hide = true)]
    Xeps,
}

/// What can be done to accounts.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add an account
    Add {
        /// The account's address, such as juliet@localhost
        #[arg(value_name = "JID")]
        account: AccountAddress,
        /// Its password.
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Set the password of an account
    Passwd {
        /// The account's address
        #[arg(value_name = "JID")]
        account: AccountAddress,
        /// Its new password.
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Delete an account and all it has stored
    Del {
        /// The account's address
        #[arg(value_name = "JID")]
        account: AccountAddress,
    },
    /// List the accounts, one a line
    List {
        /// Only those of this domain
        #[arg(long)]
        domain: Option<DomainName>,
    },
}

/// Where the password comes from; without an option it is asked for on the terminal.
#[derive(Args)]
pub struct PasswordArgs {
    /// The password; other users of this machine can see it while the command runs
    #[arg(long, conflicts_with = "password_stdin")]
    pub password: Option<String>,
    /// Read the password from the first line of standard input
    #[arg(long)]
    pub password_stdin: bool,
}

/// Written by hand, so that no log or panic message shows the password.
impl std::fmt::Debug for PasswordArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PasswordArgs")
            .field("password", &self.password.as_ref().map(|_| "(hidden)"))
            .field("password_stdin", &self.password_stdin)
            .finish()
    }
}

/// What can be done with configurations.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print a configuration with every key, its default and its reason
    Default,
    /// Check a configuration and its certificates, and say in which lines it is wrong
    ///
    /// `-` reads standard input.
    Check {
        /// The file [default: the one `serve` would read]
        file: Option<PathBuf>,
    },
    /// Print docs/configuration.md
    #[command(hide = true)]
    Markdown,
}

/// What can be done for a cluster.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Make certificates by which nodes know each other, where no other authority does
    ///
    /// The files are written on this machine; copy to each node its own certificate and key, and
    /// the authority's certificate. The authority's key stays here.
    #[command(subcommand)]
    Cert(CertCommand),
}

/// What can be made.
#[derive(Debug, Subcommand)]
pub enum CertCommand {
    /// Make the authority of a cluster: ca.crt and ca.key
    ///
    /// Whoever has ca.key can make nodes. An authority that is there is never replaced.
    Ca {
        /// Where to write
        #[arg(long, value_name = "DIR", default_value = "cluster-certificates")]
        dir: PathBuf,
        /// What people read in it
        #[arg(long, default_value = "Jackdaw cluster")]
        name: String,
        /// For how long it is valid
        #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: u32,
    },
    /// Make the certificate of a node, signed by the authority: NAME.crt and NAME.key
    Node {
        /// The node's name, and further names that it may go by: DNS names, no addresses
        #[arg(value_name = "NAME", required = true, num_args = 1..=16)]
        names: Vec<DomainName>,
        /// Where the authority is, and where to write
        #[arg(long, value_name = "DIR", default_value = "cluster-certificates")]
        dir: PathBuf,
        /// For how long it is valid
        #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: u32,
        /// Replace a certificate and key that are there
        #[arg(long)]
        renew: bool,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Cli {
        Cli::try_parse_from(line.split_whitespace()).expect(line)
    }

    #[test]
    fn the_description_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_means_serve() {
        assert!(parse("jackdaw").command.is_none());
        assert!(matches!(parse("jackdaw serve").command, Some(Command::Serve)));
    }

    #[test]
    fn global_options_may_stand_behind_the_command() {
        let cli = parse("jackdaw user list --config a.toml --data d");
        assert_eq!(cli.config.as_deref(), Some("a.toml".as_ref()));
        assert_eq!(cli.data.as_deref(), Some("d".as_ref()));
    }

    #[test]
    fn accounts_are_addresses() {
        let wrong = ["jackdaw user add juliet", "jackdaw user del juliet@localhost/balcony"];
        for line in wrong {
            assert!(Cli::try_parse_from(line.split_whitespace()).is_err(), "{line}");
        }
    }

    #[test]
    fn two_sources_of_a_password_are_refused() {
        let line = "jackdaw user add a@b --password x --password-stdin";
        assert!(Cli::try_parse_from(line.split_whitespace()).is_err());
    }

    #[test]
    fn debug_output_hides_the_password() {
        let cli = parse("jackdaw user add juliet@localhost --password r0m30");
        assert!(!format!("{cli:?}").contains("r0m30"));
    }
}
