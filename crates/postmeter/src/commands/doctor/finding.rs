//! What a check has found: how bad it is, the figures, and what to do about it.

use std::fmt::Display;

use serde::Serialize;

/// How bad something is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Ok,
    Warn,
    Fail,
}

/// One line of the report.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Finding {
    /// What was looked at, in a word or two.
    check: &'static str,
    /// Of which thing, where there are several.
    about: String,
    level: Level,
    /// What was found, with its figures.
    found: String,
    /// What to do; none where it is fine.
    advice: Option<String>,
}

/// A check of one thing, before it is known how it comes out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Check {
    name: &'static str,
    about: String,
}

impl Check {
    pub(super) fn new(name: &'static str, about: impl Display) -> Check {
        let about = format!("{about}");
        Check { name, about }
    }

    pub(super) fn ok(self, found: impl Into<String>) -> Finding {
        self.found(Level::Ok, found.into(), None)
    }

    pub(super) fn warn(self, found: impl Into<String>, advice: impl Into<String>) -> Finding {
        self.found(Level::Warn, found.into(), Some(advice.into()))
    }

    pub(super) fn fail(self, found: impl Into<String>, advice: impl Into<String>) -> Finding {
        self.found(Level::Fail, found.into(), Some(advice.into()))
    }

    fn found(self, level: Level, found: String, advice: Option<String>) -> Finding {
        Finding {
            check: self.name,
            about: self.about,
            level,
            found,
            advice,
        }
    }
}

impl Finding {
    pub(super) fn level(&self) -> Level {
        self.level
    }

    /// The line, and below it the advice.
    pub(super) fn lines(&self) -> String {
        let word = match self.level {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "fail",
        };
        let mut head = format!("{word:<5} {}", self.check);
        if !self.about.is_empty() {
            head = format!("{head} {}", self.about);
        }
        let line = format!("{head}: {}", self.found);
        match &self.advice {
            None => line,
            Some(advice) => format!("{line}\n      do: {advice}"),
        }
    }
}

/// An age or a wait as people say it.
pub(super) fn ago(seconds: f64) -> String {
    const MINUTE: f64 = 60.0;
    const HOUR: f64 = 60.0 * MINUTE;
    const DAY: f64 = 24.0 * HOUR;
    match seconds {
        under if under < 2.0 * MINUTE => format!("{under:.0} s"),
        under if under < 2.0 * HOUR => format!("{:.0} min", seconds / MINUTE),
        under if under < 2.0 * DAY => format!("{:.0} h", seconds / HOUR),
        _ => format!("{:.0} days", seconds / DAY),
    }
}

/// So many bytes as people say it.
pub(super) fn size(bytes: u64) -> String {
    const STEPS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let step = STEPS.into_iter().find(|(step, _)| bytes >= *step);
    let Some((step, unit)) = step else {
        return format!("{bytes} bytes");
    };
    format!("{}.{} {unit}", bytes / step, bytes % step * 10 / step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_stands_below_what_was_found() {
        let finding = Check::new("port", "127.0.0.1:1").fail("it is taken", "free it");
        let lines = "fail  port 127.0.0.1:1: it is taken\n      do: free it";
        assert_eq!(finding.lines(), lines);
        assert_eq!(
            Check::new("clock", "").ok("right").lines(),
            "ok    clock: right"
        );
    }

    #[test]
    fn ages_and_sizes_read_as_people_say_them() {
        let ages = [
            (3.2, "3 s"),
            (300.0, "5 min"),
            (7_300.0, "2 h"),
            (400_000.0, "5 days"),
        ];
        for (seconds, words) in ages {
            assert_eq!(ago(seconds), words);
        }
        let sizes = [(12, "12 bytes"), (1536, "1.5 KiB"), (20 << 30, "20.0 GiB")];
        for (bytes, words) in sizes {
            assert_eq!(size(bytes), words);
        }
    }
}
