//! Which dead letters an address or a form names.

use jiff::Timestamp;
use journal::DeadLetterId;

use crate::form::{Fields, encoded};
use crate::process::Which;
use crate::seen::Filter;
use crate::shell::NoPage;

/// Those that `id` (once or more), `group`, `filter` or `all` names.
pub(super) fn which(fields: &Fields) -> Result<Which, NoPage> {
    let ids = fields.all("id");
    if !ids.is_empty() {
        let read = ids.iter().map(|id| id.parse().ok().map(DeadLetterId::new));
        let read = read.collect::<Option<Vec<_>>>();
        let read = read.filter(|ids| ids.len() <= Which::MOST);
        return read.map(Which::These).ok_or_else(nothing_named);
    }
    // A key is of our making and stays as it is, white space and all.
    if let Some(key) = fields.text("group").filter(|key| !key.is_empty()) {
        return Ok(Which::Group(key.to_owned()));
    }
    if let Some(text) = fields.filled("filter") {
        let filter = Filter::parse(text, Timestamp::now());
        return filter.map(Which::Matching).map_err(|mistakes| {
            let mistakes = mistakes.join("; ");
            NoPage::Missing(format!("dead letter by that filter: {mistakes}"))
        });
    }
    if fields.is_on("all") {
        return Ok(Which::all());
    }
    Err(nothing_named())
}

fn nothing_named() -> NoPage {
    NoPage::Missing("dead letter that the form names: select at least one".to_owned())
}

/// Below which number those are that are meant.
pub(super) fn below(fields: &Fields) -> Option<DeadLetterId> {
    let below = fields.filled("below").and_then(|id| id.parse().ok());
    below.map(DeadLetterId::new)
}

/// The fields that name them.
pub(super) fn fields(which: &Which) -> Vec<(&'static str, String)> {
    match which {
        Which::These(ids) => ids.iter().map(|id| ("id", id.to_string())).collect(),
        Which::Group(key) => vec![("group", key.clone())],
        Which::Matching(filter) if filter.is_all() => vec![("all", "yes".to_owned())],
        Which::Matching(filter) => vec![("filter", filter.to_string())],
    }
}

/// An address with them in its query.
pub(super) fn path(of: &str, which: &Which) -> String {
    let pair = |(name, value): (&str, String)| format!("{name}={}", encoded(&value));
    let query: Vec<String> = fields(which).into_iter().map(pair).collect();
    format!("/dead-letters/{of}?{}", query.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Option<Which> {
        which(&Fields::parse(query.as_bytes())).ok()
    }

    #[test]
    fn what_is_named_reads_back_and_nothing_is_never_all() {
        let filter = Filter::parse("person:\"a, b\" reason:400", Timestamp::now()).unwrap();
        let all = [
            Which::These(vec![DeadLetterId::new(7)]),
            Which::These(vec![DeadLetterId::new(7), DeadLetterId::new(9)]),
            Which::Group("a b&c=\u{e9}".to_owned()),
            Which::Matching(filter),
            Which::all(),
        ];
        for named in all {
            let path = path("discard", &named);
            let (_, query) = path.split_once('?').unwrap();
            assert_eq!(read(query), Some(named));
        }
        for nothing in ["", "group=", "id=x&all=yes", "key=a", "filter=", "filter=x"] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }
}
