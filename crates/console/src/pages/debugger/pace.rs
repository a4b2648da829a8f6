//! How fast events come, and how many of them are shown.

use std::collections::VecDeque;

use super::choice::Choice;
use crate::seen::Watched;
use crate::words;

/// Looks that count for what is said: ten seconds of them.
const LOOKS: usize = 20;

/// What the last looks saw.
pub(super) struct Pace {
    /// Whether nothing but speed keeps an event from being shown.
    shows_all: bool,
    looks: VecDeque<Look>,
    rate_per_s: f64,
}

struct Look {
    passed: u64,
    shown: u64,
}

impl Pace {
    /// Nothing seen yet of what `choice` shows.
    pub(super) fn of(choice: &Choice) -> Pace {
        Pace {
            shows_all: choice.filter.is_all(),
            looks: VecDeque::new(),
            rate_per_s: 0.0,
        }
    }

    /// Counts a look. Where all may pass, what was not shown was left out; where a
    /// filter chose, what was not looked at.
    pub(super) fn saw(&mut self, watched: &Watched) {
        let shown = if self.shows_all {
            watched.rows.len() as u64
        } else {
            watched.examined
        };
        if self.looks.len() == LOOKS {
            self.looks.pop_front();
        }
        self.looks.push_back(Look {
            passed: watched.passed,
            shown,
        });
        self.rate_per_s = watched.rate_per_s;
    }

    /// In words: `812/s, showing 1 in 20`.
    pub(super) fn said(&self) -> String {
        let sum = |of: fn(&Look) -> u64| self.looks.iter().map(of).sum::<u64>();
        let (passed, shown) = (sum(|look| look.passed), sum(|look| look.shown));
        let rate = events_rate(self.rate_per_s);
        let verb = if self.shows_all {
            "showing"
        } else {
            "looking at"
        };
        // Not to call it a sample where one straggler is missing.
        let ratio = words::float(passed) / words::float(shown.max(1));
        if passed > 0 && ratio >= 1.5 {
            format!("{rate}, {verb} 1 in {ratio:.0}")
        } else {
            format!("{rate}, {verb} all")
        }
    }
}

/// How many events come: `812 events/s`.
pub(super) fn events_rate(per_s: f64) -> String {
    let rate = words::rate(per_s);
    format!("{} events/s", rate.strip_suffix("/s").unwrap_or(&rate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seen::filter::Key;
    use crate::trying::row;

    fn watched(passed: u64, examined: u64, shown: usize) -> Watched {
        Watched {
            rows: (1..).take(shown).map(row).collect(),
            next: String::new(),
            passed,
            examined,
            reached_at: None,
            older: None,
            rate_per_s: 812.0,
        }
    }

    #[test]
    fn a_sample_is_called_one() {
        let said = |watched: &Watched, shows_all: bool| {
            let mut choice = Choice::default();
            if !shows_all {
                choice.filter = choice.filter.with(Key::Person, "42");
            }
            let mut pace = Pace::of(&choice);
            pace.saw(watched);
            pace.said()
        };
        assert_eq!(
            said(&watched(200, 200, 10), true),
            "812 events/s, showing 1 in 20"
        );
        assert_eq!(
            said(&watched(10, 10, 10), true),
            "812 events/s, showing all"
        );
        assert_eq!(said(&watched(0, 0, 0), true), "812 events/s, showing all");
        assert_eq!(
            said(&watched(400, 20, 3), false),
            "812 events/s, looking at 1 in 20"
        );
        assert_eq!(
            said(&watched(400, 400, 3), false),
            "812 events/s, looking at all"
        );
    }

    #[test]
    fn the_ratio_is_that_of_the_last_looks() {
        let mut pace = Pace::of(&Choice::default());
        pace.saw(&watched(10_000, 10, 10));
        for _ in 0..LOOKS {
            pace.saw(&watched(10, 10, 10));
        }
        assert_eq!(pace.said(), "812 events/s, showing all");
    }
}
