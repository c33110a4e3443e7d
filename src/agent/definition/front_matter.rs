//! Takes an agent file apart: YAML between two lines `---`, then the system prompt.

use super::document::Problems;

const FENCE: &str = "---";

/// The two parts of an agent file.
#[derive(Debug)]
pub(super) struct Parts<'t> {
    /// The YAML, preceded by one line break in place of the first fence, so that its lines count
    /// as they do in the file.
    pub(super) yaml: &'t str,
    /// The system prompt without the space around it.
    pub(super) prompt: &'t str,
}

/// Splits the text; `None`, and a problem, where there is no front matter.
pub(super) fn split<'t>(text: &'t str, problems: &mut Problems) -> Option<Parts<'t>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let first = text.split_inclusive('\n').next().unwrap_or_default();
    if first.trim_end() != FENCE {
        problems.at(
            1,
            "no front matter; begin the file with a line \"---\", then name, description and \
             other keys, then a line \"---\", then the system prompt",
        );
        return None;
    }
    let mut end = first.len();
    for line in text[first.len()..].split_inclusive('\n') {
        if line.trim_end() == FENCE {
            let yaml = text[..end].trim_start_matches('-');
            return Some(Parts { yaml, prompt: text[end + line.len()..].trim() });
        }
        end += line.len();
    }
    problems.at(1, "the front matter has no end; put a line \"---\" after its last key");
    None
}
