//! The sender of Customer.io's reporting webhooks.

mod campaign;
mod files;
mod line;
mod receiver;
mod signature;
