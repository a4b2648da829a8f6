//! Whom Segment takes a call to be about.

use crate::event::Identity;
use crate::json::Text;
use crate::options::Options;

/// The one id that a call goes by.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Who<'a> {
    /// A person with an id.
    User(Text<'a>),
    /// A person without: known by email, else by Customer.io's own id.
    Anonymous(Text<'a>),
}

impl<'a> Who<'a> {
    /// Nothing for an event that names nobody.
    pub(crate) fn of(identity: Identity<'a>) -> Option<Self> {
        let anonymous = identity.email.or(identity.cio_id).map(Self::Anonymous);
        identity.id.map(Self::User).or(anonymous)
    }

    /// The members that say so, the same in the envelope and in the properties.
    pub(crate) fn ids(self, options: &Options) -> impl Iterator<Item = (&'static str, Text<'a>)> {
        let (user, anonymous) = match self {
            Self::User(id) => (Some(id), None),
            Self::Anonymous(id) => (options.empty_user_id.then_some(Text::EMPTY), Some(id)),
        };
        let user = user.map(|id| ("userId", id));
        let anonymous = anonymous.map(|id| ("anonymousId", id));
        [user, anonymous].into_iter().flatten()
    }
}
