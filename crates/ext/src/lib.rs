//! What an extension is written against: the registry it names its handlers in, the context they
//! get, the effects they cause, and the services of the node behind them.
//!
//! Read [`Registry`] first: it says what can be registered. Then [`Ctx`] (IQ and presence
//! handlers, which may await a store) and [`PhaseCtx`] (message and presence phases, which are
//! synchronous). Whatever a handler causes besides its answer is an [`Effect`].
//!
//! Does not: route, deliver or own a socket; the router drains the effects, and the edge implements
//! [`Outbox`].
#![forbid(unsafe_code)]

mod accounts;
mod administration;
mod away;
mod ctx;
mod disco;
mod effect;
mod hosts;
mod iq;
mod locks;
mod outbox;
mod presence;
mod registry;
mod roster;
mod services;
mod time;
mod wire;
mod xep;

pub use accounts::{ACCOUNTS, AccountError, Accounts, TOKENS};
pub use administration::Administration;
pub use away::Away;
pub use ctx::{Ctx, PhaseCtx};
pub use disco::{Disco, DiscoNode, DiscoNodeHandler, DiscoQuery, Identity};
pub use effect::{Effect, Effects};
pub use hosts::Hosts;
pub use iq::{Iq, IqHandler, Reply};
pub use locks::{AccountLock, Locks};
pub use outbox::{Command, Outbox};
pub use presence::{Pending, Presence};
pub use registry::{
    AccountState, At, Deps, Direction, Flow, Lifecycle, PhaseHook, Registry, SessionHook,
    SessionState,
};
pub use roster::{Roster, RosterItem, Subscription};
pub use services::{Clock, Random, Services, Spawn};
pub use time::Timestamp;
pub use wire::{account_error, stanza_error};
pub use xep::{Status, Xep};
