//! A connection's options and target as a form shows and takes them: shared by the
//! wizard and the connection's page.
//!
//! What is typed is kept as it was typed, right or wrong, beside what it means.

mod kinds;

use std::collections::{BTreeMap, BTreeSet};

use connections::{Endpoint, EndpointError, Options, Target};
use shape::{FirstPer, PayloadVersion, SendFrequency};

pub(crate) use self::kinds::Kinds;
use super::mistakes::Mistakes;
use crate::form::Fields;

/// How many empty rows the form has for further renames.
const SPARE_RENAMES: usize = 3;

/// Which Segment, as three buttons say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Region {
    Us,
    Eu,
    Other,
}

/// What is chosen, and what was typed to say so.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chosen {
    /// As valid as it gets: what was typed wrong is as it was before.
    pub(crate) options: Options,
    pub(crate) target: Target,
    pub(crate) kinds: Kinds,
    pub(crate) region: Region,
    pub(crate) endpoint: String,
    /// Old and new names, with empty rows to add some.
    pub(crate) renames: Vec<(String, String)>,
    pub(crate) leave_out: String,
}

impl Chosen {
    /// What is decided.
    pub(crate) fn of(options: &Options, target: &Target) -> Chosen {
        let (region, endpoint) = match target {
            Target::Us => (Region::Us, String::new()),
            Target::Eu => (Region::Eu, String::new()),
            Target::Url(url) => (Region::Other, url.to_string()),
        };
        let renames = options.rename.iter();
        let renames = renames.map(|(from, to)| (from.clone(), to.clone()));
        let left_out: Vec<&str> = options.leave_out.iter().map(String::as_str).collect();
        let mut chosen = Chosen {
            kinds: Kinds::of(&options.events),
            options: options.clone(),
            target: target.clone(),
            region,
            endpoint,
            renames: renames.collect(),
            leave_out: left_out.join("\n"),
        };
        chosen.add_spare_renames();
        chosen
    }

    pub(crate) fn is_first_only(&self) -> bool {
        matches!(self.options.send_frequency, SendFrequency::First(_))
    }

    pub(crate) fn is_per_link(&self) -> bool {
        self.options.send_frequency == SendFrequency::First(FirstPer::DeliveryNameAndLink)
    }

    pub(crate) fn is_v1(&self) -> bool {
        self.options.payload_version == PayloadVersion::V1
    }

    /// The wizard's second step: which events.
    pub(crate) fn read_events(&mut self, fields: &Fields, mistakes: &mut Mistakes) {
        self.kinds = Kinds::read(fields);
        match self.kinds.selection(&self.options.events) {
            Some(selection) => self.options.events = selection,
            None => mistakes.add("events", "nothing would ever be sent: choose an event"),
        }
    }

    /// The wizard's third step: the hosted integration's options.
    pub(crate) fn read_hosted(&mut self, fields: &Fields, mistakes: &mut Mistakes) {
        self.options.send_frequency = match fields.text("send_frequency") {
            Some("first") if fields.is_on("per_link") => {
                SendFrequency::First(FirstPer::DeliveryNameAndLink)
            }
            Some("first") => SendFrequency::First(FirstPer::DeliveryAndName),
            _ => SendFrequency::Every,
        };
        self.options.body_content = fields.is_on("body_content");
        self.options.send_back = fields.is_on("send_back");
        self.read_target(fields, mistakes);
    }

    fn read_target(&mut self, fields: &Fields, mistakes: &mut Mistakes) {
        fields
            .text("endpoint")
            .unwrap_or_default()
            .trim()
            .clone_into(&mut self.endpoint);
        match fields.text("region") {
            Some("eu") => (self.region, self.target) = (Region::Eu, Target::Eu),
            Some("url") => {
                self.region = Region::Other;
                match Endpoint::parse(&self.endpoint) {
                    Ok(endpoint) => self.target = Target::Url(endpoint),
                    Err(EndpointError::NotAUrl(_)) if self.endpoint.is_empty() => {
                        mistakes.add("endpoint", "the URL is missing");
                    }
                    Err(error) => mistakes.add("endpoint", &error.to_string()),
                }
            }
            _ => (self.region, self.target) = (Region::Us, Target::Us),
        }
    }

    /// What the hosted integration has no switch for.
    pub(crate) fn read_more(&mut self, fields: &Fields, mistakes: &mut Mistakes) {
        self.options.payload_version = match fields.text("payload_version") {
            Some("1.0.0") => PayloadVersion::V1,
            _ => PayloadVersion::V2,
        };
        self.options.empty_user_id = fields.is_on("empty_user_id");
        self.options.customer_id = fields.is_on("customer_id");
        self.options.names = fields.is_on("names");
        fields
            .text("leave_out")
            .unwrap_or_default()
            .clone_into(&mut self.leave_out);
        self.options.leave_out = listed(&self.leave_out);
        self.read_renames(fields, mistakes);
    }

    fn read_renames(&mut self, fields: &Fields, mistakes: &mut Mistakes) {
        let of = |name: &str| -> Vec<String> {
            let each = fields.iter().filter(|(there, _)| *there == name);
            each.map(|(_, value)| value.trim().to_owned()).collect()
        };
        let rows = of("rename_from").into_iter().zip(of("rename_to"));
        let rows = rows.filter(|(from, to)| !from.is_empty() || !to.is_empty());
        self.renames = rows.collect();
        let mut read = BTreeMap::new();
        for (from, to) in &self.renames {
            if from.is_empty() {
                mistakes.add("rename", &format!("which event is to be called {to:?}?"));
            } else if to.is_empty() {
                let what = format!("what is {from:?} to be called? Empty both fields to drop it");
                mistakes.add("rename", &what);
            } else if read.insert(from.clone(), to.clone()).is_some() {
                mistakes.add("rename", &format!("{from:?} has two new names"));
            }
        }
        if !mistakes.has("rename") {
            self.options.rename = read;
        }
        self.add_spare_renames();
    }

    fn add_spare_renames(&mut self) {
        let spare = std::iter::repeat_n((String::new(), String::new()), SPARE_RENAMES);
        self.renames.extend(spare);
    }
}

/// Names that stand on lines of their own, or between commas.
fn listed(text: &str) -> BTreeSet<String> {
    let names = text.split([',', '\n']).map(str::trim);
    let names = names.filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen() -> Chosen {
        Chosen::of(&Options::default(), &Target::Us)
    }

    #[test]
    fn what_is_typed_becomes_options() {
        let (mut chosen, mut mistakes) = (chosen(), Mistakes::default());
        let typed = "send_frequency=first&per_link=on&body_content=on&region=url\
             &endpoint=https://segment.example/v1&payload_version=1.0.0&names=on\
             &leave_out=subject,+recipient%0Acontent&rename_from=Email+Opened&rename_to=Opened\
             &rename_from=&rename_to=";
        let fields = Fields::parse(typed.as_bytes());
        chosen.read_hosted(&fields, &mut mistakes);
        chosen.read_more(&fields, &mut mistakes);
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let options = &chosen.options;
        assert!(chosen.is_per_link() && chosen.is_v1());
        assert!(options.body_content && !options.send_back && options.names);
        assert!(!options.empty_user_id, "its box was not ticked");
        assert_eq!(options.leave_out.len(), 3);
        assert_eq!(options.rename["Email Opened"], "Opened");
        assert!(matches!(&chosen.target, Target::Url(_)));
    }

    #[test]
    fn what_is_wrong_is_said_beside_its_field_and_kept_as_typed() {
        let (mut chosen, mut mistakes) = (chosen(), Mistakes::default());
        let typed = "region=url&endpoint=nowhere&rename_from=Email+Opened&rename_to=";
        let fields = Fields::parse(typed.as_bytes());
        chosen.read_hosted(&fields, &mut mistakes);
        chosen.read_more(&fields, &mut mistakes);
        chosen.read_events(&Fields::default(), &mut mistakes);
        for field in ["endpoint", "rename", "events"] {
            assert!(mistakes.has(field), "{field}: {mistakes:?}");
        }
        assert_eq!(chosen.endpoint, "nowhere");
        assert_eq!(chosen.renames[0].0, "Email Opened");
        assert_eq!(chosen.target, Target::Us);
    }
}
