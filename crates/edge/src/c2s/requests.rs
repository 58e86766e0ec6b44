//! Finds out what a stream's machine asks for.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use jackdaw_ext::Pending;
use jackdaw_jid::BareJid;
use jackdaw_router::bind::AccountKind;
use jackdaw_session::SessionId;
use jackdaw_stanza::StanzaError;
use jackdaw_stream::c2s::{Answer, Bind, Carbons, FastWork, Request, Resume, ResumeFailed};
use jackdaw_stream::sasl::{self, Generation, Need, Password, SaslFailure};

use super::connection::StreamName;
use super::mail::{Surrender, address, connection_id};
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
            Request::Resume(resume) => self.resume(io, resume),
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

    /// Polls once; what is not ready is sent by mail when it is.
    fn run(&self, here: ConnectionId, mut job: Pending<Mail>) -> Option<Mail> {
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(mail) = job.as_mut().poll(&mut context) {
            return Some(mail);
        }
        let shared = Arc::clone(&self.shared);
        let services = Arc::clone(shared.router.services());
        services.spawn.spawn(Box::pin(async move {
            let mail = job.await;
            shared.outbox.send_surely(here, mail);
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
    fn resume(&mut self, io: &mut Io<'_, Mail>, resume: Resume) -> Option<Mail> {
        let router = &self.shared.router;
        let Some(session) = router.resumable(&resume.account, SessionId(resume.id.session()))
        else {
            return Some(answer(Answer::ResumeFailed(ResumeFailed::NotFound { h: None })));
        };
        let surrender = Surrender { to: io.id(), resume };
        let to = connection_id(session.address());
        self.shared.outbox.send_surely(to, Mail::Surrender(Box::new(surrender)));
        None
    }
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

async fn bind_resource(shared: Arc<C2sShared>, bind: Bind, here: ConnectionId) -> Mail {
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
