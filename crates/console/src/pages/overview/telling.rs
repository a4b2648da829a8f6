//! The overview in sentences: whether anything is stuck, what happens by itself,
//! and what a person must do.
//!
//! Facts in, words out. It knows nothing of how a page looks.

use crate::form::encoded;
use crate::seen::{ConnectionSeen, LineState, Overview, WorkspaceSeen, WorkspaceState};
use crate::words;

/// Connections of one kind that are named one by one; the rest are counted.
const MOST_NAMED: usize = 3;

/// What the overview says before it shows any figure.
#[derive(Debug)]
pub(super) struct Telling {
    /// The answer to the page's question, as a sentence.
    pub(super) title: String,
    /// What happens by itself, and what a person must do.
    pub(super) lede: Vec<Sentence>,
    /// What is wrong, or stays wrong by decision, with the one link that mends it.
    pub(super) notes: Vec<Note>,
}

/// A sentence or two, about something with a name.
#[derive(Debug, Default)]
pub(super) struct Sentence {
    /// The name, which begins it.
    pub(super) about: Option<String>,
    /// How it goes on.
    pub(super) text: String,
    /// A reason in somebody else's words.
    pub(super) reason: Option<String>,
    /// What follows from it.
    pub(super) then: String,
    /// Where to go.
    pub(super) link: Option<Link>,
}

/// A warning: what is wrong, what happens meanwhile, until when, what mends it.
#[derive(Debug, Default)]
pub(super) struct Note {
    pub(super) class: &'static str,
    pub(super) strong: String,
    pub(super) text: String,
    pub(super) link: Option<Link>,
}

/// A link, with words that say what is behind it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) to: String,
    pub(super) words: &'static str,
}

impl Link {
    fn to(path: impl Into<String>, words: &'static str) -> Link {
        let to = path.into();
        Link { to, words }
    }
}

pub(super) fn connection_path(name: &str) -> String {
    format!("/connections/{}", encoded(name))
}

pub(super) fn workspace_path(name: &str) -> String {
    format!("/workspaces/{}", encoded(name))
}

/// Says how everything is.
pub(super) fn tell(seen: &Overview) -> Telling {
    Telling {
        title: title(seen),
        lede: lede(seen),
        notes: super::noting::notes(seen),
    }
}

fn title(seen: &Overview) -> String {
    if let Some(title) = refusing(&seen.journal.health) {
        return title.to_owned();
    }
    if seen.workspaces.is_empty() {
        return "Nothing is set up yet.".to_owned();
    }
    let stuck = stuck(seen);
    if !stuck.is_empty() {
        let assured = if any_dropped(seen) {
            "."
        } else {
            "; nothing is lost."
        };
        return capitalised(&joined(&stuck)) + assured;
    }
    if seen.connections.is_empty() {
        return "Events are kept, and sent nowhere yet.".to_owned();
    }
    if seen.dead_letters > 0 {
        let n = words::few(seen.dead_letters, "event", "events");
        let kept = if seen.dead_letters == 1 {
            "it is"
        } else {
            "they are"
        };
        return format!("{} could not be delivered; {kept} kept.", capitalised(&n));
    }
    flowing(seen)
}

fn flowing(seen: &Overview) -> String {
    let unconfirmed = all_in(seen, LineState::Unconfirmed).count();
    let held = |one: &ConnectionSeen| matches!(one.state, LineState::Paused | LineState::Disabled);
    let silent = |one: &WorkspaceSeen| one.state == WorkspaceState::Silent;
    if seen.connections.iter().all(held) {
        "Nothing is sent: every connection is paused or disabled.".to_owned()
    } else if unconfirmed > 0 {
        let n = words::few(unconfirmed as u64, "connection", "connections");
        let verb = if unconfirmed == 1 { "waits" } else { "wait" };
        format!(
            "{} {verb} for you to confirm a test event.",
            capitalised(&n)
        )
    } else if seen.workspaces.iter().all(silent) {
        "Ready; Customer.io has sent nothing yet.".to_owned()
    } else if all_in(seen, LineState::CatchingUp).any(|one| one.oldest_s > 60.0) {
        "Events are being caught up with; nothing is stuck.".to_owned()
    } else {
        "Everything flows.".to_owned()
    }
}

/// How the title begins while the journal takes no events.
fn refusing(health: &str) -> Option<&'static str> {
    match health {
        "healthy" => None,
        "full" => Some("The journal is full; Customer.io keeps new events back."),
        "no space" => Some("The journal's disk is full; Customer.io keeps new events back."),
        "failing" => Some("The journal cannot write; Customer.io keeps new events back."),
        "unproven" => Some("The cluster does not prove that it keeps events, so it takes none."),
        "poisoned" => Some("The journal needs a restart; Customer.io keeps new events back."),
        _ => Some("The journal takes no events; Customer.io keeps them back."),
    }
}

/// What is stuck, the worst first.
fn stuck(seen: &Overview) -> Vec<String> {
    let mut facts = Vec::new();
    let dropped: Vec<_> = holding(seen).filter(|one| is_dropped(one, seen)).collect();
    let held: Vec<_> = holding(seen).filter(|one| !is_dropped(one, seen)).collect();
    if !dropped.is_empty() {
        facts.push(format!(
            "Customer.io has begun to drop events of {}",
            whose(&dropped)
        ));
    }
    if !held.is_empty() {
        facts.push(format!("Customer.io holds back events of {}", whose(&held)));
    }
    match seen.unanswered.as_slice() {
        [] => {}
        [one] => facts.push(format!("node {one} does not answer")),
        many => facts.push(format!(
            "{} nodes do not answer",
            words::few_of(many.len() as u64)
        )),
    }
    match all_in(seen, LineState::Waiting).count() {
        0 => {}
        1 => facts.push("one connection is waiting".to_owned()),
        n => facts.push(format!(
            "{} connections are waiting",
            words::few_of(n as u64)
        )),
    }
    facts
}

fn whose(workspaces: &[&WorkspaceSeen]) -> String {
    match workspaces {
        [one] => one.name.clone(),
        many => format!("{} workspaces", words::few_of(many.len() as u64)),
    }
}

pub(super) fn holding(seen: &Overview) -> impl Iterator<Item = &WorkspaceSeen> {
    let holds = |one: &&WorkspaceSeen| matches!(one.state, WorkspaceState::Holding { .. });
    seen.workspaces.iter().filter(holds)
}

pub(super) fn is_dropped(workspace: &WorkspaceSeen, seen: &Overview) -> bool {
    matches!(workspace.state, WorkspaceState::Holding { drops_at, .. } if drops_at <= seen.at)
}

fn any_dropped(seen: &Overview) -> bool {
    holding(seen).any(|one| is_dropped(one, seen))
}

fn all_in(seen: &Overview, state: LineState) -> impl Iterator<Item = &ConnectionSeen> {
    seen.connections
        .iter()
        .filter(move |one| one.state == state)
}

fn lede(seen: &Overview) -> Vec<Sentence> {
    let mut lede = Vec::new();
    lede.extend(on_refusing(seen));
    if seen.workspaces.is_empty() {
        lede.push(plain(
            "Postmeter is running. Two steps make it carry events.",
        ));
        return lede;
    }
    if holding(seen).next().is_some() {
        lede.push(plain(
            "Customer.io tries the refused event again by itself, and keeps all that is behind it \
             until it is taken; the notes below say what mends that.",
        ));
    }
    named(&mut lede, seen, LineState::Waiting, |one| {
        Some(on_waiting(one))
    });
    if !seen.unanswered.is_empty() {
        lede.push(plain(
            "Other nodes take over its work within seconds; a connection that cannot be asked \
             about meanwhile is shown as unknown.",
        ));
    }
    if seen.connections.is_empty() {
        let mut connect =
            plain("Every event is on disk. Connect Segment, and choose what goes there.");
        connect.link = Some(Link::to("/connect", "Connect Segment"));
        lede.push(connect);
    }
    lede.extend(on_dead_letters(seen));
    named(&mut lede, seen, LineState::Unconfirmed, |one| {
        Some(on_unconfirmed(one))
    });
    named(&mut lede, seen, LineState::Paused, |one| {
        on_held(one, "is paused")
    });
    named(&mut lede, seen, LineState::CatchingUp, on_catching_up);
    if lede.is_empty() {
        lede.push(on_nothing(seen));
    }
    lede
}

/// Adds a sentence for each of the first connections in `state`, and a count of the rest.
fn named(
    lede: &mut Vec<Sentence>,
    seen: &Overview,
    state: LineState,
    say: impl Fn(&ConnectionSeen) -> Option<Sentence>,
) {
    let said: Vec<Sentence> = all_in(seen, state).filter_map(say).collect();
    let more = said.len().saturating_sub(MOST_NAMED);
    lede.extend(said.into_iter().take(MOST_NAMED));
    if more > 0 {
        lede.push(plain(format!(
            "So it is with {} more.",
            words::few_of(more as u64)
        )));
    }
}

fn plain(text: impl Into<String>) -> Sentence {
    Sentence {
        text: text.into(),
        ..Sentence::default()
    }
}

fn on_refusing(seen: &Overview) -> Option<Sentence> {
    refusing(&seen.journal.health)?;
    let (then, words) = match seen.journal.health.as_str() {
        "full" => (
            "Records that every connection has settled make room by themselves: mend the \
             connection that waits, or give the journal more room.",
            "Journal",
        ),
        "no space" => (
            "What is settled makes room by itself; look at what else is on the disk. Events are \
             taken again without a restart.",
            "Journal",
        ),
        "failing" => (
            "The next write is tried by itself; look at the disk.",
            "Journal",
        ),
        "unproven" => (
            "Events are taken again by themselves once it is proven.",
            "Durability",
        ),
        _ => (
            "Restart the server: it recovers all that was acknowledged.",
            "Journal",
        ),
    };
    Some(Sentence {
        about: None,
        text: "Events are answered 503; Customer.io keeps them in order and tries again for seven days"
            .to_owned(),
        reason: seen.journal.reason.clone(),
        then: then.to_owned(),
        link: Some(Link::to("/settings", words)),
    })
}

fn on_waiting(one: &ConnectionSeen) -> Sentence {
    let events = words::counted(one.lag_records, "event", "events");
    let (stay, go) = if one.lag_records == 1 {
        ("is", "it goes")
    } else {
        ("are", "they go")
    };
    let by_hand = match one.attempts.first().and_then(|attempt| attempt.status) {
        Some(401 | 403) => " once its write key is right",
        Some(404 | 405) => " once its address is right",
        _ => " by themselves as soon as it can",
    };
    Sentence {
        about: Some(one.name.clone()),
        text: " waits".to_owned(),
        reason: one.reason.clone(),
        then: format!(
            "{events} {stay} kept, the oldest for {}; {go} out{by_hand}.",
            words::span(one.oldest_s)
        ),
        link: Some(Link::to(connection_path(&one.name), "See its attempts")),
    }
}

fn on_dead_letters(seen: &Overview) -> Option<Sentence> {
    let letters = words::counted(seen.dead_letters, "dead letter is", "dead letters are");
    (seen.dead_letters > 0).then(|| Sentence {
        text: format!("{letters} kept with the reason until you retry or discard."),
        link: Some(Link::to("/dead-letters", "Dead letters")),
        ..Sentence::default()
    })
}

fn on_unconfirmed(one: &ConnectionSeen) -> Sentence {
    Sentence {
        about: Some(one.name.clone()),
        text: " sends, but nobody has seen an event arrive: Segment answers 200 even to a wrong write key."
            .to_owned(),
        link: Some(Link::to(connection_path(&one.name), "Send a test event")),
        ..Sentence::default()
    }
}

fn on_held(one: &ConnectionSeen, how: &str) -> Option<Sentence> {
    let events = words::counted(one.lag_records, "event", "events");
    (one.lag_records > 0).then(|| Sentence {
        about: Some(one.name.clone()),
        text: format!(" {how} and keeps its place; {events} wait until you resume it."),
        link: Some(Link::to(connection_path(&one.name), "Open it")),
        ..Sentence::default()
    })
}

fn on_catching_up(one: &ConnectionSeen) -> Option<Sentence> {
    let events = words::counted(one.lag_records, "event", "events");
    let behind = words::span(one.oldest_s);
    (one.oldest_s > 60.0).then(|| Sentence {
        about: Some(one.name.clone()),
        text: format!(" is {behind} behind and sends {events} as fast as Segment takes them."),
        ..Sentence::default()
    })
}

fn on_nothing(seen: &Overview) -> Sentence {
    let coming: f64 = seen.workspaces.iter().map(|one| one.rate_per_s).sum();
    let waiting = seen.connections.iter().filter(|one| one.lag_records > 0);
    let oldest = waiting.map(|one| one.oldest_s).fold(0.0, f64::max);
    if seen
        .workspaces
        .iter()
        .all(|one| one.state == WorkspaceState::Silent)
    {
        let first = seen.workspaces.first();
        return Sentence {
            text: "Paste the webhook's address into Customer.io, if you have not yet.".to_owned(),
            link: first.map(|one| Link::to(workspace_path(&one.name), "Show the address")),
            ..Sentence::default()
        };
    }
    let waits = if oldest > 0.0 {
        format!("what waits is {} old at most", words::span(oldest))
    } else {
        "nothing waits".to_owned()
    };
    let coming = words::rate(coming);
    plain(format!(
        "Events come in at {coming}, and {waits}. There is nothing to do."
    ))
}

fn joined(facts: &[String]) -> String {
    match facts.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + chars.as_str()
}
