//! What happened over the last hour, day and month.

use jiff::Timestamp;
use serde::Serialize;

use super::event::Channel;

/// How far back to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// 60 points of a minute.
    #[default]
    Hour,
    /// 96 points of 15 minutes.
    Day,
    /// 120 points of 6 hours: 30 days.
    Month,
}

impl Span {
    /// All of them, shortest first.
    pub const ALL: [Span; 3] = [Span::Hour, Span::Day, Span::Month];

    /// How many points, and how many minutes each of them stands for.
    pub fn points(self) -> (usize, u64) {
        match self {
            Span::Hour => (60, 1),
            Span::Day => (96, 15),
            Span::Month => (120, 360),
        }
    }

    /// As addresses have it.
    pub fn word(self) -> &'static str {
        match self {
            Span::Hour => "hour",
            Span::Day => "day",
            Span::Month => "month",
        }
    }
}

/// Counts over a span, each series with one number per point, oldest first.
#[derive(Clone, Debug, Serialize)]
pub struct History {
    /// The span.
    pub span: Span,
    /// When the first point begins.
    pub begins_at: Timestamp,
    /// How many seconds a point stands for.
    pub step_s: u64,
    /// Events received (repeats left out), by channel.
    pub channels: Vec<Series>,
    /// Attempts, by what was answered: `200`, `429`, `no answer`.
    pub answers: Vec<Series>,
    /// Time from receipt to acceptance.
    pub latency: Latency,
    /// What became of messages, by channel: only channels with events.
    pub funnels: Vec<ChannelFunnel>,
}

/// One line of a chart.
#[derive(Clone, Debug, Serialize)]
pub struct Series {
    /// What it counts: a channel's word, or a status.
    pub name: String,
    /// One number per point.
    pub counts: Vec<u64>,
}

/// Time from receipt to acceptance, in seconds; none where nothing was accepted.
#[derive(Clone, Debug, Serialize)]
pub struct Latency {
    /// Half were faster.
    pub p50_s: Vec<Option<f64>>,
    /// All but one in a hundred were faster.
    pub p99_s: Vec<Option<f64>>,
}

/// How far messages of a channel came.
#[derive(Clone, Debug, Serialize)]
pub struct ChannelFunnel {
    /// The channel.
    pub channel: Channel,
    /// `sent`, `delivered`, `opened`, `clicked`, `converted`: each metric's events.
    pub steps: Vec<(String, u64)>,
}
