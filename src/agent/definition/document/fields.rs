//! A map read by its known keys.

use std::ops::RangeInclusive;

use super::node::Entry;
use super::{Node, Problems, Value};
use crate::agent::duration::duration_ms;
use crate::agent::nearest::nearest;

/// The entries of a map whose keys are all known.
///
/// Every reader answers `None` where the key is absent, and also where its value is wrong; then it
/// has added a problem.
#[derive(Debug)]
pub(crate) struct Fields<'n> {
    /// What stands before the key in a message: `budget.`, or nothing at the top.
    prefix: String,
    entries: &'n [Entry],
}

impl<'n> Fields<'n> {
    /// Opens a map and complains of every key that is not among `keys`. `path` names the map in
    /// messages; it is empty at the top of a file.
    pub(crate) fn open(
        node: &'n Node,
        path: &str,
        keys: &[&str],
        problems: &mut Problems,
    ) -> Option<Self> {
        let fields = Self::open_any(node, path, keys, problems)?;
        fields.refuse_others(keys, problems);
        Some(fields)
    }

    fn refuse_others(&self, keys: &[&str], problems: &mut Problems) {
        for Entry { key, line, .. } in self.entries {
            if !keys.contains(&key.as_str()) {
                problems.at(*line, unknown_key(key, keys));
            }
        }
    }

    /// Opens a map that may hold keys which are not ours, as files shared with other programs do.
    pub(crate) fn open_any(
        node: &'n Node,
        path: &str,
        keys: &[&str],
        problems: &mut Problems,
    ) -> Option<Self> {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
        match &node.value {
            Value::Map(entries) => Some(Self { prefix, entries }),
            _ if path.is_empty() => {
                let (keys, found) = (keys.join(", "), node.describe());
                problems.at(node.line, format!("expected the keys {keys}, not {found}"));
                None
            }
            _ => {
                problems.wrong(path, &format!("a map of {}", keys.join(", ")), node);
                None
            }
        }
    }

    /// The key as messages name it.
    pub(crate) fn name(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The line of a key.
    pub(crate) fn line(&self, key: &str) -> Option<u64> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| entry.line)
    }

    /// Text that is not blank.
    pub(crate) fn text(&self, key: &str, problems: &mut Problems) -> Option<&'n str> {
        self.read(key, "text", problems, |node| match &node.value {
            Value::Text(text) if !text.trim().is_empty() => Some(text.as_str()),
            _ => None,
        })
    }

    /// A whole number within a range.
    pub(crate) fn whole(
        &self,
        key: &str,
        range: RangeInclusive<u64>,
        problems: &mut Problems,
    ) -> Option<u64> {
        let what = if *range.end() == u64::MAX {
            format!("a whole number of at least {}", range.start())
        } else {
            format!("a whole number from {} to {}", range.start(), range.end())
        };
        self.read(key, &what, problems, |node| match &node.value {
            Value::Number(number) => number.as_u64().filter(|number| range.contains(number)),
            _ => None,
        })
    }

    /// A number within a range.
    pub(crate) fn number(
        &self,
        key: &str,
        range: RangeInclusive<f64>,
        problems: &mut Problems,
    ) -> Option<f64> {
        let what = format!("a number from {} to {}", range.start(), range.end());
        self.read(key, &what, problems, |node| match &node.value {
            Value::Number(number) => number.as_f64().filter(|number| range.contains(number)),
            _ => None,
        })
    }

    /// An amount of dollars, in micro-dollars.
    pub(crate) fn dollars(
        &self,
        key: &str,
        at_least: u64,
        what: &str,
        problems: &mut Problems,
    ) -> Option<u64> {
        self.read(key, what, problems, |node| match &node.value {
            Value::Number(number) => {
                let micros = (number.as_f64()? * 1e6).round();
                // Above 2^53 an f64 does not hold every whole number any more.
                let fits = (at_least as f64..=(1_u64 << 53) as f64).contains(&micros);
                fits.then_some(micros as u64)
            }
            _ => None,
        })
    }

    /// A duration such as `10m`, `2h` or `7d`, in milliseconds, at least one.
    pub(crate) fn duration_ms(&self, key: &str, problems: &mut Problems) -> Option<u64> {
        self.read(key, "a duration such as 30s, 10m, 2h or 7d", problems, |node| {
            let Value::Text(text) = &node.value else { return None };
            duration_ms(text)
        })
    }

    fn read<T>(
        &self,
        key: &str,
        what: &str,
        problems: &mut Problems,
        read: impl FnOnce(&'n Node) -> Option<T>,
    ) -> Option<T> {
        let node = self.get(key)?;
        let value = read(node);
        if value.is_none() {
            problems.wrong(&self.name(key), what, node);
        }
        value
    }
}

fn unknown_key(key: &str, keys: &[&str]) -> String {
    match nearest(key, keys.iter().copied()) {
        Some(near) => format!("unknown key {key:?}; did you mean {near:?}?"),
        None => format!("unknown key {key:?}; the keys here are {}", keys.join(", ")),
    }
}
