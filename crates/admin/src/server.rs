//! The service on the socket.

use std::future::Future;
use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use jackdaw_stream::sasl::Secret;
use tokio::net::UnixListener;

use crate::wire::{self, Done, path};
use crate::{AccountAdmin, AdminError, PAGE_MAX};

/// A request is one address of at most 3 KB and one password of at most 1 KB, perhaps escaped.
const REQUEST_BYTES_MAX: usize = 32 * 1_024;

/// Serves `accounts` on the socket until `stop` is ready; what is under way then is finished.
pub async fn serve<A: AccountAdmin>(
    listener: UnixListener,
    accounts: Arc<A>,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let router = Router::new()
        .route(path::ADD, post(add::<A>))
        .route(path::PASSWD, post(passwd::<A>))
        .route(path::DEL, post(del::<A>))
        .route(path::LIST, post(list::<A>))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .with_state(accounts);
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop).await {
        tracing::error!(%error, "`jackdaw user` is out of order: its socket failed");
    }
}

type Body<T> = Result<Json<T>, JsonRejection>;
type Answer<T> = Result<Json<T>, AdminError>;

async fn add<A: AccountAdmin>(
    State(accounts): State<Arc<A>>,
    body: Body<wire::Credentials>,
) -> Answer<Done> {
    let wire::Credentials { account, password } = read(body)?;
    let account = wire::parse(&account)?;
    accounts.add(&account, &Secret::new(password)).await?;
    tracing::info!(%account, "account added");
    Ok(Json(Done {}))
}

async fn passwd<A: AccountAdmin>(
    State(accounts): State<Arc<A>>,
    body: Body<wire::Credentials>,
) -> Answer<Done> {
    let wire::Credentials { account, password } = read(body)?;
    let account = wire::parse(&account)?;
    accounts.set_password(&account, &Secret::new(password)).await?;
    tracing::info!(%account, "password set");
    Ok(Json(Done {}))
}

async fn del<A: AccountAdmin>(
    State(accounts): State<Arc<A>>,
    body: Body<wire::Account>,
) -> Answer<Done> {
    let account = wire::parse(&read(body)?.account)?;
    accounts.delete(&account).await?;
    tracing::info!(%account, "account deleted");
    Ok(Json(Done {}))
}

async fn list<A: AccountAdmin>(
    State(accounts): State<Arc<A>>,
    body: Body<wire::Page>,
) -> Answer<wire::Accounts> {
    let wire::Page { after, limit } = read(body)?;
    let after = after.as_deref().map(wire::parse).transpose()?;
    let page = accounts.list(after.as_ref(), limit.min(PAGE_MAX)).await?;
    let accounts = page.iter().map(|account| account.as_str().to_owned()).collect();
    Ok(Json(wire::Accounts { accounts }))
}

fn read<T>(body: Body<T>) -> Result<T, AdminError> {
    body.map(|Json(value)| value).map_err(|error| AdminError::Request(error.body_text()))
}

impl IntoResponse for AdminError {
    fn into_response(self) -> Response {
        let status = match self {
            AdminError::Exists => StatusCode::CONFLICT,
            AdminError::Missing => StatusCode::NOT_FOUND,
            AdminError::NotServed(_) | AdminError::Password(_) | AdminError::Request(_) => {
                StatusCode::BAD_REQUEST
            }
            AdminError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(self)).into_response()
    }
}
