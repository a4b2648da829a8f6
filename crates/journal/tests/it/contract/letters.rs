//! Dead letters.

use bytes::Bytes;
use journal::{DeadLetterFilter, DeadLetterId, Journal, NewDeadLetter, Settlement};

use crate::support::*;

/// Buries a new record for each of these reasons, all in one step.
async fn bury(journal: &Journal, connection: &str, reasons: &[&str]) {
    let mut letters = Vec::new();
    for reason in reasons {
        let buried = append(journal, (*reason).to_owned()).await.seq.get();
        letters.push(letter(buried, Some(connection), reason));
    }
    let last = journal.durable(P).borrow().unwrap().get();
    let settlement = Settlement {
        dead_letters: letters,
        ..settlement(connection, last)
    };
    journal.settle(settlement).await.unwrap();
}

async fn listed(
    journal: &Journal,
    connection: Option<&str>,
    after: Option<DeadLetterId>,
) -> Vec<(DeadLetterId, String)> {
    let filter = DeadLetterFilter {
        connection: connection.map(str::to_owned),
        after,
        limit: 2,
    };
    let found = journal.dead_letters(filter).await.unwrap();
    let listed = found
        .into_iter()
        .map(|found| (found.id, found.letter.reason));
    listed.collect()
}

pub(crate) async fn a_dead_letter_reads_back_as_it_was_buried(kind: Kind) {
    let engine = Engine::of(kind).feeding(&["eu"]);
    let journal = engine.open().await;
    append(&journal, "a").await;
    let buried = NewDeadLetter {
        call: Some(Bytes::from_static(b"{\"type\":\"track\"}")),
        body: Bytes::from_static(&[0, 255]),
        ..refused(1, "eu", "refused")
    };
    let settlement = Settlement {
        dead_letters: vec![buried.clone()],
        ..settlement("eu", 1)
    };
    journal.settle(settlement).await.unwrap();
    let journal = engine.reopen(journal).await;
    let id = listed(&journal, None, None).await[0].0;
    let found = journal.dead_letter(id).await.unwrap().unwrap();
    assert_eq!(found.letter, buried);
}

pub(crate) async fn dead_letters_are_listed_newest_first_page_by_page(kind: Kind) {
    let engine = Engine::of(kind).feeding(&["eu", "us"]);
    let journal = engine.open().await;
    bury(&journal, "eu", &["1", "2"]).await;
    bury(&journal, "us", &["3"]).await;
    bury(&journal, "eu", &["4"]).await;
    let reasons = |page: &[(DeadLetterId, String)]| -> Vec<String> {
        page.iter().map(|(_, reason)| reason.clone()).collect()
    };
    for (connection, pages) in [
        (None, [vec!["4", "3"], vec!["2", "1"]]),
        (Some("eu"), [vec!["4", "2"], vec!["1"]]),
        (Some("us"), [vec!["3"], vec![]]),
        (Some("e"), [vec![], vec![]]),
    ] {
        let mut after = None;
        for expected in pages {
            let page = listed(&journal, connection, after).await;
            assert_eq!(reasons(&page), expected, "of {connection:?}");
            after = page.last().map(|(id, _)| *id).or(after);
        }
    }
}

pub(crate) async fn a_removed_dead_letter_is_gone_and_its_id_is_not_used_again(kind: Kind) {
    let engine = Engine::of(kind).feeding(&["eu"]);
    let journal = engine.open().await;
    bury(&journal, "eu", &["1", "2"]).await;
    assert_eq!(journal.dead_letter_count().await.unwrap(), 2);
    let newest = listed(&journal, None, None).await[0].0;
    assert!(journal.remove_dead_letter(newest).await.unwrap());
    assert!(!journal.remove_dead_letter(newest).await.unwrap());
    let journal = engine.reopen(journal).await;
    assert_eq!(journal.dead_letter(newest).await.unwrap(), None);
    assert_eq!(journal.dead_letter_count().await.unwrap(), 1);
    assert_eq!(listed(&journal, Some("eu"), None).await.len(), 1);
    bury(&journal, "eu", &["3"]).await;
    let id = listed(&journal, None, None).await[0].0;
    assert!(id > newest, "{id} after {newest}");
}

pub(crate) async fn a_record_that_is_buried_twice_has_two_dead_letters(kind: Kind) {
    let engine = Engine::of(kind).feeding(&["eu"]);
    let journal = engine.open().await;
    append(&journal, "a").await;
    for reason in ["1", "2"] {
        let settlement = Settlement {
            dead_letters: vec![letter(1, Some("eu"), reason)],
            ..settlement("eu", 1)
        };
        journal.settle(settlement).await.unwrap();
    }
    assert_eq!(reasons(&journal).await, ["2", "1"]);
}
