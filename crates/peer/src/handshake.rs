//! What both ends say first, and how they come to one version. Pure.

use std::fmt;

use crate::frame::{Incarnation, Worker};

/// A version of the protocol. Raised when an older node would get something wrong; what it may
/// simply not know is a [feature](Features).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32);

/// The versions that a node speaks: its own, and the one before for a rolling upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    min: Version,
    max: Version,
}

impl Versions {
    /// Those of this build.
    pub const OURS: Versions = Versions { min: Version(1), max: Version(1) };

    /// All from `min` to `max`; `None` the wrong way round, and for version 0.
    pub fn new(min: Version, max: Version) -> Option<Versions> {
        (Version(1) <= min && min <= max).then_some(Versions { min, max })
    }

    /// The lowest.
    pub fn min(self) -> Version {
        self.min
    }

    /// The highest.
    pub fn max(self) -> Version {
        self.max
    }

    /// Whether it is one of them.
    pub fn contains(self, version: Version) -> bool {
        self.min <= version && version <= self.max
    }

    /// The highest that both speak.
    pub fn agree(self, other: Versions) -> Option<Version> {
        let highest = self.max.min(other.max);
        (self.contains(highest) && other.contains(highest)).then_some(highest)
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}–{}", self.min.0, self.max.0)
    }
}

/// One bit per feature; used is what both ends have. There is none yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features(pub u64);

/// Names a cluster for ever, made at random when it was formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClusterId(pub [u8; 16]);

/// The name of a node: a DNS name in lower case that its certificate holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeName(Box<str>);

/// As long as a DNS name can be (RFC 1035 §2.3.4).
const NAME_BYTES_MAX: usize = 253;

/// As long as one of its labels can be.
const LABEL_BYTES_MAX: usize = 63;

impl NodeName {
    /// The name, in lower case, if this is one: letters, digits, hyphens and dots.
    pub fn new(text: &str) -> Option<NodeName> {
        let name = text.to_ascii_lowercase();
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let label = |label: &str| {
            (1..=LABEL_BYTES_MAX).contains(&label.len())
                && label.bytes().all(letter)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let sound = name.len() <= NAME_BYTES_MAX && name.split('.').all(label);
        sound.then(|| NodeName(name.into_boxed_str()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a node is, and what it speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Myself {
    /// Its versions.
    pub versions: Versions,
    /// Its features.
    pub features: Features,
    /// The cluster it is in.
    pub cluster: Option<ClusterId>,
    /// Its name.
    pub name: NodeName,
    /// Its incarnation, 0 before it has joined.
    pub incarnation: Incarnation,
}

/// What whoever dials says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Its versions.
    pub versions: Versions,
    /// Its features.
    pub features: Features,
    /// The cluster it is in.
    pub cluster: Option<ClusterId>,
    /// Its name.
    pub name: NodeName,
    /// Its incarnation, 0 before it has joined.
    pub incarnation: Incarnation,
    /// The worker whose stream this is.
    pub worker: Worker,
}

/// The answer, in agreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// What both speak from here on.
    pub version: Version,
    /// What both have.
    pub features: Features,
    /// The cluster of whoever answers.
    pub cluster: Option<ClusterId>,
    /// Its name.
    pub name: NodeName,
    /// Its incarnation.
    pub incarnation: Incarnation,
}

/// The answer, without.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text} (it speaks versions {versions})")]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// For the log of the other node.
    pub text: String,
    /// What would have been spoken.
    pub versions: Versions,
}

/// Why there is no agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The nodes are in different clusters.
    Cluster,
    /// The hello breaks the protocol.
    Malformed,
    /// A node dialled itself.
    Myself,
    /// The certificate does not hold the name.
    Name,
    /// Not said, or of a later version.
    Other,
    /// No version is spoken by both.
    Version,
}

/// Who is at the other end, and what is spoken with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The version.
    pub version: Version,
    /// The features.
    pub features: Features,
    /// The other node.
    pub name: NodeName,
    /// Its incarnation, 0 before it has joined.
    pub incarnation: Incarnation,
    /// The cluster it is in.
    pub cluster: Option<ClusterId>,
}

impl Myself {
    /// What to say first, on the stream of this worker.
    pub fn hello(&self, worker: Worker) -> Hello {
        Hello {
            versions: self.versions,
            features: self.features,
            cluster: self.cluster,
            name: self.name.clone(),
            incarnation: self.incarnation,
            worker,
        }
    }

    /// Answers a hello of a node whose certificate holds these names.
    pub fn answer(
        &self,
        hello: &Hello,
        certified: &[NodeName],
    ) -> Result<(Welcome, Agreed), Refusal> {
        let refuse = |reason, text: String| Refusal { reason, text, versions: self.versions };
        self.check_name(&hello.name, certified).map_err(|(why, text)| refuse(why, text))?;
        self.check_cluster(hello.cluster).map_err(|text| refuse(Reason::Cluster, text))?;
        let Some(version) = self.versions.agree(hello.versions) else {
            let text = format!("no version of {} is spoken here", hello.versions);
            return Err(refuse(Reason::Version, text));
        };
        let features = Features(self.features.0 & hello.features.0);
        let welcome = Welcome {
            version,
            features,
            cluster: self.cluster,
            name: self.name.clone(),
            incarnation: self.incarnation,
        };
        let agreed = Agreed {
            version,
            features,
            name: hello.name.clone(),
            incarnation: hello.incarnation,
            cluster: hello.cluster,
        };
        Ok((welcome, agreed))
    }

    /// Checks the answer to our hello. `expected` is who was dialled, where that is known.
    pub fn check(
        &self,
        welcome: Welcome,
        certified: &[NodeName],
        expected: Option<&NodeName>,
    ) -> Result<Agreed, Refusal> {
        let refuse = |reason, text: String| Refusal { reason, text, versions: self.versions };
        self.check_name(&welcome.name, certified).map_err(|(why, text)| refuse(why, text))?;
        if let Some(expected) = expected.filter(|expected| **expected != welcome.name) {
            let text = format!("{expected} was dialled, and {} answers", welcome.name);
            return Err(refuse(Reason::Name, text));
        }
        self.check_cluster(welcome.cluster).map_err(|text| refuse(Reason::Cluster, text))?;
        if !self.versions.contains(welcome.version) {
            let text = format!("version {} was not offered", welcome.version.0);
            return Err(refuse(Reason::Version, text));
        }
        Ok(Agreed {
            version: welcome.version,
            features: Features(welcome.features.0 & self.features.0),
            name: welcome.name,
            incarnation: welcome.incarnation,
            cluster: welcome.cluster,
        })
    }

    fn check_name(&self, name: &NodeName, certified: &[NodeName]) -> Result<(), (Reason, String)> {
        if *name == self.name {
            return Err((Reason::Myself, format!("{name} is the name of this node itself")));
        }
        match certified.contains(name) {
            true => Ok(()),
            false => Err((Reason::Name, format!("the certificate does not hold the name {name}"))),
        }
    }

    /// Nodes in no cluster talk to anybody: that is how they get into one.
    fn check_cluster(&self, other: Option<ClusterId>) -> Result<(), String> {
        match (self.cluster, other) {
            (Some(ours), Some(theirs)) if ours != theirs => {
                Err("the nodes are in different clusters".into())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "handshake_test.rs"]
mod tests;
