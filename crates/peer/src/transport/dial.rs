//! Connections to other nodes.

mod channel;

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Streaming};

use self::channel::Channel;
use super::listen::CallKind;
use super::stream::{Connection, Inlet, Outlet, Stream};
use super::{
    Backoff, CallError, ControlLink, Credentials, DIAL, DialError, OUTBOX_BATCHES, SocketLink,
    StreamError, names,
};
use crate::frame::Worker;
use crate::handshake::{Agreed, Hello, Myself, NodeName, Welcome};
use crate::wire::v1::peer_client::PeerClient;
use crate::wire::{CONTROL_BYTES_MAX, Downward, LINK_BYTES_MAX, Malformed, OnControl, v1};

/// Where a node is to be reached, and who it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Host and port.
    pub address: String,
    /// Its name, where that is known: a node that is another one is refused.
    pub name: Option<NodeName>,
}

/// Dials nodes on behalf of this one.
#[derive(Clone, Debug)]
pub struct Dialer {
    /// Changes when the node joins a cluster.
    myself: watch::Receiver<Myself>,
    credentials: Arc<Credentials>,
}

/// A connection, and the names of whoever is at its end.
struct Dialled {
    client: PeerClient<Channel>,
    connection: Arc<Connection>,
    certified: Vec<NodeName>,
}

impl Dialer {
    /// For the node that `myself` tells of.
    pub fn new(myself: watch::Receiver<Myself>, credentials: Arc<Credentials>) -> Dialer {
        Dialer { myself, credentials }
    }

    /// A payload stream of one of our workers.
    pub async fn link(&self, to: &Target, worker: Worker) -> Result<SocketLink, DialError> {
        timeout(DIAL, self.open_link(to, worker)).await.map_err(|_| DialError::TimedOut)?
    }

    /// The control stream, and who puts questions beside it.
    pub async fn control(&self, to: &Target) -> Result<(ControlLink, Caller), DialError> {
        timeout(DIAL, self.open_control(to)).await.map_err(|_| DialError::TimedOut)?
    }

    async fn open_link(&self, to: &Target, worker: Worker) -> Result<SocketLink, DialError> {
        let mut dialled = self.connect(to).await?;
        let myself = self.myself.borrow().clone();
        let (sender, outbox) = mpsc::channel(OUTBOX_BATCHES);
        let hello = v1::Upward::from(crate::wire::Upward::Hello(myself.hello(worker)));
        let messages = tokio_stream::once(hello).chain(ReceiverStream::new(outbox));
        let response = dialled.client.link(Request::new(messages)).await;
        let mut inbound = response.map_err(StreamError::from)?.into_inner();
        let welcome = match Downward::try_from(first(&mut inbound).await?) {
            Ok(Downward::Welcome(welcome)) => welcome,
            Ok(Downward::Refusal(refusal)) => return Err(refusal.into()),
            Ok(Downward::Batch(_)) => return Err(no_answer().into()),
            Err(malformed) => return Err(StreamError::from(malformed).into()),
        };
        let peer = dialled.agree(&myself, welcome, to)?;
        let inlet = Inlet::new(inbound, Some(dialled.connection));
        Ok(Stream { peer, worker, outlet: Outlet::new(sender), inlet })
    }

    async fn open_control(&self, to: &Target) -> Result<(ControlLink, Caller), DialError> {
        let mut dialled = self.connect(to).await?;
        let myself = self.myself.borrow().clone();
        let (sender, outbox) = mpsc::channel(OUTBOX_BATCHES);
        let hello: Hello = myself.hello(Worker::FIRST);
        let hello = v1::Control::from(OnControl::Hello(hello));
        let messages = tokio_stream::once(hello).chain(ReceiverStream::new(outbox));
        let response = dialled.client.control(Request::new(messages)).await;
        let mut inbound = response.map_err(StreamError::from)?.into_inner();
        let welcome = match OnControl::try_from(first(&mut inbound).await?) {
            Ok(OnControl::Welcome(welcome)) => welcome,
            Ok(OnControl::Refusal(refusal)) => return Err(refusal.into()),
            Ok(OnControl::Hello(_) | OnControl::Batch(_)) => return Err(no_answer().into()),
            Err(malformed) => return Err(StreamError::from(malformed).into()),
        };
        let peer = dialled.agree(&myself, welcome, to)?;
        let client = dialled.client.clone();
        let connection = dialled.connection;
        let caller =
            Caller { client, myself: self.myself.clone(), _connection: Arc::clone(&connection) };
        let inlet = Inlet::new(inbound, Some(connection));
        let (worker, outlet) = (Worker::FIRST, Outlet::new(sender));
        Ok((Stream { peer, worker, outlet, inlet }, caller))
    }

    /// TCP, TLS, HTTP/2.
    async fn connect(&self, to: &Target) -> Result<Dialled, DialError> {
        let tcp = TcpStream::connect(&to.address).await?;
        tcp.set_nodelay(true)?;
        // The name in the handshake of TLS is not looked at: one address has one node.
        let name = ServerName::from(tcp.peer_addr()?.ip());
        let tls = TlsConnector::from(Arc::clone(&self.credentials.current().client));
        let stream = tls.connect(name, tcp).await?;
        let certified = names::of_chain(stream.get_ref().1.peer_certificates());
        if certified.is_empty() {
            return Err(DialError::NoNames);
        }
        let (channel, connection) = Channel::over(stream).await.map_err(io::Error::other)?;
        let client = PeerClient::new(channel)
            .max_decoding_message_size(LINK_BYTES_MAX)
            .max_encoding_message_size(LINK_BYTES_MAX);
        Ok(Dialled { client, connection: Arc::new(connection), certified })
    }
}

impl Dialled {
    fn agree(&self, myself: &Myself, answer: Welcome, to: &Target) -> Result<Agreed, DialError> {
        Ok(myself.check(answer, &self.certified, to.name.as_ref())?)
    }
}

/// The answer to a hello.
async fn first<M>(messages: &mut Streaming<M>) -> Result<M, StreamError> {
    messages.message().await?.ok_or_else(no_answer)
}

fn no_answer() -> StreamError {
    StreamError::Malformed(Malformed("a hello was not answered"))
}

/// Puts questions to a node, on the connection of its control stream.
#[derive(Clone, Debug)]
pub struct Caller {
    client: PeerClient<Channel>,
    myself: watch::Receiver<Myself>,
    _connection: Arc<Connection>,
}

impl Caller {
    /// A question of some layer, carried without being read. How long to wait is the caller's
    /// business; a dropped call is withdrawn.
    pub async fn call(&self, kind: CallKind, body: Bytes) -> Result<Bytes, CallError> {
        if body.len() > CONTROL_BYTES_MAX - CallKind::HEAD_BYTES {
            return Err(CallError::Refused("the question is too long".into()));
        }
        let request = {
            let myself = self.myself.borrow();
            let cluster = myself.cluster.map(|id| Bytes::copy_from_slice(&id.0));
            v1::CallRequest {
                kind: v1::call_request::Kind::from(kind).into(),
                name: myself.name.as_str().to_owned(),
                cluster_id: cluster.unwrap_or_default(),
                body,
            }
        };
        let answer = self.client.clone().call(Request::new(request)).await;
        answer.map(|reply| reply.into_inner().body).map_err(|status| match status.code() {
            tonic::Code::FailedPrecondition
            | tonic::Code::PermissionDenied
            | tonic::Code::InvalidArgument
            | tonic::Code::Unimplemented => CallError::Refused(status.message().to_owned()),
            _ => CallError::Unknown(status.message().to_owned()),
        })
    }
}

/// Dials one node for as long as it takes, with growing pauses.
#[derive(Debug)]
pub struct Redial {
    dialer: Dialer,
    target: Target,
    backoff: Backoff,
    connected: Option<Instant>,
}

impl Redial {
    /// The seed makes its pauses differ from those of other nodes.
    pub fn new(dialer: Dialer, target: Target, seed: u64) -> Redial {
        Redial { dialer, target, backoff: Backoff::new(seed), connected: None }
    }

    /// The next payload stream. Call it again when that has ended.
    pub async fn link(&mut self, worker: Worker) -> SocketLink {
        loop {
            self.pause().await;
            let dialled = self.dialer.link(&self.target, worker).await;
            if let Some(link) = self.judge(dialled) {
                return link;
            }
        }
    }

    /// The next control stream. Call it again when that has ended.
    pub async fn control(&mut self) -> (ControlLink, Caller) {
        loop {
            self.pause().await;
            let dialled = self.dialer.control(&self.target).await;
            if let Some(control) = self.judge(dialled) {
                return control;
            }
        }
    }

    /// Before every attempt but the very first: after a failure, and after a connection that ended.
    async fn pause(&mut self) {
        let Some(connected) = self.connected.replace(Instant::now()) else { return };
        self.backoff.lasted(connected.elapsed());
        sleep(self.backoff.failed()).await;
    }

    fn judge<T>(&mut self, dialled: Result<T, DialError>) -> Option<T> {
        // A failure lasts no time at all.
        self.connected = Some(Instant::now());
        match dialled {
            Ok(stream) => Some(stream),
            Err(error) => {
                tracing::info!(address = %self.target.address, %error, "a node is not reached");
                None
            }
        }
    }
}
