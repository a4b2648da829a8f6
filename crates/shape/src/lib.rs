//! Shapes one Customer.io event to one Segment `track` call.
//!
//! A pure function of the event's bytes and a connection's options: no clock, no
//! I/O, no async, no randomness. [`Event::parse`] reads the body, [`shape()`]
//! returns the call, or the reason why there is none. No bytes make it panic.
//! How calls travel, and what was sent before, it refuses to know.
//!
//! ```
//! use shape::{Event, Names, Options, Shaped, shape};
//!
//! let body = br#"{"event_id":"01E4C8BES5XT87ZWRJFTB35YJ3","object_type":"email",
//!     "metric":"opened","timestamp":1585254348,
//!     "data":{"identifiers":{"id":"42"},"delivery_id":"RPIL"}}"#;
//! let event = Event::parse(body)?;
//! let Shaped::Call(call) = shape(&event, None, &Options::default(), &Names::default()) else {
//!     unreachable!("the event has a metric and a person");
//! };
//! assert_eq!(call.name, "Email Opened");
//! # Ok::<(), shape::Unusable>(())
//! ```

mod call;
mod event;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod json;
mod options;
mod rules;
mod shape;

pub use call::{Call, Occurrence, message_id};
pub use event::{Event, EventKey, Kind, MAX_EVENT_ID_BYTES, Person, References, Unusable};
pub use options::{FirstPer, Names, Options, PayloadVersion, SendFrequency, UnknownVersion};
pub use rules::catalogue::{Known, Mapping, catalogue};
pub use rules::names::Renames;
pub use rules::selection::{BadPattern, NewKinds, Selection};
pub use rules::size::{Content, MAX_CALL_BYTES};
pub use shape::{Burial, Shaped, Skip, shape};
