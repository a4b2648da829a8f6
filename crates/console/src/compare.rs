//! An event as it came beside the call that it became: both laid out, with what
//! became what.
//!
//! Pure, over two texts of which neither is trusted to be JSON. It knows which
//! fields `shape` gives another name or place, and believes that only where the
//! values agree. It knows nothing of markup: [`Part`]s are for an escaping template.

mod json;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use self::json::Json;

/// Texts longer than this are shown from their beginning, and not compared.
pub(crate) const MAX_BYTES: usize = 64 * 1024;

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) mark: Mark,
    pub(crate) text: String,
}

/// What there is to say about a piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Nothing.
    None,
    /// It has another name, place or form on the other side; the words say which.
    Moved(String),
    /// It is not on the other side.
    LeftOut,
}

/// Where a field of an event goes.
struct Move {
    from: &'static [&'static str],
    to: &'static [&'static str],
    proof: Proof,
}

/// What shows that it went there.
enum Proof {
    /// A value of the one is in the other.
    Value,
    /// Both are there: the form changes on the way.
    Form,
}

const fn by_value(from: &'static [&'static str], to: &'static [&'static str]) -> Move {
    Move {
        from,
        to,
        proof: Proof::Value,
    }
}

const fn by_form(from: &'static [&'static str], to: &'static [&'static str]) -> Move {
    Move {
        from,
        to,
        proof: Proof::Form,
    }
}

/// Where an identity may go.
const IDENTITY: [&[&str]; 5] = [
    &["userId"],
    &["anonymousId"],
    &["context", "traits", "email"],
    &["properties", "userId"],
    &["properties", "anonymousId"],
];

const MOVES: [Move; 14] = [
    by_form(&["event_id"], &["messageId"]),
    by_form(&["object_type"], &["event"]),
    by_form(&["metric"], &["event"]),
    by_form(&["event_type"], &["event"]),
    by_form(&["timestamp"], &["timestamp"]),
    by_value(&["data", "email_address"], &["anonymousId"]),
    by_value(&["data", "email_address"], &["context", "traits", "email"]),
    by_value(&["data", "href"], &["properties", "link"]),
    by_value(&["data", "link_id"], &["properties", "link"]),
    by_value(&["data", "delivery_id"], &["properties", "email_id"]),
    by_value(&["data", "subject"], &["properties", "email_subject"]),
    by_form(&["data", "content"], &["properties", "topics"]),
    by_form(&["data", "content"], &["properties", "content"]),
    by_form(&["data", "headers"], &["properties", "headers"]),
];

type Marks = BTreeMap<Vec<String>, Mark>;

/// Lays out both and marks what became what. What is no JSON stays as it is.
pub(crate) fn compare(received: &str, sent: &str) -> (Vec<Part>, Vec<Part>) {
    let both = (short(received), short(sent));
    let (Some(event), Some(call)) = &both else {
        return (lay_out(received), lay_out(sent));
    };
    let (event_marks, call_marks) = marks(event, call);
    (printed(event, event_marks), printed(call, call_marks))
}

/// The document of a text that is short enough to be looked into.
fn short(text: &str) -> Option<Json<'_>> {
    (text.len() <= MAX_BYTES)
        .then(|| Json::read(text))
        .flatten()
}

/// Lays out one text; what is no JSON, or too long, stays as it is.
pub(crate) fn lay_out(text: &str) -> Vec<Part> {
    if text.len() <= MAX_BYTES {
        let json = short(text).map(|json| printed(&json, Marks::new()));
        return json.unwrap_or_else(|| unmarked(visible(text)));
    }
    unmarked(beginning(text))
}

/// As much of a text as a page shows, and how much more there is.
pub(crate) fn beginning(text: &str) -> String {
    let head = text.get(..text.floor_char_boundary(MAX_BYTES));
    let head = head.unwrap_or_default();
    let mut shown = visible(head);
    let more = text.len() - head.len();
    if more > 0 {
        write!(shown, "\n… and {more} bytes more").expect("a String takes all that is written");
    }
    shown
}

fn unmarked(text: String) -> Vec<Part> {
    let mark = Mark::None;
    vec![Part { mark, text }]
}

/// The text with what hides or turns around other text written as `\u202e`, which
/// within JSON says the same.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}' => {
                let code = u32::from(letter);
                write!(out, "\\u{code:04x}").expect("a String takes all that is written to it");
            }
            other => out.push(other),
        }
    }
    out
}

/// What is marked in the event, and what in the call.
fn marks(event: &Json<'_>, call: &Json<'_>) -> (Marks, Marks) {
    let (mut left, mut right) = (Marks::new(), Marks::new());
    let has_identifiers = !event.at(&["data", "identifiers"]).is_none_or(Json::is_null);
    for path in fields(event) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let Some(value) = event.at(&path) else {
            continue;
        };
        if is_kept(&path, value, call) {
            continue;
        }
        // The older id counts only where there are no identifiers.
        let is_moot = path == ["data", "customer_id"] && has_identifiers;
        let targets: Vec<&[&str]> = if is_moot {
            Vec::new()
        } else {
            targets(&path, value, call)
        };
        for target in &targets {
            let from = path.last().copied().unwrap_or_default();
            became(&mut right, target, from);
        }
        let mark = match targets.first() {
            Some(target) => Mark::Moved(format!("became {}", target.join("."))),
            None => Mark::LeftOut,
        };
        left.insert(owned(&path), mark);
    }
    (left, right)
}

/// The paths of the fields that are looked at one by one: those on top, those of
/// `data`, those of its `identifiers`.
fn fields(event: &Json<'_>) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for (key, value) in event.entries() {
        if key != "data" || value.entries().is_empty() {
            paths.push(vec![key.clone()]);
            continue;
        }
        for (inner, value) in value.entries() {
            let path = vec![key.clone(), inner.clone()];
            if inner == "identifiers" && !value.entries().is_empty() {
                let ids = value.entries().iter();
                paths.extend(ids.map(|(id, _)| [path.clone(), vec![id.clone()]].concat()));
            } else {
                paths.push(path);
            }
        }
    }
    paths
}

/// Whether the call has the field as it was, among its properties.
fn is_kept(path: &[&str], value: &Json<'_>, call: &Json<'_>) -> bool {
    let (["data", name] | [name]) = path else {
        return false;
    };
    let there = call.at(&["properties", name]);
    there.is_some_and(|there| there.says(value))
}

/// Where in the call the field went.
fn targets(path: &[&str], value: &Json<'_>, call: &Json<'_>) -> Vec<&'static [&'static str]> {
    let is_identity = matches!(path, ["data", "identifiers", _] | ["data", "customer_id"]);
    let identities = IDENTITY.iter().filter(|_| is_identity);
    let identities = identities.map(|to| (*to, &Proof::Value));
    let moves = MOVES.iter().filter(|each| each.from == path);
    let candidates = identities.chain(moves.map(|each| (each.to, &each.proof)));
    let went = |(to, proof): &(&'static [&'static str], &Proof)| {
        let there = call.at(to).filter(|there| !there.is_null());
        let is_proven = |there: &Json<'_>| match proof {
            Proof::Value => value.shares_with(there),
            Proof::Form => true,
        };
        !value.is_null() && there.is_some_and(is_proven)
    };
    candidates.filter(went).map(|(to, _)| to).collect()
}

/// Marks `target` of the call as made of `from`, beside what else it is made of.
fn became(right: &mut Marks, target: &[&str], from: &str) {
    let mark = right.entry(owned(target)).or_insert(Mark::None);
    let said = match mark {
        Mark::Moved(said) => format!("{said}, {from}"),
        Mark::None | Mark::LeftOut => format!("from {from}"),
    };
    *mark = Mark::Moved(said);
}

fn owned(path: &[&str]) -> Vec<String> {
    path.iter().map(ToString::to_string).collect()
}

/// The document in lines, two spaces a level.
fn printed(json: &Json<'_>, marks: Marks) -> Vec<Part> {
    let mut printer = Printer {
        parts: Vec::new(),
        marks,
        path: Vec::new(),
    };
    printer.print(json);
    merged(printer.parts)
}

/// The same text in as few parts as it takes.
fn merged(parts: Vec<Part>) -> Vec<Part> {
    let mut merged: Vec<Part> = Vec::new();
    for part in parts.into_iter().filter(|part| !part.text.is_empty()) {
        match merged.last_mut() {
            Some(last) if last.mark == part.mark && part.mark == Mark::None => {
                last.text.push_str(&part.text);
            }
            _ => merged.push(part),
        }
    }
    merged
}

struct Printer {
    parts: Vec<Part>,
    marks: Marks,
    path: Vec<String>,
}

impl Printer {
    fn print(&mut self, json: &Json<'_>) {
        match json {
            Json::Scalar(text) => self.put(&visible(text)),
            Json::Object(entries) if entries.is_empty() => self.put("{}"),
            Json::Array(each) if each.is_empty() => self.put("[]"),
            Json::Object(entries) => {
                self.put("{");
                for (place, (key, value)) in entries.iter().enumerate() {
                    self.path.push(key.clone());
                    self.line(if place > 0 { "," } else { "" });
                    self.entry(key, value);
                    self.path.pop();
                }
                self.line("");
                self.put("}");
            }
            Json::Array(each) => {
                self.put("[");
                for (place, value) in each.iter().enumerate() {
                    // No field has this name: nothing in an array is marked.
                    self.path.push(format!("[{place}]"));
                    self.line(if place > 0 { "," } else { "" });
                    self.print(value);
                    self.path.pop();
                }
                self.line("");
                self.put("]");
            }
        }
    }

    fn entry(&mut self, key: &str, value: &Json<'_>) {
        let key = serde_json::to_string(key).expect("a text is always JSON");
        let mark = self.marks.get(&self.path).cloned();
        let begun = self.parts.len();
        self.parts.push(Part {
            mark: mark.unwrap_or(Mark::None),
            text: format!("{}: ", visible(&key)),
        });
        self.print(value);
        self.join(begun);
        // What follows is not of this entry.
        self.parts.push(Part {
            mark: Mark::None,
            text: String::new(),
        });
    }

    /// Makes one part of a marked entry and all that is in it.
    fn join(&mut self, begun: usize) {
        let is_marked = self
            .parts
            .get(begun)
            .is_some_and(|part| part.mark != Mark::None);
        if !is_marked {
            return;
        }
        let rest = self.parts.split_off(begun + 1);
        if let Some(first) = self.parts.last_mut() {
            first.text.extend(rest.into_iter().map(|part| part.text));
        }
    }

    /// Ends a line with `end` and begins the next at the depth of the path.
    fn line(&mut self, end: &str) {
        let indent = "  ".repeat(self.path.len());
        self.put(&format!("{end}\n{indent}"));
    }

    fn put(&mut self, text: &str) {
        match self.parts.last_mut() {
            Some(last) => last.text.push_str(text),
            None => self.parts.extend(unmarked(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"event_id":"E1","object_type":"email","metric":"clicked","timestamp":1585254348,
        "data":{"customer_id":"42","identifiers":{"id":"42","email":"a@example.com","cio_id":"c1"},
        "campaign_id":12345678901234567890,"rate":1.10,"href":"https://example.com/?a=\u0026b","link_id":1,
        "delivery_id":"D1","subject":null,"new_field":{"a":[1,{}]}}}"#;
    const CALL: &str = r#"{"type":"track","event":"Email Link Clicked","userId":"42","messageId":"pm-x",
        "timestamp":"2020-03-26T20:25:48.000Z","context":{"traits":{"email":"a@example.com"}},
        "properties":{"campaign_id":12345678901234567890,"rate":1.10,"delivery_id":"D1","content":null,
        "link":{"id":1,"url":"https://example.com/?a=&b"},"new_field":{"a":[1,{}]},"userId":"42"}}"#;

    /// The marked pieces, as `*moved*` and `-left out-`.
    fn marked(parts: &[Part]) -> Vec<String> {
        let said = |part: &Part| match &part.mark {
            Mark::None => None,
            Mark::Moved(how) => Some(format!("{} ({how})", part.text)),
            Mark::LeftOut => Some(format!("-{}-", part.text)),
        };
        parts.iter().filter_map(said).collect()
    }

    fn text(parts: &[Part]) -> String {
        parts.iter().map(|part| part.text.as_str()).collect()
    }

    #[test]
    fn what_got_another_name_is_marked_on_both_sides_and_what_was_not_sent_is_struck() {
        let (left, right) = compare(EVENT, CALL);
        assert_eq!(
            marked(&left),
            [
                "\"event_id\": \"E1\" (became messageId)",
                "\"object_type\": \"email\" (became event)",
                "\"metric\": \"clicked\" (became event)",
                "\"timestamp\": 1585254348 (became timestamp)",
                "-\"customer_id\": \"42\"-",
                "\"id\": \"42\" (became userId)",
                "\"email\": \"a@example.com\" (became context.traits.email)",
                "-\"cio_id\": \"c1\"-",
                "\"href\": \"https://example.com/?a=\\u0026b\" (became properties.link)",
                "\"link_id\": 1 (became properties.link)",
                "-\"subject\": null-",
            ]
        );
        assert_eq!(
            marked(&right),
            [
                "\"event\": \"Email Link Clicked\" (from object_type, metric)",
                "\"userId\": \"42\" (from id)",
                "\"messageId\": \"pm-x\" (from event_id)",
                "\"timestamp\": \"2020-03-26T20:25:48.000Z\" (from timestamp)",
                "\"email\": \"a@example.com\" (from email)",
                "\"link\": {\n      \"id\": 1,\n      \"url\": \"https://example.com/?a=&b\"\n    } \
                 (from href, link_id)",
                "\"userId\": \"42\" (from id)",
            ]
        );
    }

    #[test]
    fn the_older_customer_id_is_the_person_where_there_are_no_identifiers() {
        let event = r#"{"data":{"customer_id":42}}"#;
        let (left, _) = compare(event, r#"{"userId":"42"}"#);
        assert_eq!(marked(&left), ["\"customer_id\": 42 (became userId)"]);
    }

    #[test]
    fn a_field_that_only_shares_its_name_with_another_is_not_said_to_have_moved() {
        let event = r#"{"data":{"href":"https://a.example","email_address":"a@example.com"}}"#;
        let call = r#"{"anonymousId":"b@example.com","properties":{"link":{"url":"other"}}}"#;
        let (left, right) = compare(event, call);
        assert_eq!(marked(&left).len(), 2);
        assert!(marked(&left).iter().all(|said| said.starts_with('-')));
        assert_eq!(marked(&right), [""; 0]);
    }

    #[test]
    fn every_digit_and_the_order_stay_as_they_came() {
        let raw = r#"{"z":1.10,"a":12345678901234567890.5e+3,"m":-0,"t":{},"l":[],"n":[1,"é"]}"#;
        let squeezed: String = text(&lay_out(raw)).split_whitespace().collect();
        assert_eq!(squeezed, raw);
        let expected = "{\n  \"a\": [\n    1,\n    {\n      \"b\": 2\n    }\n  ]\n}";
        assert_eq!(text(&lay_out(r#"{"a":[1,{"b":2}]}"#)), expected);
    }

    #[test]
    fn what_is_no_json_stays_as_it_is() {
        for raw in ["", "not json", "{\"a\":", "{\"a\":1}}", "\u{0}"] {
            assert_eq!(text(&lay_out(raw)), raw);
            let (left, right) = compare(raw, CALL);
            assert_eq!(text(&left), raw);
            assert_eq!(marked(&right), [""; 0]);
        }
    }

    #[test]
    fn text_that_turns_around_what_follows_is_spelled_out() {
        let json = "{\"a\u{200b}\":\"x\u{202e}y\"}";
        let shown = text(&lay_out(json));
        assert_eq!(shown, "{\n  \"a\\u200b\": \"x\\u202ey\"\n}");
        let same: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(
            same,
            serde_json::from_str::<serde_json::Value>(json).unwrap()
        );
    }

    #[test]
    fn a_deep_or_a_long_text_is_shown_in_bounds() {
        let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
        assert!(text(&lay_out(&deep)).len() < 50_000);
        let long = format!("[\"{}\"]", "é".repeat(MAX_BYTES));
        let shown = text(&lay_out(&long));
        assert!(shown.len() < MAX_BYTES + 100 && shown.ends_with("bytes more"));
        let (left, right) = compare(&long, CALL);
        assert!(marked(&left).is_empty() && marked(&right).is_empty());
    }
}
