//! `jackdaw user`: over the socket of a running server, else on the store itself.

use jackdaw_admin::{AccountAdmin, AdminError, Client, PAGE_MAX};
use jackdaw_jid::BareJid;
use jackdaw_stream::sasl::Secret;

use super::serve::admin_socket;
use super::{CommandError, Place, password, print};
use crate::cli::UserCommand;
use crate::config::{AccountAddress, Config};
use crate::wiring;

pub(super) fn run(command: UserCommand, place: &Place) -> Result<(), CommandError> {
    let config = place.read()?;
    let task = Task::prepare(command, &config)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::Failed(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(async {
        let socket = admin_socket(&config);
        let client = Client::connect(&socket).await.map_err(|error| {
            CommandError::Failed(format!(
                "{}: {error}; run this as the user the server runs as",
                socket.display()
            ))
        })?;
        match client {
            Some(client) => task.perform(&client).await,
            None => task.perform(&wiring::accounts(&config).await?).await,
        }
    })
}

/// A command with all it needs to know, password included.
enum Task {
    Add(BareJid, Secret),
    SetPassword(BareJid, Secret),
    Delete(BareJid),
    List { domain: Option<String> },
}

impl Task {
    /// Checks the domain before a password is asked for.
    fn prepare(command: UserCommand, config: &Config) -> Result<Task, CommandError> {
        match command {
            UserCommand::Add { account, password } => {
                let account = served(&account, config)?;
                let password = password::obtain(password, &account)?;
                Ok(Task::Add(account, password))
            }
            UserCommand::Passwd { account, password } => {
                let account = served(&account, config)?;
                let password = password::obtain(password, &account)?;
                Ok(Task::SetPassword(account, password))
            }
            // Accounts of a domain that is no longer served can be deleted and listed.
            UserCommand::Del { account } => Ok(Task::Delete(account.jid().clone())),
            UserCommand::List { domain } => {
                Ok(Task::List { domain: domain.map(|domain| domain.as_str().to_owned()) })
            }
        }
    }

    async fn perform(self, accounts: &impl AccountAdmin) -> Result<(), CommandError> {
        match self {
            Task::Add(account, password) => {
                accounts.add(&account, &password).await.map_err(|error| of(&account, error))?;
                print(&format!("added {account}\n"))
            }
            Task::SetPassword(account, password) => {
                let set = accounts.set_password(&account, &password).await;
                set.map_err(|error| of(&account, error))?;
                print(&format!("set the password of {account}\n"))
            }
            Task::Delete(account) => {
                accounts.delete(&account).await.map_err(|error| of(&account, error))?;
                print(&format!("deleted {account}\n"))
            }
            Task::List { domain } => list(accounts, domain.as_deref()).await,
        }
    }
}

async fn list(accounts: &impl AccountAdmin, domain: Option<&str>) -> Result<(), CommandError> {
    let mut after = None;
    loop {
        let page = accounts.list(after.as_ref(), PAGE_MAX).await?;
        let wanted = page.iter().filter(|account| domain.is_none_or(|d| account.domain() == d));
        print(&wanted.map(|account| format!("{account}\n")).collect::<String>())?;
        match page.into_iter().next_back() {
            Some(last) => after = Some(last),
            None => return Ok(()),
        }
    }
}

fn served(account: &AccountAddress, config: &Config) -> Result<BareJid, CommandError> {
    match config.domains.iter().any(|domain| domain.name.as_str() == account.domain()) {
        true => Ok(account.jid().clone()),
        false => Err(of(account.jid(), AdminError::NotServed(account.domain().into()))),
    }
}

/// The error with the account it is about.
fn of(account: &BareJid, error: AdminError) -> CommandError {
    match error {
        AdminError::Exists | AdminError::Missing => {
            CommandError::Account(format!("{account}: {error}"))
        }
        other => CommandError::Failed(format!("{account}: {other}")),
    }
}

impl From<AdminError> for CommandError {
    fn from(error: AdminError) -> CommandError {
        CommandError::Failed(error.to_string())
    }
}
