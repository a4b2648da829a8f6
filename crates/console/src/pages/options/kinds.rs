//! The kinds of events, as boxes to tick: one by one, or a channel as a whole.
//!
//! A channel's own box works without a script: it stands for the channel where it
//! was changed, and for nothing where it was not.

use std::collections::BTreeSet;

use shape::{Known, NewKinds, Selection};

use crate::form::Fields;
use crate::seen::Channel;

/// Which boxes are ticked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kinds {
    ticked: BTreeSet<String>,
    pub(crate) new_kinds: NewKinds,
}

/// A channel's boxes.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) channel: Channel,
    pub(crate) is_whole: bool,
    pub(crate) n_ticked: usize,
    pub(crate) boxes: Vec<KindBox>,
}

/// One kind.
#[derive(Debug)]
pub(crate) struct KindBox {
    pub(crate) kind: String,
    pub(crate) event: &'static str,
    pub(crate) is_ticked: bool,
}

impl Kinds {
    pub(crate) fn of(selection: &Selection) -> Kinds {
        let ticked = shape::catalogue().filter(|known| selection.includes(known));
        Kinds {
            ticked: ticked.map(|known| known.kind()).collect(),
            new_kinds: selection.new_kinds,
        }
    }

    pub(crate) fn read(fields: &Fields) -> Kinds {
        let boxes = fields.all("kind");
        let (whole, were_whole) = (fields.all("channel"), fields.all("was_whole"));
        let mut ticked = BTreeSet::new();
        for channel in Channel::ALL {
            let kinds: Vec<String> = known(channel).map(|known| known.kind()).collect();
            let are_all = kinds.iter().all(|kind| boxes.contains(kind.as_str()));
            let is_whole = whole.contains(channel.word());
            let was_whole = were_whole.contains(channel.word());
            match (was_whole, is_whole) {
                (false, true) => ticked.extend(kinds),
                (true, false) if are_all => {}
                _ => ticked.extend(kinds.into_iter().filter(|kind| boxes.contains(&**kind))),
            }
        }
        let new_kinds = match fields.text("new_kinds") {
            Some("on") => NewKinds::On,
            Some("off") => NewKinds::Off,
            _ => NewKinds::ByPattern,
        };
        Kinds { ticked, new_kinds }
    }

    /// The selection that these boxes mean: `before` where they mean the same, so
    /// that patterns somebody wrote stay as they are. None where nothing is ticked.
    pub(crate) fn selection(&self, before: &Selection) -> Option<Selection> {
        if Kinds::of(before).ticked == self.ticked {
            return Some(before.clone().with_new_kinds(self.new_kinds));
        }
        let patterns = self.patterns();
        if patterns.is_empty() {
            return None;
        }
        let selection = Selection::parse(&patterns).ok()?;
        Some(selection.with_new_kinds(self.new_kinds))
    }

    fn patterns(&self) -> Vec<String> {
        if shape::catalogue().count() == self.ticked.len() {
            return vec!["*".to_owned()];
        }
        let of = |group: Group| -> Vec<String> {
            if group.is_whole {
                return vec![format!("{}_*", group.channel.word())];
            }
            let ticked = group.boxes.into_iter().filter(|one| one.is_ticked);
            ticked.map(|one| one.kind).collect()
        };
        self.groups().into_iter().flat_map(of).collect()
    }

    /// The boxes, channel by channel.
    pub(crate) fn groups(&self) -> Vec<Group> {
        let groups = Channel::ALL.into_iter().map(|channel| {
            let boxes: Vec<KindBox> = known(channel).map(|known| self.box_of(&known)).collect();
            let n_ticked = boxes.iter().filter(|one| one.is_ticked).count();
            Group {
                channel,
                is_whole: n_ticked == boxes.len(),
                n_ticked,
                boxes,
            }
        });
        groups.filter(|group| !group.boxes.is_empty()).collect()
    }

    fn box_of(&self, known: &Known) -> KindBox {
        let kind = known.kind();
        KindBox {
            event: known.event,
            is_ticked: self.ticked.contains(&kind),
            kind,
        }
    }

    /// What is chosen, in a few words.
    pub(crate) fn summary(&self) -> String {
        let groups = self.groups();
        let all: usize = groups.iter().map(|group| group.boxes.len()).sum();
        if self.ticked.len() == all {
            return format!("all {all} kinds");
        }
        let of = |group: &Group| match (group.n_ticked, group.is_whole) {
            (0, _) => None,
            (_, true) => Some(format!("all of {}", group.channel)),
            (n, false) => Some(format!("{n} of {}", group.channel)),
        };
        let parts: Vec<String> = groups.iter().filter_map(of).collect();
        parts.join(", ")
    }

    pub(crate) fn are_new(&self, word: &str) -> bool {
        self.new_word() == word
    }

    fn new_word(&self) -> &'static str {
        match self.new_kinds {
            NewKinds::ByPattern => "by-pattern",
            NewKinds::On => "on",
            NewKinds::Off => "off",
        }
    }
}

fn known(channel: Channel) -> impl Iterator<Item = Known> {
    shape::catalogue().filter(move |known| known.object_type == channel.word())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(typed: &str) -> Selection {
        let kinds = Kinds::read(&Fields::parse(typed.as_bytes()));
        kinds.selection(&Selection::all()).unwrap()
    }

    fn patterns(selection: &Selection) -> Vec<&str> {
        selection.patterns().collect()
    }

    #[test]
    fn every_documented_kind_has_a_box() {
        let groups = Kinds::of(&Selection::all()).groups();
        let n_boxes: usize = groups.iter().map(|group| group.boxes.len()).sum();
        assert_eq!(n_boxes, 93);
        assert!(groups.iter().all(|group| group.is_whole));
    }

    #[test]
    fn a_channels_box_stands_for_the_channel_where_it_was_changed() {
        assert_eq!(
            patterns(&read("channel=sms&kind=email_sent")),
            ["email_sent", "sms_*"]
        );
        let slack: Vec<String> = known(Channel::Slack).map(|one| one.kind()).collect();
        let all = format!("kind={}", slack.join("&kind="));
        let unticked = format!("{all}&was_whole=slack&kind=email_sent");
        assert_eq!(patterns(&read(&unticked)), ["email_sent"]);
        let some = "kind=slack_sent&channel=slack&was_whole=slack";
        assert_eq!(patterns(&read(some)), ["slack_sent"]);
    }

    #[test]
    fn patterns_that_somebody_wrote_stay_while_they_mean_the_same() {
        let before = Selection::parse(&["*_sent"]).unwrap();
        let kinds = Kinds::of(&before);
        assert_eq!(kinds.selection(&before).unwrap(), before);
        let later = Kinds {
            new_kinds: NewKinds::Off,
            ..kinds
        };
        let later = later.selection(&before).unwrap();
        assert_eq!(patterns(&later), ["*_sent"]);
        assert_eq!(later.new_kinds, NewKinds::Off);
    }

    #[test]
    fn ticking_nothing_is_no_selection() {
        assert_eq!(
            Kinds::read(&Fields::default()).selection(&Selection::all()),
            None
        );
    }
}
