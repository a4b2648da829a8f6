//! How far an import is, for whoever waits for it: a bar on a terminal, a line now
//! and then anywhere else.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::commands::talk;

/// How often a bar moves, and a line is written.
const BAR_PAUSE: Duration = Duration::from_millis(200);
const LINE_PAUSE: Duration = Duration::from_secs(5);
/// The width of a bar, in characters.
const BAR_CHARS: u64 = 30;

/// What is shown of a file on its way.
pub(super) struct Progress {
    /// How many bytes there are to read; none where nobody knows.
    bytes: Option<u64>,
    begun: Instant,
    told_at: Instant,
    on: On,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    Terminal,
    Elsewhere,
}

impl Progress {
    pub(super) fn of(bytes: Option<u64>) -> Progress {
        let on = if io::stderr().is_terminal() {
            On::Terminal
        } else {
            On::Elsewhere
        };
        Progress {
            bytes,
            begun: Instant::now(),
            told_at: Instant::now(),
            on,
        }
    }

    /// Tells how far it is, when it is time to.
    pub(super) fn tell(&mut self, read_bytes: u64, stored: u64) {
        let pause = match self.on {
            On::Terminal => BAR_PAUSE,
            On::Elsewhere => LINE_PAUSE,
        };
        if self.told_at.elapsed() < pause {
            return;
        }
        self.told_at = Instant::now();
        let text = text((read_bytes, self.bytes), stored, self.begun.elapsed());
        match self.on {
            On::Terminal => {
                // Nothing can be done when even that fails.
                drop(write!(io::stderr().lock(), "\r{text}\x1b[K"));
            }
            On::Elsewhere => talk(text),
        }
    }

    /// Leaves the line to others.
    pub(super) fn end(&self) {
        if self.on == On::Terminal {
            drop(write!(io::stderr().lock(), "\r\x1b[K"));
        }
    }
}

fn text((read, all): (u64, Option<u64>), stored: u64, took: Duration) -> String {
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = stored.saturating_mul(1_000) / ms;
    let Some(all) = all.filter(|all| *all > 0) else {
        return format!("{stored} events, {rate}/s");
    };
    let read = read.min(all);
    let done = read * BAR_CHARS / all;
    let repeat = |text: &str, n: u64| text.repeat(usize::try_from(n).unwrap_or_default());
    let bar = repeat("#", done) + &repeat("-", BAR_CHARS - done);
    let left = match read {
        0 => String::new(),
        read => {
            let left_s = ms.saturating_mul(all - read) / read / 1_000;
            format!(", {}:{:02} left", left_s / 60, left_s % 60)
        }
    };
    let percent = read * 100 / all;
    format!("[{bar}] {percent} %, {stored} events, {rate}/s{left}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_says_how_much_is_done_how_fast_and_what_is_left() {
        let took = Duration::from_secs(10);
        assert_eq!(
            text((500, Some(1_000)), 2_000, took),
            "[###############---------------] 50 %, 2000 events, 200/s, 0:10 left"
        );
        assert_eq!(text((500, None), 2_000, took), "2000 events, 200/s");
        assert!(text((0, Some(1_000)), 0, Duration::ZERO).ends_with("0 %, 0 events, 0/s"));
    }
}
