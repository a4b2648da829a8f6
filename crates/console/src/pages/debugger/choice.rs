//! Which events somebody wants to see, as the address says it: a link shows
//! another person the same.

use crate::form::{Fields, encoded};
use crate::seen::{Channel, Filter};

/// Outcomes that one can ask for, with what they are called.
const OUTCOMES: [(&str, &str); 5] = [
    ("accepted", "Accepted"),
    ("skipped", "Skipped"),
    ("waiting", "Waiting"),
    ("buried", "Dead letters"),
    ("passed", "Passed by"),
];

/// What was chosen.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    pub(super) filter: Filter,
}

/// A link that changes one thing about what is shown.
pub(super) struct Chip {
    pub(super) label: &'static str,
    pub(super) channel: Option<Channel>,
    pub(super) href: String,
    pub(super) is_on: bool,
}

impl Choice {
    /// What the address asks for. What it asks for that there is not is left out.
    pub(super) fn of(fields: &Fields) -> Choice {
        let text = |name| fields.filled(name).map(str::to_owned);
        let channel = fields.filled("channel");
        let channel = Channel::ALL
            .into_iter()
            .find(|each| Some(each.word()) == channel);
        let outcome =
            text("outcome").filter(|word| OUTCOMES.iter().any(|(there, _)| there == word));
        Choice {
            filter: Filter {
                workspace: text("workspace"),
                connection: text("connection"),
                channel,
                event: text("event"),
                person: text("person"),
                id: text("id"),
                outcome,
            },
        }
    }

    /// Whether everything is shown.
    pub(super) fn is_all(&self) -> bool {
        self.filter == Filter::default()
    }

    fn pairs(&self) -> [(&'static str, Option<&str>); 7] {
        let filter = &self.filter;
        [
            ("workspace", filter.workspace.as_deref()),
            ("connection", filter.connection.as_deref()),
            ("channel", filter.channel.map(Channel::word)),
            ("event", filter.event.as_deref()),
            ("person", filter.person.as_deref()),
            ("id", filter.id.as_deref()),
            ("outcome", filter.outcome.as_deref()),
        ]
    }

    /// The choice as the query of an address, with `more` behind it.
    pub(super) fn query<'v>(
        &'v self,
        more: impl IntoIterator<Item = (&'v str, &'v str)>,
    ) -> String {
        let chosen = self.pairs().into_iter();
        let chosen = chosen.filter_map(|(name, value)| Some((name, value?)));
        let pair = |(name, value): (&str, &str)| format!("{name}={}", encoded(value));
        let pairs: Vec<String> = chosen.chain(more).map(pair).collect();
        pairs.join("&")
    }

    /// The debugger's address with this choice.
    pub(super) fn href<'v>(&'v self, more: impl IntoIterator<Item = (&'v str, &'v str)>) -> String {
        match self.query(more) {
            query if query.is_empty() => "/debugger".to_owned(),
            query => format!("/debugger?{query}"),
        }
    }

    /// The debugger's address with this choice and nothing else.
    pub(super) fn here(&self) -> String {
        self.href([])
    }

    /// One chip a channel, and first the one for all of them.
    pub(super) fn channels(&self) -> Vec<Chip> {
        let chip = |channel: Option<Channel>| {
            let mut other = self.clone();
            other.filter.channel = channel;
            Chip {
                label: channel.map_or("All", Channel::label),
                channel,
                href: other.here(),
                is_on: self.filter.channel == channel,
            }
        };
        let each = Channel::ALL.into_iter().map(Some);
        std::iter::once(None).chain(each).map(chip).collect()
    }

    /// One chip an outcome; one that is on leads to all outcomes.
    pub(super) fn outcomes(&self) -> Vec<Chip> {
        let chip = |(word, label): (&str, &'static str)| {
            let is_on = self.filter.outcome.as_deref() == Some(word);
            let mut other = self.clone();
            other.filter.outcome = (!is_on).then(|| word.to_owned());
            Chip {
                label,
                channel: None,
                href: other.here(),
                is_on,
            }
        };
        OUTCOMES.into_iter().map(chip).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_reads_back_from_its_address() {
        let asked = "workspace=acme&channel=in_app&event=a%26b&person=a%40b.example&outcome=buried";
        let choice = Choice::of(&Fields::parse(asked.as_bytes()));
        assert_eq!(choice.filter.event.as_deref(), Some("a&b"));
        assert_eq!(choice.query([]), asked);
        assert_eq!(
            choice.href([("record", "7")]),
            format!("/debugger?{asked}&record=7")
        );
    }

    #[test]
    fn what_nobody_can_choose_is_left_out() {
        let asked = b"channel=fax&outcome=lost&event=++&id=";
        let choice = Choice::of(&Fields::parse(asked));
        assert!(choice.is_all());
        assert_eq!(choice.here(), "/debugger");
    }

    #[test]
    fn a_chip_keeps_what_else_was_chosen_and_takes_itself_back() {
        let choice = Choice::of(&Fields::parse(b"person=42&outcome=buried"));
        let outcomes = choice.outcomes();
        let on: Vec<_> = outcomes.iter().filter(|chip| chip.is_on).collect();
        assert_eq!(
            (on[0].label, on[0].href.as_str()),
            ("Dead letters", "/debugger?person=42")
        );
        let push = &choice.channels()[2];
        assert_eq!(push.href, "/debugger?channel=push&person=42&outcome=buried");
    }
}
