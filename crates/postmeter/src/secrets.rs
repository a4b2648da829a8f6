//! The only place that reads the environment.

/// The environment variable `name`; `None` where it is unset or not UTF-8.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the place that the ban points to"
)]
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
