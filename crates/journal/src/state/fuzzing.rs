//! Every decoder of the state's rows over the same bytes, for the fuzz target
//! `state`. No part of the product.

use bytes::Bytes;

use super::{letters, rows, torn};

/// What decodes is written as it was read.
pub(crate) fn rows(bytes: &Bytes) {
    if let Some(letter) = letters::decode(bytes.clone()) {
        assert_eq!(
            letters::encode(&letter),
            bytes[..],
            "another row for the letter"
        );
    }
    if let Some(place) = rows::parse_place(bytes) {
        assert_eq!(rows::place(place), bytes[..]);
    }
    if let Some(number) = rows::parse_number(bytes) {
        assert_eq!(number.to_be_bytes().as_slice(), bytes);
    }
    let middle = bytes.len() / 2;
    let (key, value) = (bytes.slice(..middle), bytes.slice(middle..));
    if let Some(trace) = rows::parse_trace(&key, value.clone()) {
        let owner = rows::trace_owner(&key).expect("it has a key");
        assert_eq!(rows::trace(owner.to_vec(), trace.through), key);
        assert_eq!(rows::trace_value(&trace), value);
    }
    let prefix_bytes = usize::from(bytes.first().copied().unwrap_or_default());
    let place = rows::term_place(bytes, prefix_bytes);
    assert!(place.is_none() || bytes.len() == prefix_bytes + 10);
    let whole_bytes = torn::whole_batches(bytes);
    assert!(whole_bytes <= bytes.len());
    assert_eq!(
        torn::whole_batches(&bytes.slice(..whole_bytes)),
        whole_bytes
    );
}
