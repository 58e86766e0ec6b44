//! HTTP/2 over one TLS connection, as tonic wants it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tonic::body::Body;
use tonic::codegen::Service;

use super::super::stream::Connection;
use super::super::{CONNECTION_WINDOW, PING_EVERY, PING_TIMEOUT, STREAM_WINDOW};

/// Requests go to one connection, which is not made anew when it breaks: numbers have to be looked
/// at first.
#[derive(Clone, Debug)]
pub struct Channel {
    requests: SendRequest<Body>,
}

/// What tonic's client adds its path to; nobody looks at it.
const ORIGIN: &str = "https://peer";

impl Channel {
    /// Starts HTTP/2. The connection lives as long as what is given back with it.
    pub(super) async fn over(
        stream: TlsStream<TcpStream>,
    ) -> Result<(Channel, Connection), hyper::Error> {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true);
        let (requests, connection) = builder.handshake(TokioIo::new(stream)).await?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to a node broke");
            }
        });
        Ok((Channel { requests }, Connection(task.abort_handle())))
    }
}

impl Service<http::Request<Body>> for Channel {
    type Response = http::Response<hyper::body::Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.requests.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let path = request.uri().path();
        if let Ok(uri) = format!("{ORIGIN}{path}").parse() {
            *request.uri_mut() = uri;
        }
        Box::pin(self.requests.send_request(request))
    }
}
