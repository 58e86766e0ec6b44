//! Finds out what a stream's machine asks for.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use jackdaw_ext::Pending;
use jackdaw_jid::BareJid;
use jackdaw_router::Identity;
use jackdaw_router::bind::AccountKind;
use jackdaw_router::restore::{Back, Restoring};
use jackdaw_session::{Session, SessionId};
use jackdaw_stanza::StanzaError;
use jackdaw_stream::c2s::{
    Answer, Bind, Carbons, Enable, FastWork, Kept, Request, Restored, Resume, ResumeFailed,
};
use jackdaw_stream::sasl::{self, Generation, Need, Password, SaslFailure};

use super::connection::StreamName;
use super::mail::{Surrender, Surrendered, address, connection_id};
use super::shared::C2sShared;
use super::{C2sProtocol, Connection, Mail};
use crate::{ConnectionId, Io};

impl C2sProtocol {
    /// The answer, if it is at hand; else it comes by mail.
    pub(super) fn ask(
        &mut self,
        io: &mut Io<'_, Mail>,
        connection: &Connection,
        request: Request,
    ) -> Option<Mail> {
        let shared = Arc::clone(&self.shared);
        let here = io.id();
        match request {
            Request::Sasl { need: Need::PasswordCheck { account, password }, .. } => {
                self.check_password(here, account, password)
            }
            Request::Sasl { need: Need::Credentials { account }, .. } => {
                self.run(here, Box::pin(credentials(shared, account)))
            }
            Request::Sasl { need: Need::FastTokens { account }, client } => {
                let id = client.and_then(|client| client.id.clone());
                self.run(here, Box::pin(fast_tokens(shared, account, id)))
            }
            Request::Fast(work) => self.run(here, Box::pin(fast(shared, work))),
            Request::Bind(bind) => self.run(here, Box::pin(bind_resource(shared, bind, here))),
            Request::Resume(resume) => self.resume(here, resume),
            Request::Enable(enable) => {
                let Some(session) = connection.session.clone() else {
                    return Some(answer(Answer::Enabled(Kept::Not)));
                };
                self.run(here, Box::pin(keep(shared, session, enable)))
            }
            Request::Register(stanza) => {
                let Some(registrar) = shared.registrar.clone() else {
                    let refused = stanza.error(&StanzaError::service_unavailable());
                    return Some(answer(Answer::Register(refused)));
                };
                let reply = registrar(stanza, connection.peer);
                let job = async move { answer(Answer::Register(reply.await)) };
                self.run(here, Box::pin(job))
            }
        }
    }

    /// Polls once; what is not ready is sent by mail when it is. A job without mail leaves it to
    /// somebody else to send some.
    fn run<T>(&self, here: ConnectionId, mut job: Pending<T>) -> Option<Mail>
    where
        T: Into<Option<Mail>> + Send + 'static,
    {
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(mail) = job.as_mut().poll(&mut context) {
            return mail.into();
        }
        let shared = Arc::clone(&self.shared);
        let services = Arc::clone(shared.router.services());
        services.spawn.spawn(Box::pin(async move {
            if let Some(mail) = job.await.into() {
                shared.outbox.send_surely(here, mail);
            }
        }));
        None
    }

    /// A whole PBKDF2: on the bounded pool, never here. A full pool fails the attempt for now
    /// (bad inputs, A08).
    fn check_password(
        &self,
        here: ConnectionId,
        account: BareJid,
        password: Password,
    ) -> Option<Mail> {
        let shared = Arc::clone(&self.shared);
        let job = Box::new(move || {
            let future = check_now(Arc::clone(&shared), account, password);
            let services = Arc::clone(shared.router.services());
            let mut future: Pending<Mail> = Box::pin(future);
            let mut context = Context::from_waker(Waker::noop());
            match future.as_mut().poll(&mut context) {
                Poll::Ready(mail) => shared.outbox.send_surely(here, mail),
                Poll::Pending => services.spawn.spawn(Box::pin(async move {
                    let mail = future.await;
                    shared.outbox.send_surely(here, mail);
                })),
            }
        });
        if self.shared.pool.run(job) { None } else { Some(unavailable()) }
    }

    /// Asks the stream that has the session for it.
    fn resume(&mut self, here: ConnectionId, resume: Resume) -> Option<Mail> {
        let router = &self.shared.router;
        match router.resumable(&resume.account, SessionId(resume.id.session())) {
            Some(session) => {
                ask_for(&self.shared, &session, here, resume);
                None
            }
            None => self.run(here, Box::pin(restore(Arc::clone(&self.shared), resume, here))),
        }
    }
}

/// Asks the stream that has a session to hand it over.
fn ask_for(shared: &C2sShared, session: &Session, here: ConnectionId, resume: Resume) {
    let surrender = Surrender { to: here, resume };
    let to = connection_id(session.address());
    shared.outbox.send_surely(to, Mail::Surrender(Box::new(surrender)));
}

fn answer(answer: Answer) -> Mail {
    Mail::Answer(Box::new(answer))
}

fn unavailable() -> Mail {
    answer(Answer::Sasl(sasl::Answer::Unavailable))
}

async fn credentials(shared: Arc<C2sShared>, account: BareJid) -> Mail {
    match shared.router.services().accounts.credentials(&account).await {
        Ok(credentials) => answer(Answer::Sasl(sasl::Answer::Credentials(credentials))),
        Err(error) => {
            tracing::error!(%error, "credentials could not be read");
            unavailable()
        }
    }
}

async fn check_now(shared: Arc<C2sShared>, account: BareJid, password: Password) -> Mail {
    match shared.router.services().accounts.credentials(&account).await {
        Ok(credentials) => {
            let decoy = &shared.config().decoy;
            let generation = decoy.check_password(&account, credentials.as_ref(), &password);
            answer(Answer::Sasl(sasl::Answer::PasswordChecked(generation)))
        }
        Err(error) => {
            tracing::error!(%error, "credentials could not be read");
            unavailable()
        }
    }
}

async fn generation(shared: &C2sShared, account: &BareJid) -> Result<Option<Generation>, ()> {
    match shared.router.services().accounts.credentials(account).await {
        Ok(credentials) => Ok(credentials.map(|credentials| credentials.generation())),
        Err(error) => {
            tracing::error!(%error, "credentials could not be read");
            Err(())
        }
    }
}

async fn fast_tokens(shared: Arc<C2sShared>, account: BareJid, client: Option<Box<str>>) -> Mail {
    let Ok(generation) = generation(&shared, &account).await else { return unavailable() };
    let tokens = match client {
        Some(client) => shared.tokens.load(&account, &client).await,
        None => Ok(sasl::FastTokens::default()),
    };
    match tokens {
        Ok(tokens) => {
            let now = shared.now();
            let held = sasl::Answer::FastTokens { generation, tokens, now };
            answer(Answer::Sasl(held))
        }
        Err(error) => {
            tracing::error!(%error, "tokens could not be read");
            unavailable()
        }
    }
}

async fn fast(shared: Arc<C2sShared>, work: FastWork) -> Mail {
    let issued = shared.tokens.work(&shared, work).await.map_err(|error| {
        tracing::error!(%error, "tokens could not be written");
        SaslFailure::temporary_auth_failure()
    });
    answer(Answer::Fast(issued))
}

/// Brings a session back from its record; none if it is in the table by now, and is asked for.
async fn restore(shared: Arc<C2sShared>, resume: Resume, here: ConnectionId) -> Option<Mail> {
    let not_found = |h| Some(answer(Answer::ResumeFailed(ResumeFailed::NotFound { h })));
    let Ok(generation) = generation(&shared, &resume.account).await else { return not_found(None) };
    let generation = generation.map(|generation| generation.0);
    match shared.router.restore(&resume, generation, address(here)).await {
        Ok(Restoring::Restored(back)) => {
            let Back { session, resume_secs, handled, unacknowledged } = *back;
            let restored = Restored {
                jid: session.jid().clone(),
                id: resume.id,
                resume_secs,
                handled,
                acknowledged: resume.h,
                unacknowledged,
            };
            let outcome = Ok(Box::new(restored.into()));
            Some(Mail::Surrendered(Box::new(Surrendered { session, outcome, from: None })))
        }
        Ok(Restoring::Live(session)) => {
            ask_for(&shared, &session, here, resume);
            None
        }
        Ok(Restoring::NotFound { h }) => not_found(h),
        Err(error) => {
            tracing::error!(%error, "the record of a session could not be read");
            not_found(None)
        }
    }
}

/// Puts a session on record. A guest's ends with the process.
async fn keep(shared: Arc<C2sShared>, session: Arc<Session>, enable: Enable) -> Mail {
    let kept = match generation(&shared, session.account().jid()).await {
        Ok(Some(generation)) => {
            let identity = Identity {
                id: enable.id.to_bytes().to_vec(),
                resource: session.jid().resource().to_owned(),
                generation: generation.0,
                resume_secs: enable.resume_secs,
            };
            match shared.router.keep(&session, identity).await {
                true => Kept::Durably,
                false => Kept::Not,
            }
        }
        Ok(None) => Kept::InMemory,
        Err(()) => Kept::Not,
    };
    answer(Answer::Enabled(kept))
}

async fn bind_resource(shared: Arc<C2sShared>, bind: Bind, here: ConnectionId) -> Mail {
    if shared.is_short_of_memory() {
        return answer(Answer::BindRefused(StanzaError::resource_constraint()));
    }
    let account = bind.jid.bare();
    // The account may have been deleted, and made anew, since it authenticated (A11).
    if bind.generation.is_some() && generation(&shared, &account).await != Ok(bind.generation) {
        return answer(Answer::BindRefused(StanzaError::not_allowed()));
    }
    let resource = Some(bind.jid.resource().to_owned());
    let kind = match bind.generation {
        Some(_) => AccountKind::Registered,
        None => AccountKind::Guest,
    };
    match shared.router.bind(account, resource, address(here), kind).await {
        Ok(session) => {
            if bind.carbons == Carbons::On {
                (shared.enable_carbons)(&session);
            }
            let stream = StreamName(here);
            tracing::debug!(%stream, jid = %session.jid(), "resource bound");
            Mail::Bound(session)
        }
        Err(error) => answer(Answer::BindRefused(error)),
    }
}
