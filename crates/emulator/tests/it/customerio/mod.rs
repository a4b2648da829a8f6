//! The sender of Customer.io's reporting webhooks, and the lists of its App API.

mod app_api;
mod campaign;
mod files;
mod line;
mod receiver;
mod signature;
