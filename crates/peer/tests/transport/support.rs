//! Two nodes with certificates of one authority, on loopback.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use jackdaw_peer::frame::{
    Entry, Epoch, Generation, Incarnation, Item, Origin, Sends, Shard, Stanza, Tenure,
};
use jackdaw_peer::handshake::{ClusterId, Features, Myself, NodeName, Version, Versions};
use jackdaw_peer::transport::{
    Accepted, Answer, Answers, CallError, CallKind, CredentialFiles, Credentials, Dialer, Listener,
    OwnerLink, Target,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// An authority, and a folder for what it signs.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub folder: TempDir,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        Authority { issuer, folder: tempfile::tempdir().expect("a folder") }
    }

    pub fn files(&self, node: &str) -> CredentialFiles {
        let path = |end: &str| self.folder.path().join(format!("{node}.{end}"));
        let authority = self.folder.path().join("ca.crt");
        CredentialFiles { authority, certificate: path("crt"), key: path("key") }
    }

    /// Signs a certificate for these names, and writes it where `files(node)` says.
    pub fn sign(&self, node: &str, names: &[&str]) -> CredentialFiles {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let files = self.files(node);
        write(&files.authority, &self.issuer.pem());
        write(&files.certificate, &certificate.pem());
        write(&files.key, &key.serialize_pem());
        files
    }
}

fn write(file: &Path, text: &str) {
    fs::write(file, text).expect("a writable folder");
}

pub fn name(text: &str) -> NodeName {
    NodeName::new(text).expect("a name")
}

/// A bound socket that several nodes can have, one after the other.
pub fn socket() -> std::net::TcpListener {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    socket.set_nonblocking(true).expect("a socket");
    socket
}

/// Answers with what was asked, behind its kind and who asked.
struct Echo;

impl Answers for Echo {
    fn answer(&self, from: &NodeName, kind: CallKind, body: Bytes) -> Answer {
        let answer = match kind {
            CallKind::Shard => Err(CallError::Refused("no shards here".into())),
            kind => Ok(format!("{from} {kind:?} {}", String::from_utf8_lossy(&body)).into()),
        };
        Box::pin(async move { answer })
    }
}

/// A node that listens and dials.
pub struct Node {
    pub myself: watch::Sender<Myself>,
    pub credentials: Arc<Credentials>,
    pub address: SocketAddr,
    pub accepted: mpsc::Receiver<Accepted>,
    task: JoinHandle<()>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Node {
    /// With a certificate for its own name.
    pub async fn new(authority: &Authority, text: &str) -> Node {
        let files = authority.sign(text, &[text]);
        Node::with(files, text, (1, 1)).await
    }

    pub async fn with(files: CredentialFiles, text: &str, versions: (u32, u32)) -> Node {
        Node::at(socket(), files, text, versions).await
    }

    pub async fn at(
        socket: std::net::TcpListener,
        files: CredentialFiles,
        text: &str,
        (min, max): (u32, u32),
    ) -> Node {
        let myself = Myself {
            versions: Versions::new(Version(min), Version(max)).expect("versions"),
            features: Features(0),
            cluster: Some(ClusterId([1; 16])),
            name: name(text),
            incarnation: Incarnation(text.len() as u64),
        };
        let (myself, watched) = watch::channel(myself);
        let credentials = Arc::new(Credentials::read(files).expect("credentials"));
        let socket = TcpListener::from_std(socket).expect("a runtime");
        let address = socket.local_addr().expect("an address");
        let (listener, accepted) =
            Listener::new(socket, watched, credentials.clone(), Arc::new(Echo));
        let task = tokio::spawn(listener.run());
        Node { myself, credentials, address, accepted, task }
    }

    pub fn dialer(&self) -> Dialer {
        Dialer::new(self.myself.subscribe(), self.credentials.clone())
    }

    /// As whoever knows its name dials it.
    pub fn target(&self) -> Target {
        let name = Some(self.myself.borrow().name.clone());
        Target { address: self.address.to_string(), name }
    }

    pub async fn accept_link(&mut self) -> OwnerLink {
        match self.accepted.recv().await.expect("it listens") {
            Accepted::Link(link) => link,
            Accepted::Control(_) => panic!("a payload stream was expected"),
        }
    }
}

pub fn tenure() -> Tenure {
    Tenure { shard: Shard::new(1).expect("a shard"), epoch: Epoch(5) }
}

/// A run of stanzas from this number on.
pub fn sends(first: u64, stanzas: &[Bytes]) -> Sends {
    let session = Generation { epoch: Epoch(1), counter: 1 };
    let item = |(inbound, stanza): (u64, &Bytes)| {
        let origin = Some(Origin { session, inbound });
        Entry::Item(Item::Stanza(Stanza { origin, stanza: stanza.clone() }))
    };
    let entries = (first..).zip(stanzas).map(item).collect();
    Sends { tenure: tenure(), floor: 1, first, entries }
}

/// The payloads of a batch.
pub fn payloads(batch: &[Sends]) -> Vec<Bytes> {
    let entries = batch.iter().flat_map(|sends| &sends.entries);
    let stanzas = entries.filter_map(|entry| match entry {
        Entry::Item(Item::Stanza(stanza)) => Some(stanza.stanza.clone()),
        _ => None,
    });
    stanzas.collect()
}
