//! What an event refers to by id, and not by name.

use std::borrow::Cow;

use crate::json::{Json, Object};

/// The ids in an event that stand for something with a name, as text.
///
/// [`Names`](crate::Names) has the names, as far as somebody looked them up. An
/// action belongs to the campaign or the broadcast beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References<'a> {
    /// `action_id`.
    pub action: Option<Cow<'a, str>>,
    /// `campaign_id`.
    pub campaign: Option<Cow<'a, str>>,
    /// `broadcast_id`.
    pub broadcast: Option<Cow<'a, str>>,
    /// `newsletter_id`.
    pub newsletter: Option<Cow<'a, str>>,
    /// `transactional_message_id`.
    pub transactional_message: Option<Cow<'a, str>>,
}

impl<'a> References<'a> {
    pub(super) fn read(data: &Object<'a>) -> Self {
        let id = |key| Some(data.get(key).and_then(Json::scalar)?.decoded());
        References {
            action: id("action_id"),
            campaign: id("campaign_id"),
            broadcast: id("broadcast_id"),
            newsletter: id("newsletter_id"),
            transactional_message: id("transactional_message_id"),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Event;

    #[test]
    fn an_id_is_read_as_text_whatever_its_type_and_null_is_none() {
        let body = br#"{"metric":"sent","object_type":"email","data":{"action_id":36,
            "campaign_id":"n16","broadcast_id":null,"newsletter_id":"","transactional_message_id":{}}}"#;
        let event = Event::parse(body).unwrap();
        let found = event.references();
        assert_eq!(found.action.as_deref(), Some("36"));
        assert_eq!(found.campaign.as_deref(), Some("n16"));
        assert_eq!((found.broadcast, found.newsletter), (None, None));
        assert_eq!(found.transactional_message, None);
    }
}
