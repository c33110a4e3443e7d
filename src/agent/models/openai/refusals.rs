//! What a server was found not to take, so that it is asked for once and not with every call.
//!
//! Lost with the process: the next one asks again, at the cost of one refused request.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::agent::Request;
use crate::journal::Hash;
use crate::limits;

/// A parameter that a request can do without.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Parameter {
    /// `background`, of any request.
    Background,
    /// This schema for answers of this model: servers differ in which schemas they take.
    Format(Hash),
}

impl Parameter {
    /// The schema of a request's answer.
    pub(super) fn format_of(request: &Request) -> Self {
        let schema = request.output_schema.as_ref().map_or("", |schema| schema.json());
        Self::Format(Hash::of(request.model.as_bytes()).then(schema.as_bytes()))
    }
}

/// The parameters that one server has refused.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<HashSet<Parameter>>);

impl Refusals {
    pub(super) fn holds(&self, parameter: &Parameter) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(parameter)
    }

    pub(super) fn remember(&self, parameter: &Parameter) {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() >= limits::MODEL_REFUSALS {
            refused.clear();
        }
        refused.insert(parameter.clone());
    }
}
