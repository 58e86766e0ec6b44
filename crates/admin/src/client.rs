//! The client of a running server.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use jackdaw_jid::BareJid;
use jackdaw_stream::sasl::Secret;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::wire::{self, Done, path};
use crate::{AccountAdmin, AdminError, PAGE_MAX};

/// A page of the longest addresses there can be.
const ANSWER_BYTES_MAX: usize = PAGE_MAX * 4 * 1_024;

/// Speaks to the server behind a socket; one connection per request.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// A client if a server runs behind `socket`, none if not. An error means that it cannot be
    /// told, for want of permission for instance.
    pub async fn connect(socket: &Path) -> io::Result<Option<Client>> {
        match UnixStream::connect(socket).await {
            Ok(_stream) => Ok(Some(Client { socket: socket.into() })),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
                _ => Err(error),
            },
        }
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, AdminError> {
        let body = serde_json::to_vec(body).map_err(failed)?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST, "localhost")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(failed)?;
        let stream = UnixStream::connect(&self.socket).await.map_err(failed)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let connection = tokio::spawn(connection);
        let answer = sender.send_request(request).await.map_err(failed)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
        let body = body.collect().await.map_err(failed)?.to_bytes();
        connection.abort();
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(failed);
        }
        Err(serde_json::from_slice(&body)
            .unwrap_or_else(|_| AdminError::Request(format!("{path}: {status}"))))
    }
}

fn failed(error: impl std::fmt::Display) -> AdminError {
    AdminError::Failed(format!("the server did not answer: {error}"))
}

impl AccountAdmin for Client {
    async fn add(&self, account: &BareJid, password: &Secret) -> Result<(), AdminError> {
        let Done {} = self.post(path::ADD, &credentials(account, password)).await?;
        Ok(())
    }

    async fn set_password(&self, account: &BareJid, password: &Secret) -> Result<(), AdminError> {
        let Done {} = self.post(path::PASSWD, &credentials(account, password)).await?;
        Ok(())
    }

    async fn delete(&self, account: &BareJid) -> Result<(), AdminError> {
        let request = wire::Account { account: account.as_str().into() };
        let Done {} = self.post(path::DEL, &request).await?;
        Ok(())
    }

    async fn list(
        &self,
        after: Option<&BareJid>,
        limit: usize,
    ) -> Result<Vec<BareJid>, AdminError> {
        let after = after.map(|account| account.as_str().to_owned());
        let page: wire::Accounts = self.post(path::LIST, &wire::Page { after, limit }).await?;
        page.accounts.iter().map(|account| wire::parse(account)).collect()
    }
}

fn credentials(account: &BareJid, password: &Secret) -> wire::Credentials {
    wire::Credentials { account: account.as_str().into(), password: password.reveal().into() }
}
