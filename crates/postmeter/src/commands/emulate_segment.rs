//! `postmeter emulator segment`: a stand-in for Segment's HTTP API.

use std::num::NonZeroU32;
use std::process::ExitCode;

use anyhow::Context as _;
use emulator::segment::{Config, KeyState, RateLimit, Segment, UnknownKeys};

use super::{block_on, print, start_logging, until_signal};
use crate::cli::SegmentArgs;
use crate::http;

pub(super) fn run(args: SegmentArgs) -> anyhow::Result<ExitCode> {
    start_logging("warn");
    let mut config = Config {
        keep_calls: args.keep_calls,
        ..Config::default()
    };
    config.rate_limit = args
        .rate_limit
        .and_then(NonZeroU32::new)
        .map(RateLimit::Requests);
    if !args.strict_key.is_empty() {
        config.unknown_keys = UnknownKeys::Refuse;
    }
    let strict = args.strict_key.into_iter().map(|key| (key, KeyState::Live));
    config.keys = strict.chain(args.key_state).collect();
    block_on(until_signal(|stop| async move {
        let listener = http::bind(args.listen).await?;
        let address = listener
            .local_addr()
            .context("the listener has no address")?;
        print(format_args!("listening on http://{address}"))?;
        Segment::new(config)
            .run(listener, stop)
            .await
            .context("the emulator stopped")?;
        Ok(ExitCode::SUCCESS)
    }))
}
