//! Which dead letters an address or a form names.

use journal::DeadLetterId;

use crate::form::{Fields, encoded};
use crate::process::Which;

/// Those that `id`, `group` or `all` names; none where nothing does.
pub(super) fn which(fields: &Fields) -> Option<Which> {
    if let Some(id) = fields.filled("id") {
        return id.parse().ok().map(|id| Which::One(DeadLetterId::new(id)));
    }
    // A key is of our making and stays as it is, white space and all.
    let group = fields.text("group").filter(|key| !key.is_empty());
    match group {
        Some(key) => Some(Which::Group(key.to_owned())),
        None => fields.is_on("all").then_some(Which::All),
    }
}

/// The field that names them.
pub(super) fn field(which: &Which) -> (&'static str, String) {
    match which {
        Which::One(id) => ("id", id.to_string()),
        Which::Group(key) => ("group", key.clone()),
        Which::All => ("all", "yes".to_owned()),
    }
}

/// An address with them in its query.
pub(super) fn path(of: &str, which: &Which) -> String {
    let (name, value) = field(which);
    format!("/dead-letters/{of}?{name}={}", encoded(&value))
}

/// The list of a group.
pub(super) fn list_path(key: &str) -> String {
    format!("/dead-letters/group?key={}", encoded(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_reads_back_and_nothing_is_never_all() {
        let all = [
            Which::One(DeadLetterId::new(7)),
            Which::Group("a b&c=\u{e9}".to_owned()),
            Which::All,
        ];
        for named in all {
            let path = path("discard", &named);
            let (_, query) = path.split_once('?').unwrap();
            assert_eq!(which(&Fields::parse(query.as_bytes())), Some(named));
        }
        for nothing in ["", "group=", "id=x&all=yes", "key=a"] {
            assert_eq!(which(&Fields::parse(nothing.as_bytes())), None, "{nothing}");
        }
    }
}
