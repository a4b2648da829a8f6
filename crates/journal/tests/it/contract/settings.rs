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

pub(crate) async fn a_removed_setting_is_gone_until_it_is_put_anew(kind: Kind) {
    let engine = Engine::of(kind);
    let journal = engine.open().await;
    let put = async |journal: &Open, expected| {
        let value = Bytes::from_static(b"secret");
        journal.put_setting("key", value, expected).await
    };
    let nothing_there = journal.remove_setting("key", Revision::new(1)).await;
    assert!(matches!(
        nothing_there,
        Err(PutError::Conflict { found: None })
    ));
    let first = put(&journal, None).await.unwrap();
    let second = put(&journal, Some(first)).await.unwrap();
    let overtaken = journal.remove_setting("key", first).await;
    assert!(matches!(overtaken, Err(PutError::Conflict { found }) if found == Some(second)));
    let changes = journal.watch_settings();
    let before = *changes.borrow();

    journal.remove_setting("key", second).await.unwrap();

    assert!(*changes.borrow() > before);
    assert_eq!(journal.setting("key").await.unwrap(), None);
    let journal = engine.reopen(journal).await;
    assert_eq!(journal.setting("key").await.unwrap(), None);
    let over_what_is_gone = put(&journal, Some(second)).await;
    assert!(matches!(
        over_what_is_gone,
        Err(PutError::Conflict { found: None })
    ));
    let third = put(&journal, None).await.unwrap();
    assert!(third > second);
    let setting = journal.setting("key").await.unwrap().unwrap();
    assert_eq!(
        (setting.value.as_ref(), setting.revision),
        (b"secret".as_slice(), third)
    );
    journal.remove_setting("key", third).await.unwrap();
    assert_eq!(journal.setting("key").await.unwrap(), None);
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
