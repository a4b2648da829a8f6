//! The demo, which is the first thing that anybody runs.

use crate::harness::{postmeter, run, stderr, stdout};

#[test]
fn one_campaign_arrives_whole_and_the_account_says_so() {
    let output = run(postmeter().args(["demo", "--once", "--events", "200", "--rate", "500"]));
    let out = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{out}{}", stderr(&output));
    for words in ["received", "duplicates", "Email Sent", "p99"] {
        assert!(out.contains(words), "{words:?} is not in {out}");
    }
}
