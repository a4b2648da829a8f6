//! What can go wrong, in families, and how it is done to a stage.
//!
//! A fault ends by itself, or with [`heal`]. The waits here are the faults: how long
//! a process sleeps, a wire is held, a disk is full.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::load::{ANSWER_PATIENCE, Load};
use super::stage::Stage;
use super::wire::Mode;
use crate::harness::chance::Chance;

const DAY: i64 = 24 * 60 * 60;
/// Where a clock may be moved to, in seconds: no claim and no record is so old that
/// it may be forgotten.
const CLOCKS: [i64; 8] = [-3 * DAY, -DAY, -7_200, -300, 300, 7_200, DAY, 3 * DAY];
/// How long a server may take to start: kills fall anywhere in it.
const STARTING_MS: usize = 150;
/// How long an idle server takes to stop.
const STOPPING_MS: usize = 40;
/// How many requests meet a full disk before it has room again.
const MET_A_FULL_DISK: usize = 20;
/// What Segment may answer without being at fault itself.
const REFUSALS: [u16; 3] = [400, 413, 422];
/// What it may answer besides, and nothing is stored.
const STATUSES: [u16; 30] = [
    300, 301, 302, 303, 304, 307, 308, 401, 402, 403, 404, 405, 407, 408, 409, 410, 418, 425, 429,
    451, 460, 500, 501, 502, 503, 504, 505, 511, 520, 599,
];

/// Faults of one kind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Family {
    /// SIGKILL: under load, while starting, while stopping.
    Kill,
    /// SIGSTOP, for longer than anybody waits.
    Pause,
    /// Connections that are reset, held, refused, or noise.
    Sockets,
    /// What Segment may answer.
    Answers,
    /// Days forward and back.
    Clock,
    /// No room left.
    Disk,
}

/// What was done.
#[derive(Clone, Default, Debug)]
pub(super) struct Done {
    pub(super) faults: Vec<(Family, String)>,
    pub(super) kills: usize,
    /// Segment refuses what is not at fault.
    pub(super) refusals: bool,
}

impl Family {
    pub(super) const ALL: [Family; 6] = [
        Family::Kill,
        Family::Pause,
        Family::Sockets,
        Family::Answers,
        Family::Clock,
        Family::Disk,
    ];

    /// Those of a list such as `kill,disk`, or `all`.
    pub(super) fn named(words: &str) -> Vec<Family> {
        if words == "all" {
            return Family::ALL.to_vec();
        }
        let named = |word: &str| Family::ALL.into_iter().find(|family| family.word() == word);
        let each = words.split(',');
        each.map(|word| named(word).unwrap_or_else(|| panic!("there is no fault {word:?}")))
            .collect()
    }

    /// As `POSTMETER_ORACLE_FAULTS` has it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Family::Kill => "kill",
            Family::Pause => "pause",
            Family::Sockets => "sockets",
            Family::Answers => "answers",
            Family::Clock => "clock",
            Family::Disk => "disk",
        }
    }

    /// Does it to a stage.
    pub(super) async fn happen(
        self,
        stage: &mut Stage,
        load: &Load,
        (chance, done): (&mut Chance, &mut Done),
    ) {
        let what = match self {
            Family::Kill => kill(stage, chance, done).await,
            Family::Pause => pause(stage, chance).await,
            Family::Sockets => disturb(stage, chance).await,
            Family::Answers => answer(stage, chance, done),
            Family::Clock => move_clock(stage, chance),
            Family::Disk => fill_disk(stage, load, (chance, done)).await,
        };
        done.faults.push((self, what));
    }
}

/// From now on everything works.
pub(super) fn heal(stage: &Stage) {
    stage.segment.clear_faults();
    stage.to_segment.set(Mode::Pass);
    stage.door.set(Mode::Pass);
    if let Some(disk) = &stage.disk {
        disk.make_room();
    }
}

async fn kill(stage: &mut Stage, chance: &mut Chance, done: &mut Done) -> String {
    let moment = Duration::from_millis(chance.below(STARTING_MS) as u64);
    let what = match chance.below(8) {
        0 | 1 => {
            stage.kill();
            done.kills += 2;
            stage.start_and_kill(moment).await;
            format!("killed, and again {moment:?} after its start")
        }
        2 => {
            let moment = Duration::from_millis(chance.below(STOPPING_MS) as u64);
            stage.signal("-TERM");
            sleep(moment).await;
            stage.kill();
            done.kills += 1;
            format!("killed {moment:?} after it was to stop")
        }
        3 => {
            stage.stop();
            "stopped and started".to_owned()
        }
        _ => {
            stage.kill();
            done.kills += 1;
            "killed".to_owned()
        }
    };
    stage.restart();
    what
}

async fn pause(stage: &Stage, chance: &mut Chance) -> String {
    let time = ANSWER_PATIENCE + Duration::from_millis(100 + chance.below(500) as u64);
    stage.signal("-STOP");
    sleep(time).await;
    stage.signal("-CONT");
    format!("paused for {time:?}")
}

async fn disturb(stage: &Stage, chance: &mut Chance) -> String {
    let (wire, which) = match chance.below(3) {
        0 => (&stage.door, "the senders' wire"),
        _ => (&stage.to_segment, "the wire to Segment"),
    };
    let is_ours = which == "the senders' wire";
    let mode = *chance.pick(&[Mode::Hold, Mode::Refuse, Mode::Noise, Mode::Odd, Mode::Pass]);
    // What senders hear must be what the server said.
    let mode = match mode {
        Mode::Noise | Mode::Odd if is_ours => Mode::Pass,
        mode => mode,
    };
    let time = match mode {
        Mode::Hold => ANSWER_PATIENCE + Duration::from_millis(200),
        _ => Duration::from_millis(50 + chance.below(400) as u64),
    };
    let n_cuts = 1 + chance.below(8);
    wire.set(mode);
    for _ in 0..n_cuts {
        if mode != Mode::Hold {
            wire.cut();
        }
        sleep(time / u32::try_from(n_cuts).unwrap()).await;
    }
    wire.set(Mode::Pass);
    wire.cut();
    format!("{which}: {mode:?} for {time:?}, cut {n_cuts} times")
}

fn answer(stage: &Stage, chance: &mut Chance, done: &mut Done) -> String {
    // A date means another wait to a server with another clock.
    let dated = if stage.has_own_clock() {
        "1"
    } else {
        "http-date:+1"
    };
    let steps = (0..3 + chance.below(6)).map(|_| step(chance, dated));
    let steps: Vec<Value> = steps.collect();
    let refuses = |step: &Value| REFUSALS.iter().any(|status| step["status"] == *status);
    let refuses = |step: &Value| refuses(step) || step["non_json_400"] == true;
    done.refusals |= steps.iter().any(refuses);
    let script = json!(steps).to_string();
    stage.segment.push_script(script.as_bytes()).unwrap();
    format!("Segment answers {script}")
}

fn step(chance: &mut Chance, dated: &str) -> Value {
    let mut step = match chance.below(16) {
        0 => json!({ "status": 429, "retry_after": 1 }),
        1 => json!({ "status": 503, "retry_after": dated }),
        2 => json!({ "status": 429, "rate_limit_reset": 1, "retry_after": "soon" }),
        3 => json!({ "status": *chance.pick(&REFUSALS) }),
        4 => json!({ "non_json_400": true }),
        5 => json!({ "hang": true, "seconds": 2 }),
        6 => json!({ "reset": true }),
        7 => json!({ "reset": "mid_body" }),
        8 | 9 => json!({ "accept_then_drop": true }),
        10 => json!({ "delay_ms": 10 + chance.below(800) }),
        11 => json!({ "delay_ms": 1_300 }),
        12 => json!({ "status": 503, "body": "<html>Service Unavailable</html>" }),
        _ => json!({ "status": *chance.pick(&STATUSES) }),
    };
    step["times"] = json!(1 + chance.below(3));
    step["after"] = json!(chance.below(4));
    step
}

fn move_clock(stage: &Stage, chance: &mut Chance) -> String {
    let seconds = *chance.pick(&CLOCKS);
    stage.set_clock(seconds);
    format!("the clock is {seconds:+} s off")
}

async fn fill_disk(
    stage: &mut Stage,
    load: &Load,
    (chance, done): (&mut Chance, &mut Done),
) -> String {
    let disk = stage.disk.as_ref().expect("the run was to have a disk");
    disk.fill();
    load.turned_away(1 + chance.below(MET_A_FULL_DISK)).await;
    let is_killed = chance.one_in(3);
    if is_killed {
        stage.kill();
        done.kills += 1;
    }
    if let Some(disk) = &stage.disk {
        disk.make_room();
    }
    if is_killed {
        stage.restart();
        return "the disk was full, and the server killed".to_owned();
    }
    "the disk was full".to_owned()
}
