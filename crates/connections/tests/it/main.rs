//! A document is valid as a whole, or every mistake in it is named.

#![cfg(test)]

mod documents;
mod edits;
mod secrets;
mod settings;

use connections::{Connections, Written};

/// The connections of a document that has none yet.
pub(crate) fn read(text: &str) -> Connections {
    let written = Written::parse(text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    written
        .settle_ids(&Connections::default())
        .expect("the system has randomness")
}

/// The document that the README shows, with every common option.
pub(crate) const EXAMPLE: &str = r#"
[[workspace]]
name = "acme"
signing_keys = ["env:CIO_SIGNING_KEY"]

[[connection]]
name = "acme-segment"
workspace = "acme"
write_key = "env:SEGMENT_WRITE_KEY"
region = "us"
events = ["email_*", "sms_sent"]
send_frequency = "every"
body_content = false
send_back = false
payload_version = "2.0.0"
"#;

/// A document with every option there is, none at its default.
pub(crate) const EVERY_OPTION: &str = r#"
[[workspace]]
name = "acme"
signing_keys = ["env:OLD", "file:/run/secrets/new"]
timestamp_tolerance_s = 300
app_api_key = "kept:0a-1b"
app_api_region = "eu"

[[workspace]]
name = "lab"
signature = "off"
app_api_key = "env:APP_API_KEY"
app_api_url = "http://127.0.0.1:9200/app"

[[connection]]
name = "everything"
id = "c-fixed"
label = "a \"label\" with \\ and ✓"
workspace = "acme"
enabled = false
paused = true
write_key = "file:/run/secrets/key"
endpoint = "https://gateway.example.com/segment"
events = ["*_clicked", "customer_subscribed"]
new_kinds = "off"
send_frequency = "first"
first_per = "link"
body_content = true
send_back = true
payload_version = "1.0.0"
empty_user_id = false
customer_id = true
names = true
leave_out = ["recipient", "subject"]
rename = { "Email Opened" = "Opened an Email", sms_sent = "Texted" }

[[connection]]
name = "europe"
id = "c-europe"
workspace = "lab"
write_key = "env:EU"
region = "eu"
new_kinds = "on"
"#;
