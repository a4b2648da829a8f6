//! The only place that reads the environment, where secrets are and where a service
//! manager writes. (The sockets it passes are taken by `listenfd`, which reads their number.)

/// What this machine calls itself, if it says so.
pub(crate) fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.map(|name| name.trim().to_owned());
    name.filter(|name| !name.is_empty())
}

/// The environment variable `name`; `None` where it is unset or not UTF-8.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the place that the ban points to"
)]
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
