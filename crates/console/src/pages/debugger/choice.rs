//! Which events somebody wants to see, as the address says it: a link shows
//! another person the same.
//!
//! The address has one text in the language of filters, `?filter=`. A field of the
//! form may stand beside it under its key, and replaces what the text says of that.

use jiff::Timestamp;

use crate::form::{Fields, encoded};
use crate::seen::filter::{Key, State};
use crate::seen::{Channel, Filter};

/// States that one can ask for by a click, with what they are called.
const STATES: [(State, &str); 5] = [
    (State::Accepted, "Accepted"),
    (State::Skipped, "Skipped"),
    (State::Waiting, "Waiting"),
    (State::Buried, "Dead letters"),
    (State::Passed, "Passed by"),
];
/// Keys that have a field of their own.
const FIELDS: [Key; 5] = [
    Key::Workspace,
    Key::Connection,
    Key::Event,
    Key::Person,
    Key::Id,
];

/// What was chosen.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    pub(super) filter: Filter,
    /// As it was typed; where fields stood beside it, the whole.
    pub(super) text: String,
    /// What was typed and cannot be: nothing is shown then.
    pub(super) mistakes: Vec<String>,
}

/// A link that changes one thing about what is shown.
pub(super) struct Chip {
    pub(super) label: &'static str,
    pub(super) channel: Option<Channel>,
    pub(super) href: String,
    pub(super) is_on: bool,
}

impl Choice {
    /// What the address asks for, with every mistake in it.
    pub(super) fn of(fields: &Fields, now: Timestamp) -> Choice {
        let text = fields.filled("filter").unwrap_or_default();
        let (mut filter, mut mistakes) = match Filter::parse(text, now) {
            Ok(filter) => (filter, Vec::new()),
            Err(mistakes) => (Filter::default(), mistakes),
        };
        let mut is_whole = true;
        for key in Key::ALL {
            let Some(value) = fields.filled(key.word()) else {
                continue;
            };
            is_whole = false;
            match filter.clone().narrowed(key, value) {
                Ok(narrowed) => filter = narrowed,
                Err(mistake) => mistakes.push(mistake),
            }
        }
        let is_as_typed = is_whole || !mistakes.is_empty();
        Choice {
            text: if is_as_typed {
                text.to_owned()
            } else {
                filter.to_string()
            },
            filter,
            mistakes,
        }
    }

    fn with(filter: Filter) -> Choice {
        Choice {
            text: filter.to_string(),
            filter,
            mistakes: Vec::new(),
        }
    }

    /// Whether everything is shown.
    pub(super) fn is_all(&self) -> bool {
        self.text.is_empty()
    }

    /// The value of a key's field, where the filter asks for just one.
    pub(super) fn value(&self, key: Key) -> &str {
        self.filter.only(key).unwrap_or_default()
    }

    pub(super) fn workspace(&self) -> &str {
        self.value(Key::Workspace)
    }

    pub(super) fn connection(&self) -> &str {
        self.value(Key::Connection)
    }

    pub(super) fn event(&self) -> &str {
        self.value(Key::Event)
    }

    pub(super) fn person(&self) -> &str {
        self.value(Key::Person)
    }

    pub(super) fn id(&self) -> &str {
        self.value(Key::Id)
    }

    /// What the filter says beside what the fields show.
    pub(super) fn rest(&self) -> String {
        let shown = FIELDS
            .into_iter()
            .filter(|key| !self.value(*key).is_empty());
        let rest = shown.fold(self.filter.clone(), Filter::without);
        rest.to_string()
    }

    /// The choice as the query of an address, with `more` behind it.
    pub(super) fn query<'v>(
        &'v self,
        more: impl IntoIterator<Item = (&'v str, &'v str)>,
    ) -> String {
        let chosen = (!self.text.is_empty()).then_some(("filter", self.text.as_str()));
        let pair = |(name, value): (&str, &str)| format!("{name}={}", encoded(value));
        let pairs: Vec<String> = chosen.into_iter().chain(more).map(pair).collect();
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

    /// Where a replay of what is shown is asked for; none where everything is, or
    /// nothing for a mistake.
    pub(super) fn replay(&self) -> Option<String> {
        if self.is_all() || !self.mistakes.is_empty() {
            return None;
        }
        let connection = self.connection();
        let connection = (!connection.is_empty()).then_some(("connection", connection));
        Some(format!("/replays/new?{}", self.query(connection)))
    }

    /// One chip a channel, and first the one for all of them.
    pub(super) fn channels(&self) -> Vec<Chip> {
        let chip = |channel: Option<Channel>| {
            let others = self.filter.clone().without(Key::Channel);
            let filter = match channel {
                Some(channel) => others.with(Key::Channel, channel.word()),
                None => others,
            };
            let asked = self.filter.any_of(Key::Channel).iter();
            let mut asked = asked.map(String::as_str);
            Chip {
                label: channel.map_or("All", Channel::label),
                channel,
                href: Choice::with(filter).here(),
                is_on: match channel {
                    Some(channel) => asked.any(|word| word == channel.word()),
                    None => asked.next().is_none(),
                },
            }
        };
        let each = Channel::ALL.into_iter().map(Some);
        std::iter::once(None).chain(each).map(chip).collect()
    }

    /// One chip a state; one that is on leads to all states.
    pub(super) fn states(&self) -> Vec<Chip> {
        let chip = |(state, label): (State, &'static str)| {
            let asked = self.filter.any_of(Key::State);
            let is_on = asked.iter().any(|word| word == state.word());
            let others = self.filter.clone().without(Key::State);
            let filter = if is_on {
                others
            } else {
                others.with(Key::State, state.word())
            };
            Chip {
                label,
                channel: None,
                href: Choice::with(filter).here(),
                is_on,
            }
        };
        STATES.into_iter().map(chip).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(query: &str) -> Choice {
        Choice::of(&Fields::parse(query.as_bytes()), Timestamp::now())
    }

    #[test]
    fn a_choice_reads_back_from_its_address() {
        let asked = "filter=workspace%3Aacme%20event%3Aa%26b%20state%3Aburied%20since%3A24h";
        let read = choice(asked);
        assert_eq!(read.event(), "a&b");
        assert_eq!(read.query([]), asked);
        assert_eq!(
            read.href([("record", "7")]),
            format!("/debugger?{asked}&record=7")
        );
    }

    #[test]
    fn what_is_chosen_can_be_sent_again() {
        let replay = |query| choice(query).replay();
        let expected = "/replays/new?filter=connection%3Aeu%20channel%3Asms&connection=eu";
        let asked = replay("filter=connection%3Aeu+channel%3Asms");
        assert_eq!(asked.as_deref(), Some(expected));
        let expected = "/replays/new?filter=person%3A42";
        assert_eq!(replay("person=42").as_deref(), Some(expected));
        assert_eq!(replay(""), None);
        assert_eq!(replay("filter=colour%3Ared"), None);
    }

    #[test]
    fn a_field_replaces_what_the_text_says_of_its_key() {
        let read = choice("filter=person%3A1+-event%3AOpened&person=a%2Cb&event=&id=");
        assert_eq!(read.text, "-event:Opened person:\"a,b\"");
        assert_eq!((read.person(), read.event()), ("a,b", ""));
        assert_eq!(read.rest(), "-event:Opened");
    }

    #[test]
    fn what_nobody_can_choose_is_a_mistake_and_stays_as_it_was_typed() {
        for (query, said) in [
            ("channel=fax", "no channel"),
            ("filter=state%3Alost", "no state"),
            ("filter=colour%3Ared&person=4", "to filter by"),
        ] {
            let read = choice(query);
            assert!(read.mistakes[0].contains(said), "{:?}", read.mistakes);
        }
        assert_eq!(choice("filter=colour%3Ared&person=4").text, "colour:red");
        assert!(choice("event=++&id=").mistakes.is_empty());
    }

    #[test]
    fn a_chip_keeps_what_else_was_chosen_and_takes_itself_back() {
        let choice = choice("filter=person%3A42+state%3Aburied");
        let states = choice.states();
        let on: Vec<_> = states.iter().filter(|chip| chip.is_on).collect();
        assert_eq!(
            (on[0].label, on[0].href.as_str()),
            ("Dead letters", "/debugger?filter=person%3A42")
        );
        let push = &choice.channels()[2];
        assert_eq!(
            push.href,
            "/debugger?filter=channel%3Apush%20person%3A42%20state%3Aburied"
        );
    }
}
