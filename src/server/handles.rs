//! How many files and sockets the process may hold at once, and how many of them
//! connections may take.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::{Config, ServerSettings};

/// What a thread with a runtime holds.
const OF_A_THREAD: u64 = 4;

/// Ports, log, event file, speech workers, providers' threads and their requests, and some
/// connections.
const OF_THE_REST: u64 = 64;

/// Lets the process hold as many as the system permits it; how many that is.
pub(super) fn raise_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    let limit = if setrlimit(Resource::Nofile, raised).is_ok() { maximum } else { current };
    limit.unwrap_or(u64::MAX)
}

/// How many an engine needs at least.
pub(super) fn needed(server: &ServerSettings, threads: impl Fn(usize) -> usize) -> u64 {
    let media = threads(server.media_threads);
    let http = threads(server.http_threads);
    let count = media + 2 * http + server.service_threads;
    OF_THE_REST + OF_A_THREAD * u64::try_from(count).unwrap_or(u64::MAX / OF_A_THREAD)
}

/// How many connections there may be when the engine itself holds all it needs.
pub(super) fn connections_max(config: &Config, limit: u64) -> usize {
    match config.limits.connections_max as usize {
        0 => three_quarters(limit.saturating_sub(held())),
        configured => configured,
    }
}

/// The rest is for requests to providers, of which a call may have several.
fn three_quarters(free: u64) -> usize {
    usize::try_from((free / 4 * 3).max(1)).unwrap_or(usize::MAX)
}

/// How many the process holds now.
fn held() -> u64 {
    std::fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_threads_need_more_handles() {
        let settings = ServerSettings { media_threads: 2, ..ServerSettings::default() };
        let threads = |configured| if configured == 0 { 8 } else { configured };
        assert_eq!(needed(&settings, threads), 64 + 4 * (2 + 2 * 8 + 1));
    }

    #[test]
    fn connections_get_what_is_configured_or_most_of_what_is_free() {
        let mut config = Config::default();
        let free = connections_max(&config, 100_000);
        assert!((70_000..75_000).contains(&free), "{free}");
        assert_eq!(connections_max(&config, 0), 1);
        config.limits.connections_max = 7;
        assert_eq!(connections_max(&config, 100_000), 7);
    }
}
