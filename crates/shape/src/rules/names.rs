//! The Segment event name of a kind, and what an operator calls it instead.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::catalogue::Known;
use crate::event::{Family, IN_APP, Kind};

/// Customer.io's consent event has one name, whichever channel it came by.
const PREFERENCES_CHANGED: &str = "Subscription Preferences Changed";

/// New names for events, by event name (`Email Opened`) or kind (`email_opened`).
///
/// A kind's entry wins over an event name's. Blank new names are not kept:
/// Segment discards a call without a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Renames(BTreeMap<String, String>);

impl Renames {
    /// What `kind`, named `event` by default, is called here.
    pub(crate) fn apply<'n>(&'n self, event: &'n str, kind: Kind<'_>, family: Family) -> &'n str {
        if self.0.is_empty() {
            return event;
        }
        let by_kind = kind.spellings(family).find_map(|name| self.0.get(&name));
        by_kind
            .or_else(|| self.0.get(event))
            .map_or(event, String::as_str)
    }
}

impl FromIterator<(String, String)> for Renames {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(
            pairs
                .into_iter()
                .filter(|(_, to)| !to.trim().is_empty())
                .collect(),
        )
    }
}

/// The name before any rename: the table's, else one made by its rule.
pub(crate) fn event_name(kind: Kind<'_>, known: Option<&'static Known>) -> Cow<'static, str> {
    match known {
        Some(known) => Cow::Borrowed(known.event),
        None => Cow::Owned(by_rule(kind)),
    }
}

/// `{Channel} {Metric}`, for kinds that the table lacks. Never empty.
fn by_rule(kind: Kind<'_>) -> String {
    let Some(object_type) = kind.object_type else {
        return title_case(kind.metric);
    };
    if kind.is_preference_change() {
        return PREFERENCES_CHANGED.to_owned();
    }
    let metric = match kind.metric {
        "clicked" if object_type != IN_APP => "Link Clicked".to_owned(),
        "spammed" => "Marked as Spam".to_owned(),
        other => title_case(other),
    };
    format!("{} {metric}", channel(object_type))
}

fn channel(object_type: &str) -> Cow<'_, str> {
    match object_type {
        "sms" => "SMS".into(),
        "whatsapp" => "WhatsApp".into(),
        IN_APP => "In-App".into(),
        other => title_case(other).into(),
    }
}

/// `foo_bar` to `Foo Bar`; text without a word in it stays as it is.
fn title_case(snake: &str) -> String {
    let words: Vec<String> = snake
        .split(['_', ' '])
        .filter(|word| !word.is_empty())
        .map(capitalised)
        .collect();
    if words.is_empty() {
        snake.to_owned()
    } else {
        words.join(" ")
    }
}

fn capitalised(word: &str) -> String {
    let mut characters = word.chars();
    characters
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .chain(characters)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::catalogue::catalogue;

    #[test]
    fn the_rule_makes_every_name_that_the_table_has() {
        for known in catalogue() {
            let kind = Kind {
                object_type: Some(known.object_type),
                metric: known.metric,
            };
            assert_eq!(by_rule(kind), known.event, "{kind}");
        }
    }

    #[test]
    fn kinds_that_the_table_lacks_are_named_by_the_same_rule() {
        for (object_type, metric, name) in [
            (
                Some("live_notification"),
                "clicked",
                "Live Notification Link Clicked",
            ),
            (Some("email"), "soft_bounced", "Email Soft Bounced"),
            (Some("sms"), "spammed", "SMS Marked as Spam"),
            (
                Some("line"),
                "cio_subscription_preferences_changed",
                PREFERENCES_CHANGED,
            ),
            (Some("été"), "émis", "Été Émis"),
            (None, "clicked", "Clicked"),
            (None, "__", "__"),
        ] {
            assert_eq!(
                by_rule(Kind {
                    object_type,
                    metric
                }),
                name
            );
        }
    }
}
