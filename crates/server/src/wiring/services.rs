//! Extensions and router.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jackdaw_edge::c2s::StreamOutbox;
use jackdaw_ext::{Accounts, Away, Deps, Hosts, Locks, Outbox, Registry, Services};
use jackdaw_im::Im;
use jackdaw_router::record::{NUMBERS, SESSIONS};
use jackdaw_router::spool::SPOOL;
use jackdaw_router::{Router, RouterConfig};
use jackdaw_session::{ConflictPolicy, Sessions};
use jackdaw_store::Stores;
use tokio::runtime::Handle;

use super::platform::{Runtime, SystemClock, SystemRandom};
use crate::config::{Ack, Config, ResourceConflict};

/// Builds the services, registers every extension, and puts the router on top.
pub(super) fn build(config: &Config, stores: Stores, outbox: &Arc<StreamOutbox>) -> Arc<Router> {
    // Everything below sees the store through it.
    let away = Away::new(&[SPOOL, SESSIONS, NUMBERS]);
    let stores = away.watch(&stores);
    let hosts = Hosts::new(config.domains.iter().map(|domain| domain.name.jid().clone()).collect());
    let deps = Deps {
        stores: stores.clone(),
        hosts: hosts.clone(),
        configs: super::settings::extensions(config),
    };
    let mut registry = Registry::default();
    jackdaw_im::register(&mut registry, &deps);
    jackdaw_xeps::register_all(&mut registry, &deps);
    let im = Im::new(&deps, jackdaw_xeps::blocking::hides);
    let services = services(stores, away, hosts, outbox);
    let router_config = RouterConfig {
        conflict: match config.sessions.resource_conflict {
            ResourceConflict::Replace => ConflictPolicy::CloseOld,
            ResourceConflict::Refuse => ConflictPolicy::RefuseNew,
        },
        sessions_per_account_max: config.limits.resources_per_account_max as usize,
        offline_messages_max: config.limits.offline_messages_max as usize,
        spool_linger: Duration::from_millis(20),
        is_durable: config.storage.ack == Ack::Durable,
        resume_timeout: Duration::from_secs(config.stream_management.resume_timeout_secs.0.into()),
    };
    Router::new(services, registry, Arc::new(im), router_config)
}

fn services(
    stores: Stores,
    away: Arc<Away>,
    hosts: Hosts,
    outbox: &Arc<StreamOutbox>,
) -> Arc<Services> {
    let outbox: Arc<dyn Outbox> = Arc::clone(outbox) as Arc<dyn Outbox>;
    let clock = Arc::new(SystemClock);
    // Ids of sessions rise across restarts: they begin at the time, in microseconds.
    let first_session = jackdaw_ext::Clock::now(&*clock).0.saturating_mul(1000);
    Arc::new(Services {
        sessions: Sessions::new(first_session),
        accounts: Accounts::new(stores.clone()),
        stores,
        hosts,
        away: Some(away),
        locks: Locks::default(),
        clock,
        random: Arc::new(SystemRandom),
        spawn: Arc::new(Runtime(Handle::current())),
        outbox: OnceLock::from(outbox),
        administration: OnceLock::new(),
        host_disco: OnceLock::new(),
        account_disco: OnceLock::new(),
        loaders: OnceLock::new(),
    })
}
