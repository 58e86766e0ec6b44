//! What goes over the socket: JSON in the bodies of POST requests.

use jackdaw_jid::BareJid;
use serde::{Deserialize, Serialize};

use crate::AdminError;

/// The paths.
pub(crate) mod path {
    pub(crate) const ADD: &str = "/v1/accounts/add";
    pub(crate) const PASSWD: &str = "/v1/accounts/passwd";
    pub(crate) const DEL: &str = "/v1/accounts/del";
    pub(crate) const LIST: &str = "/v1/accounts/list";
}

/// For [`path::ADD`] and [`path::PASSWD`]. No `Debug`: it holds a password in clear.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    pub(crate) account: String,
    pub(crate) password: String,
}

/// For [`path::DEL`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Account {
    pub(crate) account: String,
}

/// For [`path::LIST`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    pub(crate) after: Option<String>,
    pub(crate) limit: usize,
}

/// The answer to [`path::LIST`].
#[derive(Serialize, Deserialize)]
pub(crate) struct Accounts {
    pub(crate) accounts: Vec<String>,
}

/// The answer where there is nothing to tell.
#[derive(Serialize, Deserialize)]
pub(crate) struct Done {}

/// An address as the other side wrote it.
pub(crate) fn parse(text: &str) -> Result<BareJid, AdminError> {
    BareJid::parse(text).map_err(|error| AdminError::Request(format!("{text}: {error}")))
}
