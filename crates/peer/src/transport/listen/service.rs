//! What a connected node may ask: the gRPC service.

use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream as AnyStream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};

use super::super::stream::{Inlet, Outlet, Stream};
use super::super::{CallError, HANDSHAKE, OUTBOX_BATCHES};
use super::{Accepted, CallKind, Shared};
use crate::handshake::{Agreed, Hello, NodeName, Reason, Refusal, Welcome};
use crate::wire::v1::call_request::Kind;
use crate::wire::{Downward, Malformed, OnControl, Upward, v1};

/// One connection, and the names in the certificate of whoever made it.
pub(super) struct Conversation {
    certified: Vec<NodeName>,
    shared: Arc<Shared>,
}

type Messages<M> = Pin<Box<dyn AnyStream<Item = Result<M, Status>> + Send>>;

impl Conversation {
    pub(super) fn new(certified: Vec<NodeName>, shared: Arc<Shared>) -> Conversation {
        Conversation { certified, shared }
    }

    fn agree(&self, hello: Result<Hello, Malformed>) -> Result<(Welcome, Agreed), Refusal> {
        let myself = self.shared.myself.borrow().clone();
        match hello {
            Ok(hello) => myself.answer(&hello, &self.certified),
            Err(malformed) => {
                let (reason, text) = (Reason::Malformed, malformed.to_string());
                Err(Refusal { reason, text, versions: myself.versions })
            }
        }
    }

    async fn hand_on(&self, accepted: Accepted) -> Result<(), Status> {
        let handed = self.shared.accepted.send(accepted).await;
        handed.map_err(|_| Status::unavailable("this node is about to stop"))
    }
}

/// The first message of a stream.
async fn first<M>(messages: &mut Streaming<M>) -> Result<M, Status> {
    let message = timeout(HANDSHAKE, messages.message()).await;
    let message = message.map_err(|_| Status::deadline_exceeded("no hello in time"))??;
    message.ok_or_else(|| Status::invalid_argument("no hello"))
}

/// An answer, and what follows it.
fn answer<M: Send + 'static>(first: M, rest: Option<mpsc::Receiver<M>>) -> Response<Messages<M>> {
    let first = tokio_stream::once(Ok(first));
    match rest {
        Some(rest) => Response::new(Box::pin(first.chain(ReceiverStream::new(rest).map(Ok)))),
        None => Response::new(Box::pin(first)),
    }
}

const NO_HELLO: Malformed = Malformed("a stream begins with a hello");

#[tonic::async_trait]
impl v1::peer_server::Peer for Conversation {
    type LinkStream = Messages<v1::Downward>;
    type ControlStream = Messages<v1::Control>;

    async fn link(
        &self,
        request: Request<Streaming<v1::Upward>>,
    ) -> Result<Response<Self::LinkStream>, Status> {
        let mut messages = request.into_inner();
        let hello = match Upward::try_from(first(&mut messages).await?) {
            Ok(Upward::Hello(hello)) => Ok(hello),
            Ok(Upward::Batch(_)) => Err(NO_HELLO),
            Err(malformed) => Err(malformed),
        };
        let worker = hello.as_ref().map(|hello| hello.worker).unwrap_or_default();
        let (welcome, peer) = match self.agree(hello) {
            Ok(agreed) => agreed,
            Err(refusal) => return Ok(answer(Downward::Refusal(refusal).into(), None)),
        };
        let (sender, outbox) = mpsc::channel(OUTBOX_BATCHES);
        let (outlet, inlet) = (Outlet::new(sender), Inlet::new(messages, None));
        self.hand_on(Accepted::Link(Stream { peer, worker, outlet, inlet })).await?;
        Ok(answer(Downward::Welcome(welcome).into(), Some(outbox)))
    }

    async fn control(
        &self,
        request: Request<Streaming<v1::Control>>,
    ) -> Result<Response<Self::ControlStream>, Status> {
        let mut messages = request.into_inner();
        let hello = match OnControl::try_from(first(&mut messages).await?) {
            Ok(OnControl::Hello(hello)) => Ok(hello),
            Ok(_) => Err(NO_HELLO),
            Err(malformed) => Err(malformed),
        };
        let worker = hello.as_ref().map(|hello| hello.worker).unwrap_or_default();
        let (welcome, peer) = match self.agree(hello) {
            Ok(agreed) => agreed,
            Err(refusal) => return Ok(answer(OnControl::Refusal(refusal).into(), None)),
        };
        let (sender, outbox) = mpsc::channel(OUTBOX_BATCHES);
        let (outlet, inlet) = (Outlet::new(sender), Inlet::new(messages, None));
        self.hand_on(Accepted::Control(Stream { peer, worker, outlet, inlet })).await?;
        Ok(answer(OnControl::Welcome(welcome).into(), Some(outbox)))
    }

    async fn call(
        &self,
        request: Request<v1::CallRequest>,
    ) -> Result<Response<v1::CallReply>, Status> {
        let request = request.into_inner();
        let kind = match request.kind() {
            Kind::Append => CallKind::Append,
            Kind::Lease => CallKind::Lease,
            Kind::Membership => CallKind::Membership,
            Kind::Shard => CallKind::Shard,
            Kind::Snapshot => CallKind::Snapshot,
            Kind::Vote => CallKind::Vote,
            Kind::Unspecified => return Err(Status::unimplemented("this kind is not known here")),
        };
        let from = NodeName::new(&request.name).filter(|name| self.certified.contains(name));
        let Some(from) = from else {
            return Err(Status::permission_denied("the certificate does not hold the name"));
        };
        let ours = self.shared.myself.borrow().cluster;
        let theirs = &request.cluster_id;
        if let Some(ours) = ours.filter(|ours| !theirs.is_empty() && ours.0[..] != theirs[..]) {
            tracing::info!(%from, ?ours, "a call from another cluster is refused");
            return Err(Status::failed_precondition("the nodes are in different clusters"));
        }
        match self.shared.answers.answer(&from, kind, request.body).await {
            Ok(body) => Ok(Response::new(v1::CallReply { body })),
            Err(CallError::Refused(text)) => Err(Status::failed_precondition(text)),
            Err(CallError::Unknown(text)) => Err(Status::unavailable(text)),
        }
    }
}
