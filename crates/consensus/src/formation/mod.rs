//! Who begins the cluster, and who joins it: a machine without I/O, clock or chance.
//!
//! Several nodes are started for the first time at once, each with the same list of names, and not
//! all can reach each other at first. One cluster has to come of it, whatever happens; two would
//! each give every account an owner.
//!
//! - A cluster that may be begun has an id before it begins: random, kept in the directory of the
//!   node that proposes it, which begins it or never will.
//! - Only the lowest name of a list proposes, and only to nodes that have the same list.
//! - A node follows one proposal. It says so after that is on its disk, and from then on follows no
//!   other and joins no other cluster: until the node that proposed it says that it belongs to
//!   another cluster, for then this one will never be.
//! - When every node of the list has said so, and only then, the node that proposed it begins it.
//!   Two lists with a node in common cannot both come to that, nor can two directories under one
//!   name if another node of the list is there once.
//! - A node that is told to join, or that meets a member, joins and does not propose.
//!
//! So a node that lost its disk joins as a new one, or waits and says why. What nobody can resolve
//! without losing the rule is left to the operator: a proposal whose node lost its disk before it
//! began is never begun, and those who follow it need an empty directory too. They have nothing to
//! lose.
//!
//! [`Formation`] is driven like the other machines: `handle_*` changes it, then
//! [`Formation::poll_output`] is drained; [`Formation::poll_timeout`] says when to come again.

#[cfg(test)]
mod history_test;
mod message;
mod name;
mod notes;
#[cfg(test)]
mod rules_test;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

pub use message::{Answer, Proposal, Question, Refusal};
pub use name::{Name, NameError};
pub use notes::Notes;

use crate::node::ClusterId;

/// How often those are asked who have not said what is needed.
pub const ASK_EVERY: Duration = Duration::from_millis(500);

/// The longest list. There are five voters at most; further nodes join.
pub const INITIAL_MAX: usize = 9;

/// The most seeds. One that answers is enough.
pub const SEEDS_MAX: usize = 64;

/// What a node was told about forming a cluster.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name of this node, which its certificate holds.
    pub me: Name,
    /// The nodes that form the cluster at its first start, the same list on each of them. A node
    /// that is not on its own list only joins.
    pub initial: BTreeSet<Name>,
    /// Nodes that may be members already.
    pub seeds: BTreeSet<Name>,
    /// Whether this node joins, and never begins a cluster.
    pub join: bool,
}

impl Config {
    /// Whether the lists are no longer than they may be.
    pub fn fits(&self) -> bool {
        self.initial.len() <= INITIAL_MAX && self.seeds.len() <= SEEDS_MAX
    }
}

/// What the driver has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Ask a node, and give its answer to [`Formation::handle_answer`]. There may be none.
    Ask {
        /// Whom.
        to: Name,
        /// What.
        question: Question,
    },
    /// Begin this cluster: adopt it as node 0, then initialise the log. Then
    /// [`Formation::handle_member`].
    Begin {
        /// Its id.
        cluster: ClusterId,
    },
    /// Ask a member to let this node join. Then [`Formation::handle_member`], or
    /// [`Formation::handle_not_joined`].
    Join {
        /// The member.
        by: Name,
        /// Which cluster it has to be: the driver refuses another.
        cluster: ClusterId,
    },
    /// Put these notes on the disk, then call [`Formation::handle_kept`].
    Keep(Notes),
    /// Tell the operator why it does not go on, when that changes.
    Waits {
        /// The node because of which.
        node: Name,
        /// Why.
        waiting: Waiting,
    },
}

/// Why nothing goes on, though a node answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// It follows another proposal, or is a member of another cluster than the one that this node
    /// follows. Whichever of the two has nothing to lose needs an empty directory.
    Another {
        /// What it follows or belongs to.
        cluster: ClusterId,
    },
    /// It does not follow.
    Refuses {
        /// Why.
        why: Refusal,
    },
}

#[derive(Debug)]
enum State {
    /// Looking for a member, and for followers if this node proposes.
    Asking,
    /// The driver begins or joins.
    Entering,
    /// Of a cluster.
    Member(ClusterId),
}

/// One node on its way into a cluster.
#[derive(Debug)]
pub struct Formation {
    config: Config,
    /// What is on the disk.
    notes: Notes,
    /// What is on its way there. Answers speak of `notes` alone.
    keeping: Option<Notes>,
    state: State,
    /// The id of a cluster that this node would propose, random and never used before.
    fresh: ClusterId,
    followers: BTreeSet<Name>,
    /// A member answered: there is a cluster, and this node does not begin another.
    met: bool,
    /// What the operator was told of each node last.
    told: BTreeMap<Name, Waiting>,
    ask_at: Duration,
    outputs: VecDeque<Output>,
}

impl Formation {
    /// A node whose disk holds these notes, and which is a member already or not.
    ///
    /// `fresh` is random. `now` is the time since anything, as in the other calls. `None` if the
    /// configuration does not fit.
    pub fn new(
        config: Config,
        notes: Notes,
        member_of: Option<ClusterId>,
        fresh: ClusterId,
        now: Duration,
    ) -> Option<Formation> {
        config.fits().then_some(Formation {
            config,
            notes,
            keeping: None,
            state: member_of.map_or(State::Asking, State::Member),
            fresh,
            followers: BTreeSet::new(),
            met: false,
            told: BTreeMap::new(),
            ask_at: now,
            outputs: VecDeque::new(),
        })
    }

    /// The time has come that [`Formation::poll_timeout`] named.
    pub fn handle_timeout(&mut self, now: Duration) {
        if now < self.ask_at || !matches!(self.state, State::Asking) {
            return;
        }
        self.ask_at = now + ASK_EVERY;
        if self.proposes() && self.notes == Notes::Nothing {
            self.keep(Notes::Proposes { cluster: self.fresh });
        }
        self.ask_around();
        self.begin_if_all_follow();
    }

    /// What another node asked, and the answer.
    ///
    /// Where that needs the disk first, the answer is [`Refusal::NotYet`], and the other node asks
    /// again.
    pub fn handle_question(&mut self, question: &Question) -> Answer {
        if let State::Member(cluster) = self.state {
            return Answer::Member { cluster, given_up: self.given_up(cluster) };
        }
        let Some(proposal) = &question.proposal else {
            return Answer::Empty { why: Refusal::NotAsked };
        };
        match &self.notes {
            Notes::Proposes { cluster } | Notes::Follows { cluster, .. } => {
                Answer::Follows { cluster: *cluster }
            }
            Notes::Nothing => {
                let why = self.consider(&question.from, proposal);
                Answer::Empty { why }
            }
        }
    }

    /// What another node answered.
    pub fn handle_answer(&mut self, now: Duration, from: &Name, answer: &Answer) {
        if !matches!(self.state, State::Asking) {
            return;
        }
        match answer {
            Answer::Member { cluster, given_up } => self.meet(now, from, *cluster, *given_up),
            Answer::Follows { cluster } if self.proposal() == Some(*cluster) => {
                self.followers.insert(from.clone());
                self.begin_if_all_follow();
            }
            Answer::Follows { cluster } => {
                // Who only looks for a member learns nothing from it.
                if self.proposal().is_some() {
                    self.tell(from, Waiting::Another { cluster: *cluster });
                }
            }
            Answer::Empty { why: Refusal::NotAsked | Refusal::NotYet } => {}
            Answer::Empty { why } => self.tell(from, Waiting::Refuses { why: *why }),
        }
    }

    /// The notes of the last [`Output::Keep`] are on the disk.
    pub fn handle_kept(&mut self, now: Duration) {
        if let Some(kept) = self.keeping.take() {
            self.notes = kept;
            // Whoever waits for it is told without delay, and who proposes asks at once.
            self.ask_at = now;
            self.begin_if_all_follow();
        }
    }

    /// This node is a member now, and its directory says so.
    pub fn handle_member(&mut self, cluster: ClusterId) {
        self.state = State::Member(cluster);
        self.outputs.clear();
    }

    /// It could not join where it was to.
    pub fn handle_not_joined(&mut self, now: Duration) {
        if matches!(self.state, State::Entering) {
            self.state = State::Asking;
            self.ask_at = now + ASK_EVERY;
        }
    }

    /// What is to be done, until there is nothing.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Formation::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Duration> {
        matches!(self.state, State::Asking).then_some(self.ask_at)
    }

    /// Whether this node is the one of its list that proposes.
    fn proposes(&self) -> bool {
        !self.config.join && self.config.initial.first() == Some(&self.config.me)
    }

    /// What this node proposes, once that is on its disk and it may.
    fn proposal(&self) -> Option<ClusterId> {
        match self.notes {
            Notes::Proposes { cluster } if self.proposes() => Some(cluster),
            Notes::Proposes { .. } | Notes::Follows { .. } | Notes::Nothing => None,
        }
    }

    /// What this directory proposed and never began, seen from the cluster that it is in.
    fn given_up(&self, member_of: ClusterId) -> Option<ClusterId> {
        match self.notes {
            Notes::Proposes { cluster } if cluster != member_of => Some(cluster),
            Notes::Proposes { .. } | Notes::Follows { .. } | Notes::Nothing => None,
        }
    }

    /// Whether to follow a proposal. If so, that goes to the disk, and the answer has to wait.
    fn consider(&mut self, from: &Name, proposal: &Proposal) -> Refusal {
        if self.config.join {
            return Refusal::Joins;
        }
        let same = proposal.initial == self.config.initial
            && self.config.initial.contains(&self.config.me)
            && self.config.initial.first() == Some(from);
        if !same {
            return Refusal::OtherList;
        }
        if matches!(self.state, State::Asking) && self.keeping.is_none() {
            self.keep(Notes::Follows { cluster: proposal.cluster, of: from.clone() });
        }
        Refusal::NotYet
    }

    fn keep(&mut self, notes: Notes) {
        if self.keeping.is_none() {
            self.keeping = Some(notes.clone());
            self.outputs.push_back(Output::Keep(notes));
        }
    }

    /// Everybody who may be a member, and who has not said yet that it follows.
    fn ask_around(&mut self) {
        let cluster = self.proposal();
        let others: BTreeSet<&Name> = self.config.initial.union(&self.config.seeds).collect();
        for to in others.into_iter().filter(|name| **name != self.config.me) {
            let listed = self.config.initial.contains(to);
            let proposal = cluster.filter(|_| listed && !self.followers.contains(to));
            let initial = || self.config.initial.clone();
            let question = Question {
                from: self.config.me.clone(),
                proposal: proposal.map(|cluster| Proposal { cluster, initial: initial() }),
            };
            self.outputs.push_back(Output::Ask { to: to.clone(), question });
        }
    }

    fn begin_if_all_follow(&mut self) {
        let may = matches!(self.state, State::Asking) && !self.met;
        let Some(cluster) = self.proposal().filter(|_| may) else {
            return;
        };
        let mut others = self.config.initial.iter().filter(|name| **name != self.config.me);
        if others.all(|name| self.followers.contains(name)) {
            self.state = State::Entering;
            self.outputs.push_back(Output::Begin { cluster });
        }
    }

    /// A member answered: join it, if this node is free to.
    fn meet(&mut self, now: Duration, by: &Name, cluster: ClusterId, given_up: Option<ClusterId>) {
        self.met = true;
        if let Notes::Follows { cluster: followed, .. } = self.notes
            && followed != cluster
        {
            if given_up == Some(followed) {
                // It will never be. This is written down before anything is done about it.
                self.keep(Notes::Nothing);
                self.ask_at = now;
            } else {
                self.tell(by, Waiting::Another { cluster });
            }
            return;
        }
        if self.keeping.is_some() {
            // Another answer of a member comes when the disk has it.
            return;
        }
        self.state = State::Entering;
        self.outputs.push_back(Output::Join { by: by.clone(), cluster });
    }

    fn tell(&mut self, node: &Name, waiting: Waiting) {
        if self.told.insert(node.clone(), waiting) != Some(waiting) {
            self.outputs.push_back(Output::Waits { node: node.clone(), waiting });
        }
    }
}
