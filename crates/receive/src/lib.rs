//! HTTP in: a 200 means that the event is journaled, and nothing more.
//!
//! Customer.io gives a receiver four seconds, holds everything behind a failed
//! event, and takes many common status codes as a reason to wait an hour. So
//! this crate does three things to a request, in this order: it reads the body
//! within its limits, verifies the signature over the raw bytes, and appends the
//! bytes to the journal. It knows nothing of JSON, of connections or of Segment.
//!
//! Each response carries a [`Receipt`] in its extensions, so that whoever serves
//! the [`router()`] can count and show what happened without this crate reporting
//! on itself.

mod answer;
mod body;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod router;
mod signature;
mod workspaces;

pub use answer::{Answer, RETRY_AFTER, Receipt, StoreError};
pub use body::{BodyError, Limits};
pub use router::{Intake, router};
pub use signature::{Refusal, SIGNATURE_HEADER, TIMESTAMP_HEADER, Unverified, Verified};
pub use workspaces::{KeyId, Signature, SigningKey, Workspace, Workspaces};
