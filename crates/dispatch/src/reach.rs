//! Knocks at an endpoint: whether its name, its port, its certificate and a server
//! behind them are there, for somebody who looks for what is wrong.
//!
//! No write key and no event leave with it, so it says nothing of whether calls
//! would be taken: only a test event that is seen to arrive does.

use std::time::{Duration, Instant};

use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::DATE;

use crate::line::Line;
use crate::post::{causes, explain};
use crate::{Endpoint, Policy};

/// A server's stamp is cut to the second: on the average it is half of one older.
const HALF_A_SECOND: SignedDuration = SignedDuration::from_millis(500);

/// What an endpoint said to a request for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The answer's status. Any of them shows that a server answers.
    pub status: u16,
    /// How long it took, connecting included.
    pub took: Duration,
    /// How far this machine's clock is ahead of the server's, to the second or so;
    /// none where the answer bears no date.
    pub ahead: Option<SignedDuration>,
}

/// Why nothing answered, in words that a person understands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Unreached {
    /// How far the request came.
    pub obstacle: Obstacle,
    /// What happened there.
    pub what: String,
}

/// Where the way to an endpoint ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// No request could be made on this machine.
    Here,
    /// The host's name has no address.
    Name,
    /// Nobody takes the connection.
    Connect,
    /// The other side shows a certificate that is not trusted.
    Certificate,
    /// The other side does not speak TLS as we do.
    Secure,
    /// The connection is there, and no answer comes.
    Silence,
    /// The connection broke.
    Break,
}

/// Asks `endpoint` for its front page, of which only the head is read, within the times
/// and by the proxies of `policy`.
///
/// # Errors
///
/// Where the way ended.
pub async fn reach(endpoint: &Endpoint, policy: &Policy) -> Result<Reached, Unreached> {
    let line = Line::new(endpoint, policy.clone()).map_err(|error| Unreached {
        obstacle: Obstacle::Here,
        what: match std::error::Error::source(&error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    })?;
    let (begun, begun_at) = (Instant::now(), Timestamp::now());
    let answer = line.client().get(endpoint.as_str()).send().await;
    let answer = answer.map_err(|error| Unreached {
        obstacle: obstacle(&error),
        what: explain(&error, endpoint, policy),
    })?;
    let took = begun.elapsed();
    let date = answer.headers().get(DATE);
    let date = date.and_then(|date| date.to_str().ok());
    let middle = begun_at.checked_add(took / 2).unwrap_or(begun_at);
    Ok(Reached {
        status: answer.status().as_u16(),
        took,
        ahead: date.and_then(|date| ahead(middle, date)),
    })
}

/// How far `now` is ahead of a server's date.
fn ahead(now: Timestamp, date: &str) -> Option<SignedDuration> {
    let theirs = rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    Some(now.duration_since(theirs) - HALF_A_SECOND)
}

fn obstacle(error: &reqwest::Error) -> Obstacle {
    if error.is_dns() {
        return Obstacle::Name;
    }
    match (error.is_connect(), error.is_timeout()) {
        (true, true) => Obstacle::Connect,
        (false, true) => Obstacle::Silence,
        (false, false) => Obstacle::Break,
        (true, false) => match causes(error).find_map(|cause| cause.downcast_ref()) {
            Some(rustls::Error::InvalidCertificate(_)) => Obstacle::Certificate,
            Some(_) => Obstacle::Secure,
            None => Obstacle::Connect,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_compared_to_the_second() {
        let now: Timestamp = "1994-11-15T08:14:31.500Z".parse().unwrap();
        let date = "Tue, 15 Nov 1994 08:12:31 GMT";
        assert_eq!(ahead(now, date), Some(SignedDuration::from_mins(2)));
        assert_eq!(ahead(now, "yesterday"), None);
    }
}
