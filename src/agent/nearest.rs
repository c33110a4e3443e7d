//! Guesses what a misspelled name was meant to be.

/// A name this similar to a known one (Jaro-Winkler, 1 is equal) is taken for a misspelling of it.
const SIMILAR: f64 = 0.75;

/// The name that was most likely meant, where one is near enough to be worth a question. Case, `_`
/// and `-` count for nothing.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let plain = |text: &str| text.replace(['_', '-'], "").to_lowercase();
    let name = plain(name);
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&name, &plain(candidate)), candidate))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
