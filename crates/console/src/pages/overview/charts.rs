//! The charts of a span: what a browser draws, and the same figures as tables.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::seen::{Channel, ChannelFunnel, History, Latency, Series, Span};
use crate::words;

/// Everything below the live part.
pub(super) struct Charts {
    pub(super) span: Span,
    pub(super) plots: [Plot; 3],
    pub(super) funnels: Vec<Funnel>,
}

/// One chart, as it is drawn and as a table.
pub(super) struct Plot {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) unit: String,
    /// What the browser draws; none where there is nothing to draw.
    pub(super) json: Option<String>,
    pub(super) lines: Vec<Line>,
    /// What to say where there is nothing to draw.
    pub(super) empty: &'static str,
    /// The moments at which something happened, newest first.
    pub(super) rows: Vec<Figures>,
}

/// One series of a chart.
#[derive(Serialize)]
pub(super) struct Line {
    pub(super) label: String,
    /// A colour of `tokens.css`.
    pub(super) colour: &'static str,
    /// From 0 to 1: lighter where several lines share a colour.
    pub(super) strength: f64,
    values: Vec<Option<f64>>,
}

/// A moment's figures, one for each line.
pub(super) struct Figures {
    pub(super) at: Timestamp,
    pub(super) label: String,
    pub(super) cells: Vec<String>,
}

/// A channel's funnel.
pub(super) struct Funnel {
    pub(super) channel: Channel,
    pub(super) colour: &'static str,
    pub(super) steps: Vec<Step>,
}

/// How many came so far, and how wide their bar is.
pub(super) struct Step {
    pub(super) name: String,
    pub(super) n: u64,
    pub(super) share: String,
    pub(super) width: String,
    pub(super) strength: String,
}

/// As `charts.js` reads it.
#[derive(Serialize)]
struct Drawn<'a> {
    kind: &'a str,
    x: Vec<i64>,
    lines: &'a [Line],
}

impl Charts {
    pub(super) fn of(history: &History) -> Charts {
        let per = match history.span {
            Span::Hour => "per minute",
            Span::Day => "per quarter of an hour",
            Span::Month => "per six hours",
        };
        let channels = Plot {
            id: "channels",
            title: "Events received",
            unit: format!("by channel, {per}"),
            empty: "No event was received.",
            ..Plot::of(history, "stack", by_channel(&history.channels))
        };
        let latency = Plot {
            id: "latency",
            title: "From receipt to acceptance",
            unit: "half were faster than p50, all but one in a hundred than p99".to_owned(),
            empty: "No event was accepted.",
            ..Plot::of(history, "log", latencies(&history.latency))
        };
        let answers = Plot {
            id: "answers",
            title: "Requests to Segment",
            unit: format!("by answer, {per}"),
            empty: "No request was made.",
            ..Plot::of(history, "stack", by_answer(&history.answers))
        };
        Charts {
            span: history.span,
            plots: [channels, latency, answers],
            funnels: history.funnels.iter().map(Funnel::of).collect(),
        }
    }
}

impl Plot {
    fn of(history: &History, kind: &'static str, lines: Vec<Line>) -> Plot {
        let lengths = lines.iter().map(|line| line.values.len());
        let moments = moments(history, lengths.max().unwrap_or_default());
        let x = moments.iter().map(|at| at.as_second()).collect();
        let lines_drawn = Drawn {
            kind,
            x,
            lines: &lines,
        };
        let json = serde_json::to_string(&lines_drawn);
        let rows = moments.iter().enumerate().rev();
        let rows: Vec<Figures> = rows
            .filter_map(|(place, at)| figures(history.span, kind, (place, *at), &lines))
            .collect();
        Plot {
            id: "",
            title: "",
            unit: String::new(),
            json: json.ok().filter(|_| !rows.is_empty()),
            empty: "",
            rows,
            lines,
        }
    }
}

/// When each point begins.
fn moments(history: &History, n: usize) -> Vec<Timestamp> {
    let step = SignedDuration::from_secs(i64::try_from(history.step_s).unwrap_or_default());
    let next = |at: &Timestamp| at.checked_add(step).ok();
    std::iter::successors(Some(history.begins_at), next)
        .take(n)
        .collect()
}

/// The figures of one point; none where all of it is nothing.
fn figures(
    span: Span,
    kind: &str,
    (place, at): (usize, Timestamp),
    lines: &[Line],
) -> Option<Figures> {
    let values = lines
        .iter()
        .map(|line| line.values.get(place).copied().flatten());
    let values: Vec<Option<f64>> = values.collect();
    let some = values
        .iter()
        .any(|value| value.is_some_and(|value| value > 0.0));
    let cell = |value: Option<f64>| match value {
        None => "\u{2013}".to_owned(),
        Some(seconds) if kind == "log" => words::span(seconds),
        Some(n) => words::whole_count(n),
    };
    some.then(|| Figures {
        at,
        label: label(span, at),
        cells: values.into_iter().map(cell).collect(),
    })
}

fn label(span: Span, at: Timestamp) -> String {
    let format = match span {
        Span::Hour => "%H:%M",
        Span::Day | Span::Month => "%-d %b, %H:%M",
    };
    at.strftime(format).to_string()
}

fn whole(counts: &[u64]) -> Vec<Option<f64>> {
    counts.iter().map(|n| Some(words::float(*n))).collect()
}

/// Channels with events, in the order in which channels are always shown.
fn by_channel(series: &[Series]) -> Vec<Line> {
    let line = |channel: Channel| {
        let mut each = series.iter();
        let found = each.find(|one| one.name == channel.word())?;
        let some = found.counts.iter().any(|n| *n > 0);
        some.then(|| Line {
            label: channel.label().to_owned(),
            colour: colour(channel),
            strength: 1.0,
            values: whole(&found.counts),
        })
    };
    Channel::ALL.into_iter().filter_map(line).collect()
}

/// The token with a channel's colour.
fn colour(channel: Channel) -> &'static str {
    match channel {
        Channel::Email => "--ch-email",
        Channel::Push => "--ch-push",
        Channel::Sms => "--ch-sms",
        Channel::InApp => "--ch-in-app",
        Channel::Whatsapp => "--ch-whatsapp",
        Channel::Slack => "--ch-slack",
        Channel::Webhook => "--ch-webhook",
        Channel::Customer => "--ch-customer",
        Channel::Other => "--line-strong",
    }
}

/// Answers: those that took the batch first, then what makes a connection wait.
fn by_answer(series: &[Series]) -> Vec<Line> {
    let mut shown: Vec<&Series> = series
        .iter()
        .filter(|one| one.counts.iter().any(|n| *n > 0))
        .collect();
    shown.sort_by(|a, b| a.name.cmp(&b.name));
    let mut lines: Vec<Line> = Vec::new();
    for one in shown {
        let colour = match one.name.as_bytes() {
            [b'2', ..] => "--ok",
            [b'4', ..] => "--warn",
            [b'3' | b'5', ..] => "--bad",
            _ => "--idle",
        };
        let alike = lines.iter().filter(|line| line.colour == colour).count();
        lines.push(Line {
            label: one.name.clone(),
            colour,
            strength: [1.0, 0.65, 0.4].get(alike).copied().unwrap_or(0.25),
            values: whole(&one.counts),
        });
    }
    lines
}

fn latencies(latency: &Latency) -> Vec<Line> {
    let line = |label: &str, colour, values: &[Option<f64>]| Line {
        label: label.to_owned(),
        colour,
        strength: 1.0,
        values: values.to_vec(),
    };
    vec![
        line("p50", "--accent", &latency.p50_s),
        line("p99", "--muted", &latency.p99_s),
    ]
}

impl Funnel {
    fn of(funnel: &ChannelFunnel) -> Funnel {
        let most = funnel
            .steps
            .iter()
            .map(|(_, n)| *n)
            .max()
            .unwrap_or_default();
        let first = funnel.steps.first().map_or(0, |(_, n)| *n);
        let step = |(place, (name, n)): (usize, &(String, u64))| Step {
            name: titled(name),
            n: *n,
            // Opens of what was sent before can outnumber what was sent since.
            share: if place == 0 || *n > first {
                String::new()
            } else {
                words::percent(n, first)
            },
            width: width(*n, most),
            strength: format!("{:.2}", 1.0 - 0.13 * words::float((place as u64).min(5))),
        };
        Funnel {
            channel: funnel.channel,
            colour: colour(funnel.channel),
            steps: funnel.steps.iter().enumerate().map(step).collect(),
        }
    }
}

/// The width of a bar, of 100: what there is at all can be seen.
fn width(n: u64, most: u64) -> String {
    if n == 0 {
        return "0".to_owned();
    }
    format!(
        "{:.1}",
        (100.0 * words::float(n) / words::float(most)).max(0.5)
    )
}

fn titled(word: &str) -> String {
    let mut chars = word.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + chars.as_str()
}

/// The last hour of a connection as the points of a line, 96 wide and 18 high.
pub(super) fn sparkline(hour: &[u64]) -> String {
    let most = hour.iter().copied().max().unwrap_or_default().max(1);
    let step = 96.0 / words::float((hour.len() as u64).saturating_sub(1).max(1));
    let point = |(place, n): (usize, &u64)| {
        let x = step * words::float(place as u64);
        let y = 16.5 - 15.0 * words::float(*n) / words::float(most);
        format!("{x:.1},{y:.1}")
    };
    let points: Vec<String> = hour.iter().enumerate().map(point).collect();
    points.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> History {
        History {
            span: Span::Hour,
            begins_at: "2026-03-26T20:00:00Z".parse().unwrap(),
            step_s: 60,
            channels: vec![
                Series {
                    name: "push".to_owned(),
                    counts: vec![0, 7, 1_200],
                },
                Series {
                    name: "email".to_owned(),
                    counts: vec![0, 5, 0],
                },
                Series {
                    name: "sms".to_owned(),
                    counts: vec![0, 0, 0],
                },
            ],
            answers: ["no answer", "503", "500", "200", "429"]
                .map(|name| Series {
                    name: name.to_owned(),
                    counts: vec![1, 2, 3],
                })
                .into(),
            latency: Latency {
                p50_s: vec![None, Some(0.09), Some(2.0)],
                p99_s: vec![None, Some(0.4), None],
            },
            funnels: vec![ChannelFunnel {
                channel: Channel::Email,
                steps: vec![
                    ("sent".to_owned(), 1_000),
                    ("delivered".to_owned(), 977),
                    ("opened".to_owned(), 2_000),
                    ("converted".to_owned(), 1),
                    ("clicked".to_owned(), 0),
                ],
            }],
        }
    }

    #[test]
    fn a_table_says_what_a_chart_draws_newest_first_and_only_where_something_was() {
        let charts = Charts::of(&history());
        let [channels, latency, _] = &charts.plots;
        let labels: Vec<&str> = channels.lines.iter().map(|line| &*line.label).collect();
        assert_eq!(
            labels,
            ["Email", "Push"],
            "in their order, without those that are empty"
        );
        let rows: Vec<(&str, String)> = channels
            .rows
            .iter()
            .map(|row| (&*row.label, row.cells.join(" ")))
            .collect();
        assert_eq!(
            rows,
            [
                ("20:02", "0 1\u{202f}200".to_owned()),
                ("20:01", "5 7".to_owned())
            ]
        );
        assert_eq!(latency.rows[0].cells, ["2.0\u{202f}s", "\u{2013}"]);
        let json = channels.json.clone().unwrap();
        assert!(
            json.contains("\"x\":[1774555200,1774555260,1774555320]"),
            "{json}"
        );
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        let mut nothing = history();
        nothing.channels.clear();
        nothing.answers.clear();
        nothing.latency.p50_s = vec![None; 3];
        nothing.latency.p99_s.clear();
        let charts = Charts::of(&nothing);
        assert!(
            charts
                .plots
                .iter()
                .all(|plot| plot.json.is_none() && plot.rows.is_empty())
        );
    }

    #[test]
    fn answers_are_coloured_by_what_they_mean_and_told_apart_by_strength() {
        let charts = Charts::of(&history());
        let [.., answers] = &charts.plots;
        let lines = answers.lines.iter();
        let lines: Vec<_> = lines
            .map(|line| (&*line.label, line.colour, line.strength))
            .collect();
        let expected = [
            ("200", "--ok", 1.0),
            ("429", "--warn", 1.0),
            ("500", "--bad", 1.0),
            ("503", "--bad", 0.65),
            ("no answer", "--idle", 1.0),
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_funnels_bars_are_shares_of_what_was_sent_and_one_event_is_visible() {
        let charts = Charts::of(&history());
        let steps = charts.funnels[0].steps.iter();
        let steps: Vec<_> = steps
            .map(|step| (&*step.name, &*step.width, &*step.share))
            .collect();
        let expected = [
            ("Sent", "50.0", ""),
            ("Delivered", "48.9", "97.7\u{202f}%"),
            ("Opened", "100.0", ""),
            ("Converted", "0.5", "0.1\u{202f}%"),
            ("Clicked", "0", "0.0\u{202f}%"),
        ];
        assert_eq!(steps, expected);
    }

    #[test]
    fn a_sparkline_stays_in_its_box() {
        assert_eq!(sparkline(&[0, 5, 10]), "0.0,16.5 48.0,9.0 96.0,1.5");
        assert_eq!(sparkline(&[0, 0]), "0.0,16.5 96.0,16.5");
        assert_eq!(sparkline(&[]), "");
    }
}
