//! Connections from other nodes.

mod service;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use hyper::server::conn::http2::Builder;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use self::service::Conversation;
use super::{
    CONNECTION_WINDOW, CallError, ControlLink, Credentials, HANDSHAKE, OwnerLink, PING_EVERY,
    PING_TIMEOUT, STREAM_WINDOW, names,
};
use crate::handshake::{Myself, NodeName};
use crate::wire::v1::peer_server::PeerServer;
use crate::wire::{LINK_BYTES_MAX, v1};

/// A stream that another node has opened, behind its handshake.
#[derive(Debug)]
pub enum Accepted {
    /// The control stream.
    Control(ControlLink),
    /// The payload of one of its workers.
    Link(OwnerLink),
}

/// The layer for which a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// Consensus: append entries.
    Append,
    /// Leases.
    Lease,
    /// Joining and leaving the cluster.
    Membership,
    /// Shards on their way from owner to owner.
    Shard,
    /// Consensus: a piece of a snapshot.
    Snapshot,
    /// Consensus: vote.
    Vote,
}

impl CallKind {
    /// More than everything of a call that is not its body.
    pub(super) const HEAD_BYTES: usize = 512;
}

/// An answer under way.
pub type Answer = Pin<Box<dyn Future<Output = Result<Bytes, CallError>> + Send>>;

/// Who answers calls. Called from any task; the answer is awaited there, so it may wait. Dropped
/// when the caller gives up.
pub trait Answers: Send + Sync + 'static {
    /// Answers a node whose certificate holds this name.
    fn answer(&self, from: &NodeName, kind: CallKind, body: Bytes) -> Answer;
}

/// Connections that have not shown a certificate yet. A node opens a handful at a time; strangers
/// wait in the kernel.
const HANDSHAKES_MAX: usize = 64;

/// Connections in all: a large cluster of large nodes needs a tenth.
const CONNECTIONS_MAX: usize = 8_192;

/// Streams of one connection: control and the calls beside it.
const STREAMS_MAX: u32 = 128;

/// Accepted streams that nobody has taken yet.
const ACCEPTED_MAX: usize = 64;

/// Takes connections of other nodes. Ends with all of them when its future is dropped.
pub struct Listener {
    listener: TcpListener,
    credentials: Arc<Credentials>,
    shared: Arc<Shared>,
}

/// What every connection needs.
struct Shared {
    myself: watch::Receiver<Myself>,
    answers: Arc<dyn Answers>,
    accepted: mpsc::Sender<Accepted>,
}

impl Listener {
    /// Listens on a socket that is bound already. The streams come out of the receiver.
    pub fn new(
        listener: TcpListener,
        myself: watch::Receiver<Myself>,
        credentials: Arc<Credentials>,
        answers: Arc<dyn Answers>,
    ) -> (Listener, mpsc::Receiver<Accepted>) {
        let (sender, accepted) = mpsc::channel(ACCEPTED_MAX);
        let shared = Arc::new(Shared { myself, answers, accepted: sender });
        (Listener { listener, credentials, shared }, accepted)
    }

    /// Runs until the receiver is dropped.
    pub async fn run(self) {
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        let mut connections = JoinSet::new();
        while !self.shared.accepted.is_closed() {
            while connections.try_join_next().is_some() {}
            let permit = Arc::clone(&handshakes).acquire_owned().await;
            let permit = permit.expect("the semaphore is never closed");
            let tcp = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = self.shared.accepted.closed() => return,
            };
            match tcp {
                Ok((tcp, _)) if connections.len() < CONNECTIONS_MAX => {
                    let (credentials, shared) = (self.credentials.clone(), self.shared.clone());
                    connections.spawn(async move {
                        let greeted = greet(tcp, &credentials).await;
                        drop(permit);
                        if let Some((tls, certified)) = greeted {
                            converse(tls, certified, shared).await;
                        }
                    });
                }
                Ok(_) => tracing::warn!("too many connections of nodes; one is dropped"),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection of a node");
                    // Out of descriptors, most likely; trying at once would only spin.
                    sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }
}

type Tls = tokio_rustls::server::TlsStream<TcpStream>;

/// TLS, and the names of whoever dialled.
async fn greet(tcp: TcpStream, credentials: &Credentials) -> Option<(Tls, Vec<NodeName>)> {
    let acceptor = TlsAcceptor::from(Arc::clone(&credentials.current().server));
    let handshake = async {
        tcp.set_nodelay(true)?;
        acceptor.accept(tcp).await
    };
    let result: io::Result<Tls> = match timeout(HANDSHAKE, handshake).await {
        Ok(result) => result,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    match result {
        Ok(tls) => {
            let certified = names::of_chain(tls.get_ref().1.peer_certificates());
            Some((tls, certified))
        }
        Err(error) => {
            tracing::info!(%error, "a connection to the port of nodes came to nothing");
            None
        }
    }
}

/// HTTP/2 until the connection ends.
async fn converse(tls: Tls, certified: Vec<NodeName>, shared: Arc<Shared>) {
    let conversation = Conversation::new(certified, shared);
    let service = PeerServer::new(conversation)
        .max_decoding_message_size(LINK_BYTES_MAX)
        .max_encoding_message_size(LINK_BYTES_MAX);
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT);
    let service = TowerToHyperService::new(service);
    if let Err(error) = builder.serve_connection(TokioIo::new(tls), service).await {
        tracing::debug!(%error, "a connection of a node broke");
    }
}

impl From<CallKind> for v1::call_request::Kind {
    fn from(kind: CallKind) -> v1::call_request::Kind {
        match kind {
            CallKind::Append => v1::call_request::Kind::Append,
            CallKind::Lease => v1::call_request::Kind::Lease,
            CallKind::Membership => v1::call_request::Kind::Membership,
            CallKind::Shard => v1::call_request::Kind::Shard,
            CallKind::Snapshot => v1::call_request::Kind::Snapshot,
            CallKind::Vote => v1::call_request::Kind::Vote,
        }
    }
}
