//! Keeping connections in a journal.

use connections::{Connections, SaveError, SecretRef, Settings};
use jiff::Timestamp;
use journal::{Config, Journal};
use tempfile::TempDir;

use crate::{EVERY_OPTION, EXAMPLE, read};

#[tokio::test]
async fn connections_come_back_after_the_journal_is_opened_again() {
    let dir = TempDir::new().unwrap();
    let saved = read(EVERY_OPTION);
    {
        let journal = Journal::open(Config::for_tests(dir.path())).await.unwrap();
        let settings = Settings::of(journal.clone());
        assert_eq!(
            settings.load().await.unwrap(),
            (Connections::default(), None)
        );
        settings.save(&saved, None).await.unwrap();
        journal.close().await.unwrap();
    }
    let journal = Journal::open(Config::for_tests(dir.path())).await.unwrap();
    let (loaded, revision) = Settings::of(journal.clone()).load().await.unwrap();
    assert_eq!(loaded, saved);
    assert!(revision.is_some());
    journal.close().await.unwrap();
}

#[tokio::test]
async fn of_two_who_decide_at_once_the_second_is_told() {
    let dir = TempDir::new().unwrap();
    let journal = Journal::open(Config::for_tests(dir.path())).await.unwrap();
    let settings = Settings::of(journal.clone());
    let revision = settings.save(&read(EXAMPLE), None).await.unwrap();
    settings
        .save(&read(EVERY_OPTION), Some(revision))
        .await
        .unwrap();
    let late = settings.save(&read(EXAMPLE), Some(revision)).await;
    assert!(matches!(late, Err(SaveError::Write(_))));
    assert_eq!(settings.load().await.unwrap().0, read(EVERY_OPTION));
    journal.close().await.unwrap();
}

#[tokio::test]
async fn a_confirmation_holds_until_the_write_key_or_the_endpoint_changes() {
    let dir = TempDir::new().unwrap();
    let journal = Journal::open(Config::for_tests(dir.path())).await.unwrap();
    let settings = Settings::of(journal.clone());
    let mut connection = read(EXAMPLE).connections()[0].clone();
    assert_eq!(settings.confirmed(&connection).await.unwrap(), None);
    let at: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    settings.confirm(&connection, at).await.unwrap();
    assert_eq!(settings.confirmed(&connection).await.unwrap(), Some(at));
    connection.write_key = "env:ANOTHER".parse().unwrap();
    assert_eq!(settings.confirmed(&connection).await.unwrap(), None);
    journal.close().await.unwrap();
}

#[tokio::test]
async fn a_kept_secret_is_there_until_the_document_names_it_no_more() {
    let dir = TempDir::new().unwrap();
    let journal = Journal::open(Config::for_tests(dir.path())).await.unwrap();
    let settings = Settings::of(journal.clone());
    let SecretRef::Kept(id) = settings.keep_secret(" pasted\n").await.unwrap() else {
        panic!("it is kept in the journal");
    };
    let other = settings.keep_secret("another").await.unwrap();
    let mut after = read(&EXAMPLE.replace("env:SEGMENT_WRITE_KEY", &other.to_string()));
    let before = read(&EXAMPLE.replace("env:SEGMENT_WRITE_KEY", &format!("kept:{id}")));

    let kept = settings.kept_secrets(&before).await.unwrap();
    assert_eq!(kept.len(), 1, "only what the document names is read");
    assert_eq!(kept[&id].reveal(), "pasted");
    settings.drop_secrets(&before, &before).await.unwrap();
    assert_eq!(settings.kept_secrets(&before).await.unwrap(), kept);

    settings.drop_secrets(&before, &after).await.unwrap();
    assert!(settings.kept_secrets(&before).await.unwrap().is_empty());
    assert_eq!(settings.kept_secrets(&after).await.unwrap().len(), 1);
    after = Connections::default();
    assert!(settings.kept_secrets(&after).await.unwrap().is_empty());
    journal.close().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_a_secret_is_not_kept() {
    let dir = TempDir::new().unwrap();
    let journal = Journal::open(Config::for_tests(dir.path())).await.unwrap();
    let settings = Settings::of(journal.clone());
    let long = "x".repeat(Settings::MAX_SECRET_BYTES + 1);
    for secret in ["", " \n", &long] {
        let kept = settings.keep_secret(secret).await;
        assert!(matches!(kept, Err(SaveError::NoSecret)));
    }
    journal.close().await.unwrap();
}
