//! What becomes of each part of an event. Each file answers one question of the
//! integration's documentation, and none of them writes the envelope.

pub(crate) mod catalogue;
pub(crate) mod content;
pub(crate) mod names;
pub(crate) mod properties;
pub(crate) mod selection;
pub(crate) mod size;
