//! FAST tokens in the store (XEP-0484): one row per account and client.

use jackdaw_ext::{TOKENS, Timestamp};
use jackdaw_jid::BareJid;
use jackdaw_store::{Batch, Durability, ItemRange, StoreError, Stores};
use jackdaw_stream::c2s::{FastWork, IssuedToken, Revoke};
use jackdaw_stream::sasl::{
    FastToken, FastTokens, Mechanism, TOKEN_RANDOM_BYTES, TokenUse, UnixSeconds,
};

use super::shared::C2sShared;

/// How long a token is good: as long as a person is away on a long holiday.
const TOKEN_LIFE_SECS: u64 = 30 * 24 * 3600;

/// A token this close to its end is replaced when it is used (XEP-0484 §3.5).
const RENEW_BEFORE_SECS: u64 = 7 * 24 * 3600;

/// Clients of one account that may have tokens; beyond it none is issued.
const CLIENTS_MAX: usize = 64;

/// Bytes of a client's id that are taken as a key.
const CLIENT_ID_BYTES_MAX: usize = 256;

/// Tokens by account and client.
pub(super) struct Tokens {
    stores: Stores,
}

impl Tokens {
    pub(super) fn new(stores: Stores) -> Tokens {
        Tokens { stores }
    }

    pub(super) async fn load(
        &self,
        account: &BareJid,
        client: &str,
    ) -> Result<FastTokens, StoreError> {
        let row = self.stores.engine().get(TOKENS, account, client.as_bytes()).await?;
        match row {
            Some(row) => {
                FastTokens::decode(&row).map_err(|_| StoreError::Corrupt("a row of tokens"))
            }
            None => Ok(FastTokens::default()),
        }
    }

    /// Writes down the use of a token, and revokes or issues one. A use is durable before the
    /// answer: else a token could be replayed after a crash. One that changes nothing, because the
    /// client does not count its uses, is not written again.
    pub(super) async fn work(
        &self,
        shared: &C2sShared,
        work: FastWork,
    ) -> Result<Option<IssuedToken>, StoreError> {
        let client = work.client.id.as_deref().filter(|id| id.len() <= CLIENT_ID_BYTES_MAX);
        let (Some(client), Some(generation)) = (client, work.generation) else { return Ok(None) };
        let now = shared.now();
        if changes_nothing(&work, now) {
            return Ok(None);
        }
        let services = shared.router.services();
        let _changing = services.locks.lock(&work.account).await;
        let before = self.load(&work.account, client).await?;
        let mut tokens = before.clone();
        let mut wanted = work.issue;
        if let Some((mechanism, used)) = work.used {
            tokens.record(used);
            if work.revoke == Revoke::No && wanted.is_none() && expires_soon(used, now) {
                wanted = Some(mechanism);
            }
        }
        if work.revoke == Revoke::Yes {
            tokens.invalidate();
        }
        let is_welcome = wanted.is_some() && self.has_room(&work.account, client).await?;
        let issued = wanted.filter(|_| is_welcome).map(|mechanism| {
            let token = fresh(shared, mechanism, generation, now);
            let expiry = Timestamp(token.expires_at.0.saturating_mul(1000)).to_string();
            let issued = IssuedToken { token: token.secret.clone(), expiry };
            tokens.issue(token);
            issued
        });
        if tokens == before {
            return Ok(None);
        }
        let mut batch = Batch::new();
        batch.put(TOKENS, &work.account, client.as_bytes(), tokens.encode());
        self.stores.engine().commit(batch, Durability::Durable).await?;
        Ok(issued)
    }

    async fn has_room(&self, account: &BareJid, client: &str) -> Result<bool, StoreError> {
        let range = ItemRange::first(CLIENTS_MAX);
        let rows = self.stores.engine().list(TOKENS, account, range).await?;
        Ok(rows.len() < CLIENTS_MAX || rows.iter().any(|row| *row.item == *client.as_bytes()))
    }
}

fn fresh(
    shared: &C2sShared,
    mechanism: Mechanism,
    generation: jackdaw_stream::sasl::Generation,
    now: UnixSeconds,
) -> FastToken {
    let mut random = [0u8; TOKEN_RANDOM_BYTES];
    shared.router.services().random.fill(&mut random);
    FastToken::new(random, mechanism, generation, UnixSeconds(now.0 + TOKEN_LIFE_SECS))
}

/// The usual login: the token was used before, stays good for a while, and nothing is asked for.
fn changes_nothing(work: &FastWork, now: UnixSeconds) -> bool {
    let is_plain = work.issue.is_none() && work.revoke == Revoke::No;
    is_plain && work.used.is_some_and(|(_, used)| !used.is_news && !expires_soon(used, now))
}

fn expires_soon(used: TokenUse, now: UnixSeconds) -> bool {
    used.expires_at.0 < now.0 + RENEW_BEFORE_SECS
}
