//! "Did you mean": the name nearest to a misspelt one.

/// The candidate most like `found`. A common beginning counts most: people
/// abbreviate, and they slip at the end.
pub(super) fn nearest<'a>(
    found: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let likeness = |candidate: &str| strsim::jaro_winkler(found, candidate);
    candidates.into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

/// The path whose last part is most like `key`. One of the same section is
/// preferred, unless another section has just this key: then it was misplaced.
pub(super) fn nearest_path<'a>(section: &str, key: &str, paths: &[&'a str]) -> Option<&'a str> {
    let likeness = |path: &str| {
        let (parent, last) = path.rsplit_once('.').unwrap_or(("", path));
        let elsewhere = if parent == section { 0.0 } else { UNLIKENESS_ELSEWHERE };
        strsim::jaro_winkler(key, last) - elsewhere
    };
    paths.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

/// What it costs a path to be in another section, on the scale of 0 to 1.
const UNLIKENESS_ELSEWHERE: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;

    const PATHS: [&str; 4] = ["server", "server.http", "limits.calls_max", "limits.idle_ms_max"];

    #[test]
    fn a_slip_of_the_pen_finds_its_neighbour() {
        assert_eq!(nearest_path("server", "htpp", &PATHS), Some("server.http"));
        assert_eq!(nearest_path("", "sever", &PATHS), Some("server"));
    }

    #[test]
    fn a_key_in_the_wrong_section_finds_the_right_one() {
        assert_eq!(nearest_path("server", "calls_max", &PATHS), Some("limits.calls_max"));
    }
}
