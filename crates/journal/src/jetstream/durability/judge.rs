//! Which findings forbid to acknowledge, and which the operator has accepted.

use super::find::answered;
use super::{About, Finding, Loss, Report, ServerReport, Standing, StreamReport};

/// When a judgement is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// The streams are new, or somebody asks for the whole truth: every server of
    /// the cluster has to prove itself, for each may be given a replica.
    Created,
    /// A node begins on streams that were proven before.
    Started,
    /// A node repeats the question.
    Running,
}

/// What the findings amount to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judgement {
    /// What forbids to acknowledge anything.
    pub refused: Vec<Finding>,
    /// What would forbid it, had the operator not accepted the loss.
    pub accepted: Vec<Finding>,
    /// Servers that must prove themselves when they return.
    pub away: Vec<String>,
}

impl Judgement {
    /// Whether nothing forbids to acknowledge.
    pub fn is_durable(&self) -> bool {
        self.refused.is_empty()
    }
}

impl Report {
    /// Weighs the findings. Nothing else is asked or remembered.
    pub fn judge(&self, accepted: &[Loss], moment: Moment) -> Judgement {
        let is_strict = match moment {
            Moment::Created => true,
            Moment::Started | Moment::Running => false,
        };
        let mut counted: Vec<Finding> = self
            .findings
            .iter()
            .filter(|finding| is_strict || self.counts_while_running(finding))
            .cloned()
            .collect();
        if is_strict {
            counted.extend(self.uncovered());
        } else {
            let minorities = self.streams.iter();
            counted.extend(minorities.filter_map(|stream| self.minority(stream, accepted)));
        }
        let (accepted, refused) = counted
            .into_iter()
            .partition(|finding| accepted.contains(&finding.loss));
        Judgement {
            refused,
            accepted,
            away: self.away(),
        }
    }

    fn away(&self) -> Vec<String> {
        let away = self
            .servers
            .iter()
            .filter(|server| server.standing == Standing::Away);
        away.map(|server| server.name.clone()).collect()
    }

    /// A server that is away acknowledges nothing, and one without a replica has
    /// nothing to acknowledge.
    fn counts_while_running(&self, finding: &Finding) -> bool {
        match &finding.about {
            About::Server(name) => {
                let holds = self.streams.iter().any(|stream| holds(stream, name));
                let is_away = finding.loss == Loss::Unproven && self.away().contains(name);
                holds && !is_away
            }
            About::Stream(_) | About::Cluster => true,
        }
    }

    /// Servers of the cluster that hold no replica yet and have not answered.
    fn uncovered(&self) -> Option<Finding> {
        let size = self.cluster_size?;
        let n_answers = self.servers.iter().filter(|each| answered(each)).count();
        (n_answers < size).then(|| Finding {
            loss: Loss::Unproven,
            about: About::Cluster,
            what: format!("{n_answers} of the {size} servers of the cluster say how they sync"),
            fix: "start every server, or remove those that are gone for good:\n  nats server cluster peer-remove NAME"
                .to_owned(),
        })
    }

    /// The excuse of being away ends where those that are there are too few: what
    /// they say would then not hold for what a majority has.
    fn minority(&self, stream: &StreamReport, accepted: &[Loss]) -> Option<Finding> {
        let away = self.away();
        let excused = stream.peers.iter().any(|peer| away.contains(&peer.name));
        let n_sound = stream
            .peers
            .iter()
            .filter(|peer| self.is_sound(&peer.name, accepted))
            .count();
        let n_peers = stream.peers.len();
        (excused && n_sound * 2 <= n_peers).then(|| Finding {
            loss: Loss::Unproven,
            about: About::Stream(stream.name.clone()),
            what: format!(
                "{n_sound} of the {n_peers} servers of stream {} have proven that they sync: no majority",
                stream.name
            ),
            fix: format!("start {}", away.join(", ")),
        })
    }

    /// Whether a server has answered, and nothing but what is accepted speaks
    /// against it.
    fn is_sound(&self, name: &str, accepted: &[Loss]) -> bool {
        let mut named = self.servers.iter().filter(|server| server.name == name);
        let about = About::Server(name.to_owned());
        let mut findings = self
            .findings
            .iter()
            .filter(|finding| finding.about == about);
        named.any(|server: &ServerReport| answered(server))
            && findings.all(|finding| accepted.contains(&finding.loss))
    }
}

fn holds(stream: &StreamReport, server: &str) -> bool {
    stream.peers.iter().any(|peer| peer.name == server)
}

#[cfg(test)]
mod tests;
