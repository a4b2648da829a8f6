//! The inputs that a fuzz target begins with, for the test of each crate that runs
//! them on a stable compiler: what is in `fuzz/seeds/TARGET`, and what its `FROM`
//! names. Every finding of a fuzz run is among them for ever.

use std::path::{Path, PathBuf};

/// How many inputs are made of each seed by chance.
const MADE_OF_EACH: u64 = 10;

/// Runs every seed of `target`, and inputs made of them by chance, the same ones each
/// time; tells how many seeds there were.
pub(crate) fn each(target: &str, run: fn(&[u8])) -> usize {
    let made = made_of_each();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let own = root.join("fuzz/seeds").join(target);
    let mut files = files(&own);
    if let Ok(named) = std::fs::read_to_string(own.join("FROM")) {
        let named = named.lines().map(|line| root.join(line));
        files.extend(named.flat_map(|path| self::files(&path)));
    }
    for file in &files {
        println!("{}", file.display());
        let seed = std::fs::read(file).expect("a seed is a file");
        run(&seed);
        for number in 0..made {
            run(&changed(&seed, number));
        }
    }
    files.len()
}

/// More, where somebody asks for a longer run.
#[expect(
    clippy::disallowed_methods,
    reason = "a longer run is asked for by hand"
)]
fn made_of_each() -> u64 {
    let asked = std::env::var("POSTMETER_SEED_CHANGES").ok();
    asked
        .and_then(|asked| asked.parse().ok())
        .unwrap_or(MADE_OF_EACH)
}

/// The seed with a few of its bytes turned, lost, repeated or moved.
fn changed(seed: &[u8], number: u64) -> Vec<u8> {
    let mut input = seed.to_vec();
    let mut state = number + 1;
    let mut below = |end: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap_or_default() % end.max(1)
    };
    for _ in 0..=below(5) {
        let (from, to) = (below(input.len()), below(input.len()));
        let (from, to) = (from.min(to), from.max(to).min(from.min(to) + 40));
        match below(6) {
            0 => input
                .iter_mut()
                .skip(from)
                .take(1)
                .for_each(|byte| *byte ^= 1 << below(8)),
            1 => input
                .iter_mut()
                .skip(from)
                .take(1)
                .for_each(|byte| *byte = u8::try_from(below(256)).unwrap_or_default()),
            2 => drop(input.drain(from..to)),
            3 => {
                let piece = input.get(from..to).unwrap_or_default().to_vec();
                let at = below(input.len() + 1);
                input.splice(at..at, piece);
            }
            4 => input.truncate(to),
            _ => input.insert(below(input.len() + 1), b"\"{}[],:0\n\xff\0%$"[below(13)]),
        }
    }
    input
}

fn files(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = path.read_dir() else {
        return vec![path.to_owned()];
    };
    let entries = entries.map(|entry| entry.expect("a folder can be listed").path());
    let entries = entries.filter(|path| !path.ends_with("FROM"));
    entries.flat_map(|path| files(&path)).collect()
}
