//! What models cost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Usage;

/// The price of one model, in micro-dollars per million tokens: a dollar per million tokens is
/// 1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Tokens in.
    pub input: u64,
    /// Tokens out.
    pub output: u64,
    /// Tokens in that came from the provider's cache.
    pub cached: u64,
}

impl Price {
    /// The cost of one call in micro-dollars, rounded up: a budget never passes because of
    /// fractions.
    pub fn cost(&self, usage: &Usage) -> u64 {
        let cached = usage.cached_tokens.min(usage.input_tokens);
        let cost = u128::from(usage.input_tokens - cached) * u128::from(self.input)
            + u128::from(cached) * u128::from(self.cached)
            + u128::from(usage.output_tokens) * u128::from(self.output);
        u64::try_from(cost.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

/// Prices by model. `openai:NAME`, `openai-responses:NAME` and plain `NAME` are the same model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prices(BTreeMap<String, Price>);

impl Prices {
    /// The price of a model by its name in an agent's file.
    pub fn of(&self, model: &str) -> Option<&Price> {
        self.0.get(plain(model))
    }

    /// The prices of these models alone, for a task to be pinned to.
    #[must_use]
    pub fn only(&self, models: &[String]) -> Self {
        let names: Vec<_> = models.iter().map(|model| plain(model)).collect();
        let kept = self.0.iter().filter(|(model, _)| names.contains(&model.as_str()));
        Self(kept.map(|(model, price)| (model.clone(), *price)).collect())
    }

    /// These prices and more; of two for one model the later stands.
    #[must_use]
    pub fn and(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }

    /// The cost of one call in micro-dollars; `None` where the model has no price, which is not
    /// zero. Replies from a file cost nothing.
    pub fn cost(&self, model: &str, usage: &Usage) -> Option<u64> {
        if model.starts_with("script:") {
            return Some(0);
        }
        self.of(model).map(|price| price.cost(usage))
    }
}

impl FromIterator<(String, Price)> for Prices {
    fn from_iter<I: IntoIterator<Item = (String, Price)>>(prices: I) -> Self {
        Self(prices.into_iter().map(|(model, price)| (plain(&model).to_owned(), price)).collect())
    }
}

pub(super) fn plain(model: &str) -> &str {
    let apis = ["openai:", "openai-responses:"];
    apis.iter().find_map(|api| model.strip_prefix(api)).unwrap_or(model)
}
