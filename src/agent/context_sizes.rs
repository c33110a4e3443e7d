//! How many tokens models can read.

use std::collections::BTreeMap;

use super::prices::plain;
use crate::limits;

/// How many tokens each model can read, by its name. `openai:NAME`, `openai-responses:NAME` and plain
/// `NAME` are the same model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContextSizes(BTreeMap<String, u64>);

impl ContextSizes {
    /// How many tokens all of these models can read: any of them may have to read the conversation.
    /// `None` where nothing is known of any of them.
    pub fn of_all(&self, models: &[String]) -> Option<u64> {
        let known = models.iter().map(|model| self.0.get(plain(model)).copied());
        let known: Vec<Option<u64>> = known.collect();
        known.iter().any(Option::is_some).then_some(())?;
        known.into_iter().map(|size| size.unwrap_or(limits::CONTEXT_TOKENS)).min()
    }
}

impl FromIterator<(String, u64)> for ContextSizes {
    fn from_iter<I: IntoIterator<Item = (String, u64)>>(sizes: I) -> Self {
        Self(sizes.into_iter().map(|(model, size)| (plain(&model).to_owned(), size)).collect())
    }
}
