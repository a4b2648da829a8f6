//! Asks before something is done that cannot be undone.

use std::io::{self, IsTerminal as _};

use anyhow::{Context as _, bail};

use super::talk;
use crate::client::Hinted;

/// How much it takes to say yes.
#[derive(Clone, Copy)]
pub(super) enum Yes {
    /// A letter.
    Short,
    /// The whole word: for what can never be had back.
    InFull,
}

/// Whether the person at the terminal agrees. Where there is none, nobody does:
/// `--yes` is for scripts.
pub(super) fn agreed(question: &str, yes: Yes) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        bail!(Hinted {
            what: format!("{question} There is no terminal to ask at"),
            hint: "--yes does it without asking, --dry-run shows what it would do",
        });
    }
    let how = match yes {
        Yes::Short => "[y/N]",
        Yes::InFull => "Type yes:",
    };
    talk(format_args!("{question} {how}"));
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    read.context("cannot read the answer")?;
    Ok(match yes {
        Yes::Short => matches!(answer.trim(), "y" | "Y" | "yes"),
        Yes::InFull => answer.trim() == "yes",
    })
}
