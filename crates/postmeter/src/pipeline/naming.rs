//! Gives calls the names of what their events refer to by id.
//!
//! A page's names are looked up before it is shaped, as far as that is quick; a
//! connection that does not want names pays nothing.

use std::collections::BTreeSet;

use jiff::Timestamp;
use journal::{Indexed, Verdict};
use shape::{Event, Names, PayloadVersion, Shaped};
use tokio_util::sync::CancellationToken;

use super::feed::Feed;
use crate::names::{Key, Wanted};

impl Feed {
    /// Has the names of a page looked up, and waits a little; false when it is to
    /// stop.
    pub(super) async fn is_named(&self, page: &[Indexed], stop: &CancellationToken) -> bool {
        let Some(book) = &self.names else { return true };
        book.look_up(self.names_wanted(page), stop).await;
        !stop.is_cancelled()
    }

    /// Shapes an event with the names that are known now.
    pub(super) fn shape_named(&self, event: &Event<'_>, received_at: Option<Timestamp>) -> Shaped {
        let Some(book) = &self.names else {
            return shape::shape(event, received_at, &self.options, &Names::default());
        };
        let (known, wanted) = (book.known(), Wanted::of(&event.references()));
        let names = known.names_of(&wanted);
        shape::shape(event, received_at, &self.options, &names)
    }

    /// The names that the calls of a page would have.
    fn names_wanted(&self, page: &[Indexed]) -> BTreeSet<Key> {
        let mut keys = BTreeSet::new();
        for indexed in page {
            let Indexed::Record { record, verdict } = indexed else {
                continue;
            };
            let is_ours = *record.workspace == *self.connection.workspace;
            if !is_ours || *verdict != Verdict::First {
                continue;
            }
            if let Ok(event) = Event::parse(&record.body)
                && self.may_name(&event)
            {
                keys.extend(Wanted::of(&event.references()).keys());
            }
        }
        keys
    }

    /// Whether the payload has names for an event of this kind: 1.0.0 is for email.
    fn may_name(&self, event: &Event<'_>) -> bool {
        let Some(kind) = event.kind() else {
            return false;
        };
        self.options.payload_version != PayloadVersion::V1 || kind.object_type == Some("email")
    }
}
