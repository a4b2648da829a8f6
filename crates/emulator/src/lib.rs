//! Two stand-ins for the two services that Postmeter stands between.
//!
//! [`segment`] receives tracking calls as Segment's API does; [`customerio`]
//! sends reporting webhooks as Customer.io does. Both are written from the
//! vendors' contracts alone and share no code with the crates that they test,
//! so that a misreading there cannot hide here. They are meant for tests of
//! your own, too: neither knows anything of Postmeter.

pub mod customerio;
pub mod segment;
