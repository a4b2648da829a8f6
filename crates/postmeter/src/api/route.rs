//! One list says which routes there are: the router is built from it, and a test
//! holds the OpenAPI document to it.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{self, MethodRouter};

use super::Api;

/// A method and a path, and who answers.
pub(super) struct Route {
    /// In lowercase, as the document has it.
    #[cfg_attr(not(test), expect(dead_code, reason = "the test compares it"))]
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    answers: MethodRouter<Api>,
}

/// Makes a [`Route`] of a method, so that what is said and what is done are one.
macro_rules! method {
    ($name:ident) => {
        pub(super) fn $name<H, T>(path: &'static str, handler: H) -> Route
        where
            H: Handler<T, Api>,
            T: 'static,
        {
            Route {
                method: stringify!($name),
                path,
                answers: routing::$name(handler),
            }
        }
    };
}

method!(get);
method!(put);
method!(post);
method!(patch);
method!(delete);

impl Route {
    /// The same route for bodies of at most `bytes`.
    pub(super) fn with_body_limit(self, bytes: usize) -> Route {
        let limit = axum::extract::DefaultBodyLimit::max(bytes);
        Route {
            answers: self.answers.layer(limit),
            ..self
        }
    }
}

/// A router that answers on these routes.
pub(super) fn router(routes: Vec<Route>) -> Router<Api> {
    let add = |router: Router<Api>, route: Route| router.route(route.path, route.answers);
    routes.into_iter().fold(Router::new(), add)
}
