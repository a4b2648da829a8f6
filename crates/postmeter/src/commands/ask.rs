//! Asks before something is done that cannot be undone.

use std::io::{self, IsTerminal as _};

use anyhow::{Context as _, bail};

use super::talk;
use crate::client::Hinted;

/// Whether the person at the terminal agrees. Where there is none, nobody does:
/// `--yes` is for scripts.
pub(super) fn agreed(question: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        bail!(Hinted {
            what: format!("{question} There is no terminal to ask at"),
            hint: "--yes does it without asking, --dry-run shows what it would do",
        });
    }
    talk(format_args!("{question} [y/N]"));
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    read.context("cannot read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
