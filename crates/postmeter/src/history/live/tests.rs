//! Counting, minute by minute, whatever the clock does.

use journal::Seq;
use receive::{Answer, Refusal};

use super::*;
use crate::history::series::Step;
use crate::history::series::event_code;
use console::seen::Channel;

const NOON: i64 = 1_800_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(NOON + second).unwrap()
}

fn taken() -> Receipt {
    Receipt {
        workspace: Some("acme".into()),
        answer: Answer::Journaled {
            place: None,
            signed_by: None,
        },
    }
}

fn seen(seq: u64, second: i64) -> Seen<'static> {
    Seen {
        seq: Seq::new(seq),
        received_at: at(second),
        workspace: "acme",
        code: event_code(Channel::Email, Step::Opened),
        is_repeat: false,
    }
}

fn series(what: What) -> Series {
    Series::new(what, &Arc::from("acme"))
}

fn minutes(live: &Live, what: What, now: Timestamp) -> Vec<(u64, u32)> {
    let waiting = live.waiting(now);
    let first = Minute::of(at(0)).0;
    let mut all = Vec::new();
    for (hour, counts) in &waiting.hours {
        let found = counts.get(&series(what)).copied().unwrap_or([0; 60]);
        let each = (hour.first_minute().0..).zip(found);
        all.extend(
            each.filter(|(_, n)| *n > 0)
                .map(|(minute, n)| (minute.wrapping_sub(first), n)),
        );
    }
    all
}

const OPENED: What = What::Event(Channel::Email, Step::Opened);
const JOURNALED: What = What::Answer(Answered::Journaled);

#[test]
fn an_answer_counts_to_the_minute_that_it_was_given_in() {
    let live = Live::default();
    for second in [0, 59, 60, 61, 62] {
        live.answered(&taken(), at(second));
    }
    let mut refused = taken();
    refused.answer = Answer::Refused(Refusal::Mismatch);
    live.answered(&refused, at(62));
    assert_eq!(minutes(&live, JOURNALED, at(63)), [(0, 2), (1, 3)]);
    let refusals = What::Answer(Answered::Refused);
    assert_eq!(minutes(&live, refusals, at(63)), [(1, 1)]);
    assert!((live.rate("acme", at(63)) - 3.0 / 60.0).abs() < 0.02);
}

#[test]
fn a_clock_that_goes_back_a_little_counts_to_the_newest_minute() {
    let live = Live::default();
    live.answered(&taken(), at(600));
    live.answered(&taken(), at(30));
    assert_eq!(minutes(&live, JOURNALED, at(31)), [(10, 2)]);
}

#[test]
fn a_clock_that_was_far_ahead_does_not_stop_the_count() {
    let live = Live::default();
    let year_s = 365 * 24 * 3_600;
    live.answered(&taken(), at(year_s));
    live.answered(&taken(), at(0));
    live.answered(&taken(), Timestamp::MIN);
    live.answered(&taken(), Timestamp::MAX);
    live.answered(&taken(), at(60));
    let counted = minutes(&live, JOURNALED, at(61));
    assert!(
        counted.contains(&(0, 1)) && counted.contains(&(1, 1)),
        "{counted:?}"
    );
}

#[test]
fn an_event_that_is_read_again_after_a_crash_is_not_counted_again() {
    let live = Live::default();
    let page = [seen(1, 0), seen(2, 1), seen(3, 61)];
    live.indexed(Partition::ZERO, &page, at(62));
    let waiting = live.waiting(at(62));
    assert_eq!(waiting.marks, Marks::from([(0, 3)]));

    let again = Live::default();
    again.go_on(&waiting.marks, &Intake::default());
    let page = [seen(2, 1), seen(3, 61), seen(4, 62)];
    again.indexed(Partition::ZERO, &page, at(70));
    assert_eq!(minutes(&again, OPENED, at(70)), [(1, 1)]);
    assert_eq!(again.waiting(at(70)).marks, Marks::from([(0, 4)]));
}

#[test]
fn an_event_counts_to_the_minute_of_its_receipt_as_long_as_that_is_kept() {
    let live = Live::default();
    let day_s = 24 * 3_600;
    let mut repeat = seen(4, -3_600);
    repeat.is_repeat = true;
    let page = [
        seen(1, -31 * day_s),
        seen(2, -29 * day_s),
        seen(3, -3_600),
        repeat,
        seen(5, 3_600), // of a clock that was ahead
    ];
    live.indexed(Partition::ZERO, &page, at(0));
    let waiting = live.waiting(at(0));
    let opened = |second| {
        let minute = Minute::of(at(second));
        let counts = waiting.hours.get(&minute.hour());
        let minutes = counts.and_then(|counts| counts.get(&series(OPENED)));
        minutes.map(|minutes| minutes[minute.in_hour()])
    };
    assert_eq!(opened(-31 * day_s), None);
    assert_eq!(opened(-29 * day_s), Some(1));
    assert_eq!(opened(-3_600), Some(1));
    assert_eq!(opened(0), Some(1));
    let repeats = waiting.hours[&Minute::of(at(-3_600)).hour()].get(&series(What::Duplicate));
    assert_eq!(repeats.unwrap()[0], 1);
}

#[test]
fn what_waits_is_bounded_by_forgetting_the_oldest_hour() {
    let live = Live::default();
    let names: Vec<String> = (0..900).map(|n| format!("w{n}")).collect();
    for hour in 0..30 {
        let page = names.iter().zip(1..);
        let page = page.map(|(workspace, seq)| Seen {
            workspace,
            ..seen(hour * 1_000 + seq, i64::try_from(hour).unwrap() * 3_600)
        });
        let page: Vec<Seen<'_>> = page.collect();
        live.indexed(Partition::ZERO, &page, at(30 * 3_600));
    }
    let waiting = live.waiting(at(30 * 3_600));
    let n_series: usize = waiting.hours.values().map(Hour::len).sum();
    assert!(
        (MAX_WAITING - 900..=MAX_WAITING).contains(&n_series),
        "{n_series}"
    );
    assert!(
        waiting
            .hours
            .contains_key(&Minute::of(at(29 * 3_600)).hour())
    );
}

#[test]
fn what_is_written_waits_no_more_and_what_came_since_does() {
    let live = Live::default();
    let id: Arc<str> = "acme".into();
    live.ended(&id, &[(at(0), End::Accepted), (at(1), End::Buried)], at(2));
    live.attempted(&id, &[Some(200), None], at(2));
    let waiting = live.waiting(at(2));
    live.ended(&id, &[(at(1), End::Accepted)], at(3));
    for (hour, counts) in &waiting.hours {
        live.written(*hour, counts, &waiting.marks);
    }
    let accepted = What::Ended(Ending::Accepted);
    assert_eq!(minutes(&live, accepted, at(4)), [(0, 1)]);
    assert_eq!(minutes(&live, What::Attempt(None), at(4)), []);
    let took = What::Took(Bucket::of(Duration::from_secs(2)));
    assert_eq!(minutes(&live, took, at(4)), [(0, 1)], "the second one's");
}

#[test]
fn a_workspace_that_turns_is_told_at_once() {
    let live = Live::default();
    live.answered(&taken(), at(0));
    let told = || {
        let mut told = std::pin::pin!(live.turned.notified());
        told.as_mut().enable()
    };
    assert!(told(), "it was never heard of before");
    live.answered(&taken(), at(1));
    assert!(!told());
    let mut refused = taken();
    refused.answer = Answer::Refused(Refusal::NoSignature);
    live.answered(&refused, at(2));
    assert!(told());
    live.answered(&refused, at(3));
    assert!(!told());
}
