//! What is wrong with a form, each mistake with the field that it belongs to.
//!
//! Fields are called as the connections document calls its keys, so that what the
//! document's reader finds wrong comes back beside the field at fault.

use crate::process::NotChanged;

/// The fields that a mistake can stand beside. Any other stands on top.
const FIELDS: [&str; 14] = [
    "name",
    "label",
    "workspace",
    "write_key",
    "region",
    "endpoint",
    "events",
    "rename",
    "leave_out",
    "signing_keys",
    "timestamp_tolerance_s",
    "app_api_key",
    "app_api_region",
    "app_api_url",
];

/// What is wrong with a form; nothing at first.
#[derive(Debug, Default)]
pub(crate) struct Mistakes(Vec<Mistake>);

#[derive(Debug)]
struct Mistake {
    /// Empty where it belongs to no field.
    field: &'static str,
    text: String,
}

impl Mistakes {
    /// Adds one, beside `field` where there is such a field.
    pub(crate) fn add(&mut self, field: &str, text: &str) {
        let field = FIELDS.into_iter().find(|there| *there == field);
        let field = field.unwrap_or_default();
        let text = sentence(text);
        self.0.push(Mistake { field, text });
    }

    /// Adds what the document's reader found.
    pub(crate) fn add_all(&mut self, found: &connections::Mistakes) {
        for mistake in found.iter() {
            let field = mistake.at.rsplit(": ").next().unwrap_or_default();
            let mut text = mistake.what.clone();
            if let Some(hint) = &mistake.hint {
                text = format!("{text}: {hint}");
            }
            if FIELDS.contains(&field) {
                self.add(field, &text);
            } else {
                self.add("", &format!("{} {text}", mistake.at));
            }
        }
    }

    /// Adds what the process said about a change, or hands back what is no mistake.
    pub(crate) fn add_refusal(&mut self, refusal: NotChanged) -> Result<(), NotChanged> {
        let NotChanged::Mistakes(texts) = refusal else {
            return Err(refusal);
        };
        for text in texts {
            // As in `connection acme: write_key: the variable X is not set`.
            let parts = text.split(": ").take(3);
            let field = parts.filter(|part| FIELDS.contains(part)).last();
            let rest = field.and_then(|field| text.split_once(&format!("{field}: ")));
            match rest {
                Some((_, rest)) => self.add(field.unwrap_or_default(), rest),
                None => self.add("", &text),
            }
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is wrong with a field, as sentences; empty where nothing is.
    pub(crate) fn at(&self, field: &str) -> String {
        let here = self.0.iter().filter(|mistake| mistake.field == field);
        let texts: Vec<&str> = here.map(|mistake| mistake.text.as_str()).collect();
        texts.join(" ")
    }

    pub(crate) fn has(&self, field: &str) -> bool {
        self.0.iter().any(|mistake| mistake.field == field)
    }

    /// Whether any of these fields is wrong.
    pub(crate) fn has_any(&self, fields: &[&str]) -> bool {
        fields.iter().any(|field| self.has(field))
    }

    /// What the top of the form says.
    pub(crate) fn on_top(&self) -> String {
        let beside = self.0.iter().filter(|mistake| !mistake.field.is_empty());
        let beside = match beside.count() {
            0 => String::new(),
            1 => "One field needs another look.".to_owned(),
            n => format!("{n} things need another look."),
        };
        let texts = [self.at(""), beside];
        let texts = texts.into_iter().filter(|text| !text.is_empty());
        texts.collect::<Vec<_>>().join(" ")
    }
}

/// With a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.trim().chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    let mut out = first.unwrap_or_default() + letters.as_str();
    if !out.ends_with(['.', '?', '!']) {
        out.push('.');
    }
    out
}

#[cfg(test)]
mod tests {
    use connections::Written;

    use super::*;

    #[test]
    fn a_mistake_of_the_document_stands_beside_its_field() {
        let text = "[[workspace]]\nname = \"a b\"\nsigning_keys = [\"env:K\"]\nsoup = 1\n";
        let found = Written::parse(text).unwrap_err();
        let mut mistakes = Mistakes::default();
        mistakes.add_all(&found);
        assert!(
            mistakes.at("name").contains("letters, digits"),
            "{mistakes:?}"
        );
        assert!(mistakes.on_top().contains("soup"), "{mistakes:?}");
        assert!(mistakes.on_top().ends_with("One field needs another look."));
    }

    #[test]
    fn a_refusal_of_the_process_stands_beside_the_field_that_it_names() {
        let mut mistakes = Mistakes::default();
        let texts = [
            "connection acme: write_key: the environment variable X is not set",
            "there is no majority",
        ];
        let refusal = NotChanged::Mistakes(texts.map(str::to_owned).to_vec());
        mistakes.add_refusal(refusal).unwrap();
        assert_eq!(
            mistakes.at("write_key"),
            "The environment variable X is not set."
        );
        assert!(mistakes.on_top().starts_with("There is no majority."));
        let trouble = NotChanged::Trouble(crate::Trouble("later".to_owned()));
        assert!(mistakes.add_refusal(trouble).is_err());
    }
}
