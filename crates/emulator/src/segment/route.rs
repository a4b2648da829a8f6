//! Which of Segment's paths a request names.
//!
//! Knows the documented routes, the short forms of browser libraries and the
//! aliases that older libraries still post to. Knows no bodies.

use http::Method;

/// The kind of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Something a person did.
    Track,
    /// Who a person is.
    Identify,
    /// A web page was seen.
    Page,
    /// A screen of an app was seen.
    Screen,
    /// A person belongs to a group.
    Group,
    /// Two ids are one person.
    Alias,
}

impl Kind {
    /// The word that `type` carries.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Track => "track",
            Self::Identify => "identify",
            Self::Page => "page",
            Self::Screen => "screen",
            Self::Group => "group",
            Self::Alias => "alias",
        }
    }

    /// How calls without an event name are counted.
    pub(super) fn in_parentheses(self) -> &'static str {
        match self {
            Self::Track => "(track)",
            Self::Identify => "(identify)",
            Self::Page => "(page)",
            Self::Screen => "(screen)",
            Self::Group => "(group)",
            Self::Alias => "(alias)",
        }
    }

    pub(super) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "track" => Self::Track,
            "identify" => Self::Identify,
            "page" => Self::Page,
            "screen" => Self::Screen,
            "group" => Self::Group,
            "alias" => Self::Alias,
            _ => return None,
        })
    }

    fn parse_short(word: &str) -> Option<Self> {
        Some(match word {
            "t" => Self::Track,
            "i" => Self::Identify,
            "p" => Self::Page,
            "s" => Self::Screen,
            "g" => Self::Group,
            "a" => Self::Alias,
            _ => return None,
        })
    }
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Route<'a> {
    /// One call, its kind implied by the path.
    Single(Kind),
    /// An envelope with many calls.
    Batch,
    /// One call in a query string; always answered with a picture.
    Pixel(Kind),
    /// Measurements of browser libraries, taken and ignored.
    Telemetry,
    /// What a browser library fetches first.
    Settings {
        write_key: &'a str,
    },
    /// OAuth.
    Token,
    /// A path that wants a POST, asked with GET.
    NotPosted,
    Unknown,
}

impl<'a> Route<'a> {
    pub(super) fn of(method: &Method, path: &'a str) -> Self {
        let path = path.strip_suffix('/').unwrap_or(path);
        let reading = *method == Method::GET || *method == Method::HEAD;
        if let Some(read) = Self::read(path) {
            return if reading { read } else { Self::Unknown };
        }
        match Self::posted(path) {
            Some(posted) if *method == Method::POST => posted,
            Some(posted) if reading && posted != Self::Token => Self::NotPosted,
            Some(_) | None => Self::Unknown,
        }
    }

    fn read(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix("/v1/")?;
        if let Some(kind) = rest.strip_prefix("pixel/") {
            return Kind::parse(kind).map(Self::Pixel);
        }
        let write_key = rest.strip_prefix("projects/")?.strip_suffix("/settings")?;
        (!write_key.is_empty() && !write_key.contains('/')).then_some(Self::Settings { write_key })
    }

    fn posted(path: &'a str) -> Option<Self> {
        if path == "/token" {
            return Some(Self::Token);
        }
        match path.strip_prefix("/v1/")? {
            "batch" | "import" | "b" => Some(Self::Batch),
            "m" => Some(Self::Telemetry),
            word => Kind::parse(word)
                .or_else(|| Kind::parse_short(word))
                .map(Self::Single),
        }
    }
}
