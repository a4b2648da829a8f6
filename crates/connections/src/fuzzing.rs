//! What must hold of documents whatever they say: for the fuzz target `connections`,
//! and for a test that runs its seeds. No part of the product.

#![expect(clippy::missing_panics_doc, reason = "a panic is what is looked for")]

use crate::{Connections, Edit, Options, Written};

/// Reads `data` as a document, and writes what it says out again.
pub fn connections(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(options) = Options::parse(text) {
        let written = options.to_toml();
        let again = Options::parse(&written).expect("what is written is without mistakes");
        assert_eq!(options, again, "{written}");
    }
    let written = match Written::parse(text) {
        Ok(written) => written,
        Err(mistakes) => return assert!(!mistakes.to_string().is_empty()),
    };
    let Ok(decided) = written.settle_ids(&Connections::default()) else {
        return;
    };
    let exported = decided.to_toml();
    let again = settled(&exported, &decided);
    assert_eq!(decided, again, "{exported}");
    assert_eq!(exported, again.to_toml());
    edit(&decided);
}

/// Everything that is decided may be decided once more, one at a time.
fn edit(decided: &Connections) {
    let workspaces = decided.workspaces.iter().cloned();
    let connections = decided.connections.iter().cloned();
    let edits = workspaces
        .map(Edit::ReplaceWorkspace)
        .chain(connections.map(Edit::ReplaceConnection));
    for edit in edits {
        let edited = decided.edited(&edit).expect("it was without mistakes");
        let edited = edited.settle_ids(decided).expect("the system has chance");
        assert_eq!(*decided, edited, "{edit:?}");
    }
}

fn settled(text: &str, current: &Connections) -> Connections {
    let written = Written::parse(text).expect("what is exported is without mistakes");
    written.settle_ids(current).expect("the system has chance")
}

#[cfg(test)]
#[path = "../../../fuzz/seeds.rs"]
mod seeds;

#[cfg(test)]
mod tests {
    #[test]
    fn every_seed_of_the_documents_is_refused_or_exported_as_it_was_read() {
        assert!(super::seeds::each("connections", super::connections) > 2);
    }
}
