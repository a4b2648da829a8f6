//! `postmeter shape`: events in, calls out, nothing sent.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::ExitCode;

use ::shape::{Event, Names, Options, Shaped};
use anyhow::Context as _;

use super::{EXIT_WRONG, talk};
use crate::cli::ShapeArgs;

pub(super) fn run(args: ShapeArgs) -> anyhow::Result<ExitCode> {
    let options = Options {
        connection_id: args.connection_id,
        payload_version: args.payload_version,
        body_content: args.body_content,
        send_back: args.send_back,
        ..Options::default()
    };
    let mut shaper = Shaper {
        options,
        line: 0,
        buried: 0,
        out: io::stdout().lock(),
    };
    if args.files.is_empty() {
        shaper.shape_all(io::stdin().lock())?;
    }
    for path in &args.files {
        if path == Path::new("-") {
            shaper.shape_all(io::stdin().lock())?;
        } else {
            let file = File::open(path);
            let file = file.with_context(|| format!("cannot read {}", path.display()))?;
            shaper.shape_all(BufReader::new(file))?;
        }
    }
    shaper.out.flush().context("cannot write to stdout")?;
    Ok(if shaper.buried > 0 {
        ExitCode::from(EXIT_WRONG)
    } else {
        ExitCode::SUCCESS
    })
}

struct Shaper<W> {
    options: Options,
    /// Counted over all files, as if they were one.
    line: u64,
    buried: u64,
    out: W,
}

impl<W: Write> Shaper<W> {
    fn shape_all(&mut self, mut events: impl BufRead) -> anyhow::Result<()> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let n_bytes = events
                .read_until(b'\n', &mut line)
                .context("cannot read the events")?;
            if n_bytes == 0 {
                return Ok(());
            }
            self.line += 1;
            let event = line.trim_ascii();
            if !event.is_empty() {
                self.shape_one(event)?;
            }
        }
    }

    fn shape_one(&mut self, event: &[u8]) -> anyhow::Result<()> {
        let n = self.line;
        let shaped = match Event::parse(event) {
            Ok(event) => ::shape::shape(&event, None, &self.options, &Names::default()),
            Err(unusable) => {
                self.buried += 1;
                talk(format_args!("{n}: buried: {unusable}"));
                return Ok(());
            }
        };
        match shaped {
            Shaped::Call(call) => {
                writeln!(self.out, "{}", call.json).context("cannot write to stdout")?;
            }
            Shaped::Skip(skip) => talk(format_args!("{n}: skipped: {skip}")),
            Shaped::Bury(burial) => {
                self.buried += 1;
                talk(format_args!("{n}: buried: {burial}"));
            }
        }
        Ok(())
    }
}
