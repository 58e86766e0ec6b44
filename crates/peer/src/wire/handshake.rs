//! The first messages, both ways.

use super::decode::worker;
use super::{Malformed, v1};
use crate::frame::Incarnation;
use crate::handshake::{
    ClusterId, Features, Hello, NodeName, Reason, Refusal, Version, Versions, Welcome,
};

/// Longer explanations are cut; they are for a log.
const TEXT_BYTES_MAX: usize = 256;

fn cluster(bytes: &[u8]) -> Result<Option<ClusterId>, Malformed> {
    match bytes.is_empty() {
        true => Ok(None),
        false => match bytes.try_into() {
            Ok(id) => Ok(Some(ClusterId(id))),
            Err(_) => Err(Malformed("a cluster id has not 16 bytes")),
        },
    }
}

fn name(text: &str) -> Result<NodeName, Malformed> {
    NodeName::new(text).ok_or(Malformed("this is no name of a node"))
}

fn wire(cluster: Option<ClusterId>) -> bytes::Bytes {
    cluster.map_or_else(bytes::Bytes::new, |ClusterId(id)| bytes::Bytes::copy_from_slice(&id))
}

impl TryFrom<v1::Hello> for Hello {
    type Error = Malformed;

    fn try_from(hello: v1::Hello) -> Result<Hello, Malformed> {
        let versions = Versions::new(Version(hello.version_min), Version(hello.version_max));
        Ok(Hello {
            versions: versions.ok_or(Malformed("the versions are the wrong way round"))?,
            features: Features(hello.features),
            cluster: cluster(&hello.cluster_id)?,
            name: name(&hello.name)?,
            incarnation: Incarnation(hello.incarnation),
            worker: worker(hello.worker)?,
        })
    }
}

impl From<Hello> for v1::Hello {
    fn from(hello: Hello) -> v1::Hello {
        v1::Hello {
            version_min: hello.versions.min().0,
            version_max: hello.versions.max().0,
            features: hello.features.0,
            cluster_id: wire(hello.cluster),
            name: hello.name.as_str().to_owned(),
            incarnation: hello.incarnation.0,
            worker: hello.worker.number().into(),
        }
    }
}

impl TryFrom<v1::Welcome> for Welcome {
    type Error = Malformed;

    fn try_from(welcome: v1::Welcome) -> Result<Welcome, Malformed> {
        Ok(Welcome {
            version: Version(welcome.version),
            features: Features(welcome.features),
            cluster: cluster(&welcome.cluster_id)?,
            name: name(&welcome.name)?,
            incarnation: Incarnation(welcome.incarnation),
        })
    }
}

impl From<Welcome> for v1::Welcome {
    fn from(welcome: Welcome) -> v1::Welcome {
        v1::Welcome {
            version: welcome.version.0,
            features: welcome.features.0,
            cluster_id: wire(welcome.cluster),
            name: welcome.name.as_str().to_owned(),
            incarnation: welcome.incarnation.0,
        }
    }
}

impl From<v1::Refusal> for Refusal {
    fn from(refusal: v1::Refusal) -> Refusal {
        let reason = match refusal.reason() {
            v1::refusal::Reason::Unspecified => Reason::Other,
            v1::refusal::Reason::Version => Reason::Version,
            v1::refusal::Reason::Cluster => Reason::Cluster,
            v1::refusal::Reason::Name => Reason::Name,
            v1::refusal::Reason::Malformed => Reason::Malformed,
            v1::refusal::Reason::Self_ => Reason::Myself,
        };
        let versions = Versions::new(Version(refusal.version_min), Version(refusal.version_max));
        let mut text = refusal.text;
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        Refusal { reason, text, versions: versions.unwrap_or(Versions::OURS) }
    }
}

impl From<Refusal> for v1::Refusal {
    fn from(refusal: Refusal) -> v1::Refusal {
        let reason = match refusal.reason {
            Reason::Other => v1::refusal::Reason::Unspecified,
            Reason::Version => v1::refusal::Reason::Version,
            Reason::Cluster => v1::refusal::Reason::Cluster,
            Reason::Name => v1::refusal::Reason::Name,
            Reason::Malformed => v1::refusal::Reason::Malformed,
            Reason::Myself => v1::refusal::Reason::Self_,
        };
        v1::Refusal {
            reason: reason.into(),
            text: refusal.text,
            version_min: refusal.versions.min().0,
            version_max: refusal.versions.max().0,
        }
    }
}
