//! The golden cases and the contracts, read from their files.

#![expect(
    clippy::disallowed_methods,
    reason = "tests read files; shape itself does not"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use shape::{Event, Names, Options, Selection, Shaped, shape};

/// One folder of `golden/`.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) event: String,
    pub(crate) settings: Settings,
    folder: PathBuf,
}

impl Case {
    /// All cases, by name.
    pub(crate) fn all() -> Vec<Case> {
        let mut folders: Vec<PathBuf> = golden()
            .read_dir()
            .expect("golden/ is there")
            .map(|entry| entry.expect("golden/ can be listed").path())
            .collect();
        folders.sort();
        folders.into_iter().map(Case::open).collect()
    }

    fn open(folder: PathBuf) -> Case {
        let options = folder.join("options.json");
        let settings = if options.exists() {
            serde_json::from_str(&read(&options)).expect("options.json has known settings")
        } else {
            Settings::default()
        };
        let name = folder
            .file_name()
            .expect("a folder has a name")
            .to_string_lossy()
            .into_owned();
        Case {
            name,
            event: read(&folder.join("event.json")),
            settings,
            folder,
        }
    }

    /// Another file of the case, if it has it.
    pub(crate) fn file(&self, name: &str) -> Option<String> {
        let path = self.folder.join(name);
        path.exists().then(|| read(&path))
    }

    /// What the case's event becomes under its settings.
    pub(crate) fn shaped(&self) -> Shaped {
        let event = Event::parse(self.event.as_bytes()).expect("the event can be used");
        let received_at = self.settings.received_at.as_deref();
        let received_at = received_at.map(|time| time.parse().expect("a time"));
        shape(
            &event,
            received_at,
            &self.settings.options(),
            &self.settings.known_names.names(),
        )
    }
}

/// `options.json`: what differs from the defaults.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they mirror those of the options"
)]
pub(crate) struct Settings {
    connection_id: Option<String>,
    events: Option<Vec<String>>,
    payload_version: Option<String>,
    body_content: bool,
    send_back: bool,
    empty_user_id: Option<bool>,
    customer_id: bool,
    renames: BTreeMap<String, String>,
    left_out: BTreeSet<String>,
    names: bool,
    known_names: KnownNames,
    received_at: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct KnownNames {
    action: Option<String>,
    campaign: Option<String>,
    newsletter: Option<String>,
    transactional_message: Option<String>,
}

impl KnownNames {
    fn names(&self) -> Names<'_> {
        Names {
            action: self.action.as_deref(),
            campaign: self.campaign.as_deref(),
            newsletter: self.newsletter.as_deref(),
            transactional_message: self.transactional_message.as_deref(),
        }
    }
}

impl Settings {
    pub(crate) fn options(&self) -> Options {
        let default = Options::default();
        let events = self
            .events
            .as_deref()
            .map(|patterns| Selection::parse(patterns).expect("good patterns"));
        let version = self
            .payload_version
            .as_deref()
            .map(|text| text.parse().expect("a version"));
        Options {
            connection_id: self
                .connection_id
                .clone()
                .unwrap_or_else(|| "golden".to_owned()),
            events: events.unwrap_or(default.events),
            payload_version: version.unwrap_or(default.payload_version),
            body_content: self.body_content,
            send_back: self.send_back,
            empty_user_id: self.empty_user_id.unwrap_or(default.empty_user_id),
            customer_id: self.customer_id,
            renames: self.renames.clone().into_iter().collect(),
            left_out: self.left_out.clone(),
            names: self.names,
            ..default
        }
    }
}

/// The text of a file below `contracts/`.
pub(crate) fn contract(path: &str) -> String {
    read(&contracts().join(path))
}

/// The public sample bodies, by name.
pub(crate) fn examples() -> Vec<(String, String)> {
    let folder = contracts().join("customerio/examples");
    let mut files: Vec<PathBuf> = folder
        .read_dir()
        .expect("the examples are there")
        .map(|entry| entry.expect("the examples can be listed").path())
        .filter(|path| !path.ends_with("index.json"))
        .collect();
    files.sort();
    let name = |path: &PathBuf| {
        path.file_stem()
            .expect("a file has a name")
            .to_string_lossy()
            .into_owned()
    };
    files.iter().map(|path| (name(path), read(path))).collect()
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

fn contracts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contracts")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path)
        .unwrap_or_else(|cause| panic!("cannot read {}: {cause}", path.display()))
}
