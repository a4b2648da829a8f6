//! A call as a command that a person can run.

use crate::compare::visible;

/// The command that sends `call` to `endpoint` with the key in `SEGMENT_WRITE_KEY`.
///
/// Whatever the call holds, a shell takes it as one word and runs none of it.
pub(super) fn curl(endpoint: &str, call: &str) -> String {
    let url = format!("{}/v1/batch", endpoint.trim_end_matches('/'));
    let body = format!("{{\"batch\":[{}]}}", visible(call));
    format!(
        "curl --url {} \\\n  -u \"$SEGMENT_WRITE_KEY:\" \\\n  -H 'content-type: application/json' \\\n  \
         --data-binary {}",
        quoted(&url),
        quoted(&body)
    )
}

/// A text as one word of a shell.
fn quoted(text: &str) -> String {
    // A NUL cannot be in a word, nor in JSON.
    format!("'{}'", text.replace('\0', "").replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_hands_over_any_call_as_it_is() {
        let hostile = "{\"a\":\"it's '$(touch /tmp/x)' `id` \\\\ \\\" !! \n $HOME\"}";
        let line = curl("https://api.segment.io/", hostile);
        let script = format!("curl() {{ printf '%s\\n--\\n' \"$@\"; }}\n{line}\n");
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &script])
            .env("SEGMENT_WRITE_KEY", "a key");
        let output = shell.output().unwrap();
        let words = String::from_utf8(output.stdout).unwrap();
        let words: Vec<&str> = words.split("\n--\n").collect();
        assert_eq!(words[1], "https://api.segment.io/v1/batch");
        assert_eq!(words[3], "a key:");
        assert_eq!(words[7], format!("{{\"batch\":[{hostile}]}}"));
    }
}
