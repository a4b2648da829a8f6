//! Being built.

use axum::Router;

use crate::process::Process;
use crate::shell::Console;

pub(crate) fn routes<P: Process>() -> Router<Console<P>> {
    Router::new()
}
