//! The pages on the private listener: everything a person sees and sets.
//!
//! Pages are rendered on the server from snapshots ([`seen`]) and need no script
//! but for their live parts. What they show and do is behind one trait
//! ([`Process`]), so the console knows nothing of how events travel. Whoever has
//! not shown the server's token gets the log-in form for an answer, whatever the
//! address ([`Access`]); every change carries a token of its session.
//!
//! Event bodies are hostile input. They reach a page only through a template that
//! escapes, and the content security policy allows no script but our own files.

mod access;
mod assets;
mod compare;
mod form;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod pages;
mod process;
pub mod seen;
mod shell;
// Apart, since the lints know test code by a plain `cfg(test)`.
#[cfg(test)]
mod trying;
#[cfg(all(fuzzing, not(test)))]
#[expect(dead_code, reason = "only tests need all of it")]
mod trying;
mod words;

use axum::Router;

pub use access::Access;
pub use pages::event::{Telling, tell};
pub use process::{Look, NotChanged, Process, Standing, TestSent, Trouble, Which};

/// The console's routes. Each asks for a session, which the token begins.
pub fn router<P: Process>(process: P, access: Access) -> Router {
    let console = shell::Console { process };
    let pages = pages::routes::<P>().merge(assets::routes());
    access::guarded(pages, access).with_state(console)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use tower::ServiceExt as _;

    use super::*;
    use crate::trying::{Scene, TOKEN, Trial};

    fn console() -> Router {
        router(Trial::of(Scene::busy()), Access::new(TOKEN))
    }

    #[tokio::test]
    async fn without_a_session_every_address_answers_with_the_log_in_form() {
        for path in [
            "/",
            "/connections",
            "/assets/0/console.css",
            "/nowhere",
            "/live/overview",
        ] {
            let asked = Request::get(path).body(Body::empty()).unwrap();
            let answered = console().oneshot(asked).await.unwrap();
            assert_eq!(answered.status(), StatusCode::UNAUTHORIZED, "{path}");
        }
    }

    #[tokio::test]
    async fn a_form_without_its_sessions_word_changes_nothing() {
        let trial = Trial::of(Scene::busy());
        for word in [None, Some(""), Some("a guess")] {
            let answered = trial.post_with("/logout", word, &[]).await;
            assert_eq!(answered.status, StatusCode::FORBIDDEN, "{word:?}");
        }
        let answered = trial.post("/logout", &[]).await;
        assert_eq!(answered.status, StatusCode::SEE_OTHER);
    }
}
