//! Options that calls were made with, kept for whoever asks later what a call
//! looked like: shaping is pure, so a record and its options give the same call.

use bytes::Bytes;
use connections::Options;
use jiff::Timestamp;
use journal::{Journal, PutError};
use tracing::warn;

use super::trace::OptionsMark;

/// Keeps `options` under their mark, once. What fails is told and costs only that
/// a call of today may be shown with other options tomorrow.
pub(crate) async fn keep(journal: &Journal, options: &Options) -> OptionsMark {
    let mark = OptionsMark::of(options);
    let text = format!("{}\n{}", Timestamp::now(), options.to_toml());
    match journal
        .put_setting(&key(mark), Bytes::from(text), None)
        .await
    {
        Ok(_) | Err(PutError::Conflict { .. }) => {}
        Err(error) => {
            let error = anyhow::Error::from(error);
            warn!("the options of a connection are not kept for later: {error:#}");
        }
    }
    mark
}

/// The options of this mark, and when they were first used.
pub(crate) async fn find(journal: &Journal, mark: OptionsMark) -> Option<(Options, Timestamp)> {
    let setting = journal.setting(&key(mark)).await.ok()??;
    let text = std::str::from_utf8(&setting.value).ok()?;
    let (at, text) = text.split_once('\n')?;
    Some((Options::parse(text).ok()?, at.parse().ok()?))
}

fn key(mark: OptionsMark) -> String {
    format!("options/{mark}")
}

#[cfg(test)]
mod tests {
    use journal::Config;
    use tempfile::TempDir;

    use super::*;

    #[tokio::test]
    async fn options_are_found_again_with_when_they_were_first_used() {
        let folder = TempDir::new().unwrap();
        let config = Config::for_tests(folder.path().join("journal"));
        let journal = Journal::open(config).await.unwrap();
        let options = Options {
            body_content: true,
            ..Options::default()
        };
        let mark = keep(&journal, &options).await;
        let (_, first_used) = find(&journal, mark).await.unwrap();
        assert_eq!(keep(&journal, &options).await, mark);
        let found = find(&journal, mark).await.unwrap();
        assert_eq!(found, (options, first_used));
        assert!(find(&journal, OptionsMark::default()).await.is_none());
    }
}
