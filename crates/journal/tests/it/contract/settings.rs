//! Settings.

use bytes::Bytes;
use journal::{PutError, Revision};

use crate::support::*;

pub(crate) async fn a_setting_reads_back_with_its_revision(kind: Kind) {
    let engine = Engine::of(kind);
    let journal = engine.open().await;
    assert_eq!(journal.setting("connections").await.unwrap(), None);
    let value = Bytes::from_static(&[0, 1, 255]);
    let put = journal
        .put_setting("connections", value.clone(), None)
        .await;
    let revision = put.unwrap();
    let journal = engine.reopen(journal).await;
    let setting = journal.setting("connections").await.unwrap().unwrap();
    assert_eq!(setting.value, value);
    assert_eq!(setting.revision, revision);
    assert_eq!(journal.setting("connection").await.unwrap(), None);
}

pub(crate) async fn only_one_of_two_who_read_the_same_revision_can_put(kind: Kind) {
    let engine = Engine::of(kind);
    let journal = engine.open().await;
    let put = async |value: &'static str, expected| {
        let value = Bytes::from_static(value.as_bytes());
        journal.put_setting("connections", value, expected).await
    };
    let first = put("a", None).await.unwrap();
    let conflict = put("b", None).await;
    assert!(matches!(conflict, Err(PutError::Conflict { found }) if found == Some(first)));
    let second = put("b", Some(first)).await.unwrap();
    assert!(second > first);
    let conflict = put("c", Some(first)).await;
    assert!(matches!(conflict, Err(PutError::Conflict { found }) if found == Some(second)));
    let setting = journal.setting("connections").await.unwrap().unwrap();
    assert_eq!(setting.value, "b");
    let nothing_there = journal.put_setting("other", Bytes::new(), Some(Revision::new(1)));
    assert!(matches!(
        nothing_there.await,
        Err(PutError::Conflict { found: None })
    ));
}

pub(crate) async fn the_settings_watch_sees_every_change_and_nothing_else(kind: Kind) {
    let engine = Engine::of(kind);
    let journal = engine.open().await;
    let mut changes = journal.watch_settings();
    let before = *changes.borrow_and_update();
    journal.put_setting("a", Bytes::new(), None).await.unwrap();
    assert!(changes.has_changed().unwrap());
    let after = *changes.borrow_and_update();
    assert!(after > before);
    let conflict = journal.put_setting("a", Bytes::new(), None).await;
    assert!(conflict.is_err());
    assert!(!changes.has_changed().unwrap());
    let journal = engine.reopen(journal).await;
    assert_eq!(*journal.watch_settings().borrow(), after);
}
