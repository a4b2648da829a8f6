//! Which journals are opened.

use journal::Config;

use crate::support::*;

pub(crate) async fn limits_that_break_a_promise_are_refused(kind: Kind) {
    let changes: [fn(&mut Config); 4] = [
        |config| config.max_bytes = config.segment_bytes,
        |config| config.duplicate_claims /= 2,
        |config| config.first_claims /= 31,
        |config| config.queue_records = 0,
    ];
    let mut engine = Engine::of(kind);
    let sound = engine.config();
    for change in changes {
        engine = engine.limits(|config| {
            *config = sound.clone();
            change(config);
        });
        let refused = engine.try_open().await.err().unwrap();
        assert!(refused.is_of_config(), "{refused:?}");
        assert!(!engine.path().exists(), "it was created all the same");
    }
}
