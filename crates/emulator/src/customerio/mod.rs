//! A stand-in for Customer.io's sender of reporting webhooks.
