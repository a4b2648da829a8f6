//! Stand-ins for Customer.io's sender of reporting webhooks, and for the part of its
//! App API that says what ids are called ([`AppApi`]).
//!
//! [`Sender`] keeps Customer.io's rules towards a receiver: every event signed,
//! one at a time, four seconds to answer, everything behind a failed event
//! waits, an hour's hold for the common errors, and after seven days an event
//! is given up. Events come from a file ([`read_events`]), from an invented
//! [`Campaign`], or are one of every documented kind ([`every_pair`]). It knows
//! nothing of what its receiver does with them.
//!
//! Where Customer.io's behaviour is not published, this is a guess, and said to
//! be one: the intervals of its backoff, what counts as a timeout, and that
//! redirects are not followed.

mod app_api;
mod campaign;
mod event;
mod patience;
mod report;
mod sender;
mod sign;

pub use app_api::{APP_API_LIMIT, APP_API_WINDOW, AppApi, AppApiFault, Asked, MAX_ASKED};
pub use app_api::{Listing, Named, Workflow};
pub use campaign::{Campaign, CampaignEvents, Channel, Content, UnknownChannel, every_pair};
pub use event::{Event, MAX_FILE_BYTES, ReadError, parse_events, read_events};
pub use patience::{FIRST_BACKOFF, Failure, GIVE_UP_AFTER, HOLD, MAX_BACKOFF};
pub use report::{Hold, HoldEnd, Latency, MAX_HOLDS, Next, Outcome, Progress, Report, Turn};
pub use sender::{ANSWER_TIMEOUT, Sender, StartError};
pub use sign::{SIGNATURE_HEADER, SigningKey, TIMESTAMP_HEADER};
