//! What a person can do about a dead letter.

/// What the reason and Segment's status call for, in a sentence or two.
///
/// Reasons are words for people, so an unknown one gets the general advice.
pub(super) fn advice(reason: &str, status: Option<u16>) -> &'static str {
    let reason = reason.to_lowercase();
    let says = |word: &str| reason.contains(word);
    let status = |wanted: u16| {
        status == Some(wanted) || (status.is_none() && says(&format!("answered {wanted}")))
    };
    if says("no person") {
        "Segment takes no call without somebody it is about. The event will never have one, so \
         keep it for your records or discard it; check in Customer.io that webhooks carry \
         identifiers."
    } else if says("too large") || status(413) {
        "Segment takes no call above 32 KB. Leave out large fields or the body content in the \
         connection's options, then retry."
    } else if says("json") && !says("answered") {
        "What came is no event that can be read. See what sends it: a proxy in front may have \
         changed or cut the body. Retrying changes nothing."
    } else if status(400) || status(422) {
        "Segment refused this one call and took the others of its batch. Its answer says what it \
         did not like; often another payload version, a rename or a field left out mends it. \
         Then retry."
    } else {
        "Mend what the reason names, then retry: the call is made anew with the connection's \
         options of now. Discard what is of no use."
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_reason_has_its_advice() {
        let cases = [
            ("no person: the event has no id", None, "without somebody"),
            ("too large: 40000 bytes", None, "32 KB"),
            ("Segment answered 413", Some(413), "32 KB"),
            ("Not JSON: expected value", None, "is no event"),
            (
                "Segment answered 400: malformed JSON",
                Some(400),
                "refused this one call",
            ),
            (
                "Segment answered 400: malformed JSON",
                None,
                "refused this one call",
            ),
            ("something new", None, "Mend what the reason names"),
        ];
        for (reason, status, there) in cases {
            assert!(advice(reason, status).contains(there), "{reason}");
        }
    }
}
