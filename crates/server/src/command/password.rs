//! Where a password comes from: the command line, standard input or a person at a terminal.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use jackdaw_jid::BareJid;
use jackdaw_stream::sasl::Secret;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::CommandError;
use crate::cli::PasswordArgs;

/// The password the arguments give or point to, or the one that is typed.
pub(super) fn obtain(arguments: PasswordArgs, account: &BareJid) -> Result<Secret, CommandError> {
    match arguments {
        PasswordArgs { password: Some(password), .. } => Ok(Secret::new(password)),
        PasswordArgs { password_stdin: true, .. } => read_line().map_err(unreadable),
        PasswordArgs { .. } if io::stdin().is_terminal() => ask_twice(account),
        PasswordArgs { .. } => Err(CommandError::Failed(
            "there is no terminal to ask for a password on; use --password-stdin".into(),
        )),
    }
}

fn ask_twice(account: &BareJid) -> Result<Secret, CommandError> {
    let first = ask(&format!("Password for {account}: ")).map_err(unreadable)?;
    let second = ask("Once more: ").map_err(unreadable)?;
    match first == second {
        true => Ok(first),
        false => Err(CommandError::Failed("the two passwords differ; nothing was changed".into())),
    }
}

/// Asks on the terminal. Standard output stays clean for what the command prints.
fn ask(prompt: &str) -> io::Result<Secret> {
    eprint!("{prompt}");
    io::stderr().flush()?;
    let silence = Silence::start()?;
    let line = read_line();
    drop(silence);
    eprintln!();
    line
}

fn read_line() -> io::Result<Secret> {
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line)? == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has ended"));
    }
    let end = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(end);
    Ok(Secret::new(line))
}

fn unreadable(error: io::Error) -> CommandError {
    CommandError::Failed(format!("cannot read the password from standard input: {error}"))
}

/// While it lives, the terminal does not show what is typed.
struct Silence {
    before: Termios,
}

impl Silence {
    fn start() -> io::Result<Silence> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Silence { before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(io::stdin(), OptionalActions::Now, &self.before) {
            eprintln!("\njackdaw: the terminal stays silent: {error}; `reset` brings it back");
        }
    }
}
