//! What happened, and to what: Customer.io's `object_type` and `metric`.

use std::borrow::Cow;
use std::fmt;

use crate::json::{Json, Object};

pub(crate) const CUSTOMER: &str = "customer";
pub(crate) const EMAIL: &str = "email";
pub(crate) const IN_APP: &str = "in_app";

pub(crate) const SUBSCRIBED: &str = "subscribed";
pub(crate) const UNSUBSCRIBED: &str = "unsubscribed";
pub(crate) const PREFERENCES: &str = "cio_subscription_preferences_changed";

/// The same metric as its subscription spells it.
const PREFERENCES_SUBSCRIPTION: &str = "subscription_preferences_changed";

/// The values of `object_type` that are documented.
const OBJECT_TYPES: [&str; 8] = [
    CUSTOMER, EMAIL, "push", IN_APP, "sms", "whatsapp", "slack", "webhook",
];

/// What happened. Both parts are open: Customer.io adds to them without notice.
///
/// `Display` is the name by which Customer.io subscribes to it, such as
/// `email_clicked` or `customer_subscription_preferences_changed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind<'a> {
    /// The channel, or `customer`; absent where the body names none and none can be inferred.
    pub object_type: Option<&'a str>,
    /// What was measured, such as `clicked`. Never empty.
    pub metric: &'a str,
}

impl Kind<'_> {
    /// The subscription's name, as `Display` prints it.
    pub fn name(&self) -> String {
        self.to_string()
    }

    pub(crate) fn is_email(self) -> bool {
        self.object_type == Some(EMAIL)
    }

    pub(crate) fn is_sent(self) -> bool {
        self.metric == "sent"
    }

    pub(crate) fn is_preference_change(self) -> bool {
        self.metric == PREFERENCES
    }

    /// Every name an operator may know it by: its own, the one with the metric's
    /// wire spelling, and those of the person's event if it is one.
    pub(crate) fn spellings(self, family: Family) -> impl Iterator<Item = String> {
        let customer = Kind {
            object_type: Some(CUSTOMER),
            ..self
        };
        let as_customer = (family == Family::Person).then_some(customer);
        [Some(self), as_customer]
            .into_iter()
            .flatten()
            .flat_map(|kind| {
                let wire = kind
                    .object_type
                    .map(|object_type| format!("{object_type}_{}", kind.metric));
                [Some(kind.name()), wire].into_iter().flatten()
            })
    }
}

impl fmt::Display for Kind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(object_type) = self.object_type {
            write!(f, "{object_type}_")?;
        }
        f.write_str(if self.is_preference_change() {
            PREFERENCES_SUBSCRIPTION
        } else {
            self.metric
        })
    }
}

/// The two families of bodies. `email` and `unsubscribed` occur in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// About a message to somebody.
    Message,
    /// About somebody's consent, whatever message caused it.
    Person,
}

/// The members of a body that say what happened, as far as they are there.
#[derive(Default)]
pub(super) struct Words<'a> {
    pub(super) object_type: Option<Json<'a>>,
    /// Stands in for `object_type` on preference changes.
    pub(super) object_type_type: Option<Json<'a>>,
    /// Stood in for it before that.
    pub(super) delivery_type: Option<Json<'a>>,
    pub(super) metric: Option<Json<'a>>,
    /// The older body's only word.
    pub(super) event_type: Option<Json<'a>>,
}

/// A kind as read, with the text that it borrows.
pub(super) struct Read<'a> {
    object_type: Option<Cow<'a, str>>,
    metric: Cow<'a, str>,
    form: Form,
}

/// The two generations of bodies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `object_type` and `metric`.
    Current,
    /// `event_type`, and `email_address` on every event.
    Legacy,
}

impl<'a> Read<'a> {
    /// The kind that `words` name, if they name a metric at all.
    pub(super) fn new(words: &Words<'a>, data: &Object<'a>) -> Option<Self> {
        let Some(metric) = words.metric.and_then(text) else {
            return Some(Self::legacy(words.event_type.and_then(text)?));
        };
        let metric = canonical(metric);
        let named = [
            words.object_type,
            words.object_type_type,
            words.delivery_type,
        ];
        let object_type = named.into_iter().flatten().find_map(text);
        let object_type = object_type.or_else(|| inferred(&metric, data));
        Some(Self {
            object_type,
            metric,
            form: Form::Current,
        })
    }

    /// Splits `event_type` behind its channel.
    fn legacy(event_type: Cow<'a, str>) -> Self {
        let (object_type, metric) = match split(&event_type) {
            Some((object_type, metric)) => (
                Some(object_type.to_owned().into()),
                metric.to_owned().into(),
            ),
            None => (None, event_type),
        };
        Self {
            object_type,
            metric: canonical(metric),
            form: Form::Legacy,
        }
    }

    pub(super) fn kind(&self) -> Kind<'_> {
        Kind {
            object_type: self.object_type.as_deref(),
            metric: &self.metric,
        }
    }

    /// Whether the body is one of the person family.
    pub(super) fn is_about_person(&self, data: &Object<'_>) -> bool {
        if self.metric == PREFERENCES {
            return true;
        }
        if self.metric != SUBSCRIBED && self.metric != UNSUBSCRIBED {
            return false;
        }
        let names_message = data.get("delivery_id").is_some() || data.get("recipient").is_some();
        match self.form {
            _ if self.object_type.as_deref() == Some(CUSTOMER) => true,
            Form::Current => data.has("email_address") || !names_message,
            Form::Legacy => false,
        }
    }
}

/// The text of a member, unless it is empty, blank or of another type.
fn text(value: Json<'_>) -> Option<Cow<'_, str>> {
    let text = value.string()?.decoded();
    (!text.trim().is_empty()).then_some(text)
}

/// One spelling for the metric that has two.
fn canonical(metric: Cow<'_, str>) -> Cow<'_, str> {
    if metric == PREFERENCES_SUBSCRIPTION {
        PREFERENCES.into()
    } else {
        metric
    }
}

/// What a body without any `object_type` is about, where its metric tells.
fn inferred(metric: &str, data: &Object<'_>) -> Option<Cow<'static, str>> {
    let is_about_customer = match metric {
        PREFERENCES => true,
        SUBSCRIBED | UNSUBSCRIBED => data.has("email_address"),
        _ => false,
    };
    is_about_customer.then_some(CUSTOMER.into())
}

/// Splits behind a documented channel, else at the first underscore.
///
/// No channel is the beginning of another, so the first that fits is the longest.
fn split(event_type: &str) -> Option<(&str, &str)> {
    let documented = OBJECT_TYPES.iter().find_map(|object_type| {
        let metric = event_type.strip_prefix(object_type)?.strip_prefix('_')?;
        Some((*object_type, metric))
    });
    let (object_type, metric) = documented.or_else(|| event_type.split_once('_'))?;
    (!object_type.is_empty() && !metric.is_empty()).then_some((object_type, metric))
}
