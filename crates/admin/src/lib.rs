//! Administration of accounts: one trait, a JSON service on a UNIX socket and its client.
//!
//! `jackdaw user` speaks to [`AccountAdmin`]: to the [`Client`] while a server runs, else to the
//! store itself. The socket is the only door, and only the server's user can open it; clear
//! passwords exist on it and nowhere else.
//!
//! Does not: listen on the network, open a store or decide who is an administrator.

#![forbid(unsafe_code)]

mod accounts;
mod client;
mod server;
mod socket;
mod store;
mod wire;

pub use accounts::{AccountAdmin, AdminError, PAGE_MAX};
pub use client::Client;
pub use server::serve;
pub use socket::{BindError, bind};
pub use store::{AccountPolicy, Eraser, StoreAccounts};
