//! The sender of Customer.io's reporting webhooks.
