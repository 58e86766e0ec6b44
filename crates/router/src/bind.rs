//! Sessions come and go (RFC 6120 §7, XEP-0198 §5).

use std::sync::Arc;

use jackdaw_ext::{AccountError, Command, Effects, Lifecycle, stanza_error};
use jackdaw_jid::{BareJid, FullJid};
use jackdaw_session::{Account, Address, Availability, Bound, Conflict, Session, SessionId, Slots};
use jackdaw_stanza::{Delivery, StanzaError};
use jackdaw_store::{Batch, StoreError};

use crate::Router;

/// Whether an account lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountKind {
    /// It is in the store.
    Registered,
    /// It lasts as long as its session (SASL ANONYMOUS): nothing is loaded for it.
    Guest,
}

impl Router {
    /// Binds a resource of an authenticated account for the stream at `address`. Without a
    /// resource the server makes one (RFC 6120 §7.6).
    pub async fn bind(
        self: &Arc<Self>,
        account: BareJid,
        resource: Option<String>,
        address: Address,
        kind: AccountKind,
    ) -> Result<Arc<Session>, StanzaError> {
        let resource = resource.unwrap_or_else(|| self.services.random_id());
        let jid = account.with_resource(&resource).map_err(|_| StanzaError::bad_request())?;
        let bound = self.bind_under_lock(&account, jid, address, kind).await?;
        let mut effects = Effects::new();
        if let Some(old) = bound.evicted {
            self.outbox().command(old.address(), Command::Close("conflict"));
            self.gone(&old, &mut effects).await;
        }
        self.tell(Lifecycle::Bound, &bound.session, None, &mut effects);
        Arc::clone(self).drain(effects).await;
        Ok(bound.session)
    }

    /// The account's lock keeps a change of its state from falling between load and bind.
    async fn bind_under_lock(
        &self,
        account: &BareJid,
        jid: FullJid,
        address: Address,
        kind: AccountKind,
    ) -> Result<Bound, StanzaError> {
        let _changing = self.services.locks.lock(account).await;
        let loaded = match kind {
            AccountKind::Guest => Some(Arc::new(Account::new(account.clone(), Slots::default()))),
            AccountKind::Registered => {
                self.services.account(account).await.map_err(|error| stanza_error(&error))?
            }
        };
        let account = loaded.ok_or_else(StanzaError::not_allowed)?;
        if kind == AccountKind::Registered {
            let superseded = self.supersede(account.jid(), &jid).await;
            superseded.map_err(|error| stanza_error(&error))?;
        }
        let now = self.services.clock.now().secs();
        let max = self.config.sessions_per_account_max;
        self.services.sessions.bind(&account, jid, address, now, self.config.conflict, max).map_err(
            |conflict| match conflict {
                Conflict::Taken => StanzaError::conflict(),
                Conflict::TooMany => StanzaError::resource_constraint(),
            },
        )
    }

    /// Erases what is stored for an account, its credentials last, then ends its sessions: who sees
    /// them end may register the name again. Doing it twice does no harm.
    pub async fn erase_account(self: &Arc<Self>, account: &BareJid) -> Result<(), StoreError> {
        let ctx = self.ctx(None, account.clone());
        self.presence.part(ctx.clone(), account.clone()).await;
        Arc::clone(self).drain(ctx.take_effects()).await;
        for erase in self.registry.erasers() {
            erase(Arc::clone(&self.services), account.clone()).await?;
        }
        let mut batch = Batch::new();
        for table in [crate::spool::SPOOL, crate::record::SESSIONS, crate::record::NUMBERS] {
            batch.clear(table, account);
        }
        self.services.stores.commit(batch).await?;
        self.spool.cleared(account);
        let removed = self.services.accounts.remove(account).await;
        if let Err(AccountError::Store(error)) = removed {
            return Err(error);
        }
        for session in self.services.sessions.of(account.as_str()) {
            self.outbox().command(session.address(), Command::Close("not-authorized"));
        }
        Ok(())
    }

    /// The session with this id, if it belongs to the account: what `<resume/>` names.
    pub fn resumable(&self, account: &BareJid, id: SessionId) -> Option<Arc<Session>> {
        self.services.sessions.find_id(account.as_str(), id)
    }

    /// A session is over for good: closed by its client, evicted, or not resumed in time. What it
    /// did not acknowledge goes elsewhere.
    pub fn ended(self: &Arc<Self>, session: &Arc<Session>, unacknowledged: Vec<Delivery>) {
        self.strike(session);
        let router = Arc::clone(self);
        let session = Arc::clone(session);
        self.start_detached(Box::pin(async move {
            let mut effects = Effects::new();
            if router.services.sessions.unbind(&session) {
                router.gone(&session, &mut effects).await;
            }
            router.flush_without(&session);
            for delivery in unacknowledged {
                router.redeliver(delivery, &mut effects);
            }
            router.drain(effects).await;
        }));
    }

    /// Says to the world what the session did not (RFC 6121 §4.5.2).
    async fn gone(self: &Arc<Self>, session: &Arc<Session>, effects: &mut Effects) {
        let was_available = session.is_available();
        // Also one that was not available: directed presence may have to be taken back.
        let ctx = self.ctx_of(Some(session), session.account());
        self.presence.session_ended(ctx.clone(), Arc::clone(session)).await;
        if was_available {
            session.set_availability(Availability::default());
            self.tell(Lifecycle::Unavailable, session, None, effects);
        }
        effects.append(&mut ctx.take_effects());
        self.tell(Lifecycle::Ended, session, None, effects);
    }
}
