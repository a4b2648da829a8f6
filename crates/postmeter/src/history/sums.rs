//! From counts to what the console shows: pure sums over a span.

use std::collections::BTreeMap;

use console::seen::{Channel, ChannelFunnel, History, Latency, Series as Line, Span};
use jiff::Timestamp;

use super::hour::Minute;
use super::latency::{Bucket, percentile};
use super::series::{Series, Step, What};

/// The sums of a span, point by point.
pub(super) struct Sums {
    span: Span,
    pub(super) from: Minute,
    pub(super) until: Minute,
    step: u64,
    channels: BTreeMap<Channel, Vec<u64>>,
    answers: BTreeMap<Option<u16>, Vec<u64>>,
    took: Vec<BTreeMap<Bucket, u64>>,
    steps: BTreeMap<(Channel, Step), u64>,
}

impl Sums {
    /// Nothing yet. The last point is the one that `now` is in; points begin at
    /// multiples of their length.
    pub(super) fn over(span: Span, now: Timestamp) -> Sums {
        let (n_points, step) = span.points();
        let n_points_u64 = u64::try_from(n_points).expect("a span has few points");
        let last = Minute::of(now).0 / step;
        let until = last.saturating_add(1).saturating_mul(step);
        Sums {
            span,
            from: Minute(until.saturating_sub(n_points_u64 * step)),
            until: Minute(until),
            step,
            channels: BTreeMap::new(),
            answers: BTreeMap::new(),
            took: vec![BTreeMap::new(); n_points],
            steps: BTreeMap::new(),
        }
    }

    pub(super) fn wants(series: &Series) -> bool {
        match series.what {
            What::Event(..) | What::Attempt(_) | What::Took(_) => true,
            What::Duplicate | What::Answer(_) | What::Ended(_) | What::Rest => false,
        }
    }

    pub(super) fn add(&mut self, minute: Minute, series: &Series, count: u64) {
        let n_points = self.took.len();
        let since = minute.0.saturating_sub(self.from.0);
        let point = usize::try_from(since / self.step).unwrap_or(usize::MAX);
        match series.what {
            What::Event(channel, step) => {
                add_to(self.channels.entry(channel), (point, n_points), count);
                *self.steps.entry((channel, step)).or_default() += count;
            }
            What::Attempt(status) => {
                add_to(self.answers.entry(status), (point, n_points), count);
            }
            What::Took(bucket) => {
                if let Some(buckets) = self.took.get_mut(point) {
                    *buckets.entry(bucket).or_default() += count;
                }
            }
            What::Duplicate | What::Answer(_) | What::Ended(_) | What::Rest => {}
        }
    }

    pub(super) fn into_history(self) -> History {
        let line = |(name, counts)| Line { name, counts };
        let status = |status: Option<u16>| status.map(|status| status.to_string());
        let answers = self.answers.into_iter().map(|(answer, counts)| {
            let name = status(answer).unwrap_or_else(|| "no answer".to_owned());
            (name, counts)
        });
        let channels = self.channels.into_iter();
        let channels = channels.map(|(channel, counts)| (channel.word().to_owned(), counts));
        let of_point = |per_mille| {
            let points = self.took.iter();
            points
                .map(|buckets| percentile(buckets, per_mille))
                .collect()
        };
        History {
            span: self.span,
            begins_at: self.from.begins_at(),
            step_s: self.step * 60,
            channels: channels.map(line).collect(),
            answers: answers.map(line).collect(),
            latency: Latency {
                p50_s: of_point(500),
                p99_s: of_point(990),
            },
            funnels: funnels(&self.steps),
        }
    }
}

fn add_to<K: Ord>(
    entry: std::collections::btree_map::Entry<'_, K, Vec<u64>>,
    (point, n_points): (usize, usize),
    count: u64,
) {
    let points = entry.or_insert_with(|| vec![0; n_points]);
    if let Some(sum) = points.get_mut(point) {
        *sum += count;
    }
}

/// The funnels of the channels that have one.
fn funnels(steps: &BTreeMap<(Channel, Step), u64>) -> Vec<ChannelFunnel> {
    let funnel = |channel| {
        let count = |step| steps.get(&(channel, step)).copied().unwrap_or_default();
        let steps = Step::FUNNEL.map(|(step, word)| (word.to_owned(), count(step)));
        let has_any = steps.iter().any(|(_, count)| *count > 0);
        has_any.then(|| ChannelFunnel {
            channel,
            steps: steps.to_vec(),
        })
    };
    Channel::ALL.into_iter().filter_map(funnel).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn series(what: What) -> Series {
        Series::new(what, &Arc::from("acme"))
    }

    #[test]
    fn the_last_point_of_a_span_is_now() {
        let now: Timestamp = "2026-03-14T15:26:53Z".parse().unwrap();
        let cases = [
            (Span::Hour, "2026-03-14T14:27:00Z", 60),
            (Span::Day, "2026-03-13T15:30:00Z", 900),
            (Span::Month, "2026-02-12T18:00:00Z", 21_600),
        ];
        for (span, begins_at, step_s) in cases {
            let mut sums = Sums::over(span, now);
            let sent = series(What::Event(Channel::Email, Step::Sent));
            sums.add(Minute::of(now), &sent, 3);
            sums.add(sums.from, &sent, 2);
            let history = sums.into_history();
            assert_eq!(history.begins_at, begins_at.parse().unwrap());
            assert_eq!(history.step_s, step_s);
            let counts = &history.channels[0].counts;
            assert_eq!(counts.len(), span.points().0);
            assert_eq!((counts[0], *counts.last().unwrap()), (2, 3));
            assert_eq!(counts.iter().sum::<u64>(), 5);
        }
    }

    #[test]
    fn a_funnel_has_every_step_and_a_channel_without_any_has_none() {
        let mut sums = Sums::over(Span::Hour, Timestamp::UNIX_EPOCH);
        let at = sums.from;
        sums.add(at, &series(What::Event(Channel::Sms, Step::Clicked)), 4);
        sums.add(at, &series(What::Event(Channel::Customer, Step::Other)), 9);
        let history = sums.into_history();
        let [funnel] = history.funnels.as_slice() else {
            panic!("{:?}", history.funnels)
        };
        assert_eq!(funnel.channel, Channel::Sms);
        let steps: Vec<_> = funnel.steps.iter().map(|(word, n)| (&**word, *n)).collect();
        let expected = [
            ("sent", 0),
            ("delivered", 0),
            ("opened", 0),
            ("clicked", 4),
            ("converted", 0),
        ];
        assert_eq!(steps, expected);
        let names: Vec<_> = history.channels.iter().map(|line| &*line.name).collect();
        assert_eq!(names, ["sms", "customer"]);
    }

    #[test]
    fn attempts_without_an_answer_have_a_line_of_their_own() {
        let mut sums = Sums::over(Span::Hour, Timestamp::UNIX_EPOCH);
        let at = sums.from;
        for status in [Some(429), None, Some(200), Some(200)] {
            sums.add(at, &series(What::Attempt(status)), 1);
        }
        let history = sums.into_history();
        let totals: Vec<_> = history
            .answers
            .iter()
            .map(|line| (&*line.name, line.counts[0]))
            .collect();
        assert_eq!(totals, [("no answer", 1), ("200", 2), ("429", 1)]);
    }
}
