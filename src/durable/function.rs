//! What a runtime runs: code by name.

use std::collections::HashMap;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Context, Left, Past};
use crate::journal::{Failure, History, Payload};

/// Code that runs durably. See [`Context`] for what it must keep to.
pub trait Function: Send + Sync + 'static {
    /// Runs from the start; what was done before answers from the journal.
    fn run(&self, ctx: Context, input: Payload) -> BoxFuture<'static, Result<Payload, Failure>>;

    /// What completed steps have left running elsewhere, and how to stop it. Called once the task is
    /// cancelled, out of time or failed and [`Function::run`] is over, in whatever process ends the
    /// task, and again where that process dies.
    fn cancelled(&self, _past: &Past) -> Option<Left> {
        None
    }

    /// What a task of this function that ended without telling it (cancelled, out of time, stopped)
    /// has to tell the one that started it: the details of its failure there. `below` is the same of
    /// its own children, by their steps, where their outcomes do not tell; of those that have not
    /// ended yet, too.
    fn account(&self, _history: &History, _below: &HashMap<String, Payload>) -> Option<Payload> {
        None
    }

    /// The steps whose own outcome leaves in doubt whether they took effect, and of which it is known
    /// by now: whether they did, by their keys. Looked at when the task is ended from outside, for
    /// what people are told.
    fn settled(&self, _history: &History) -> HashMap<String, bool> {
        HashMap::new()
    }
}

/// An `async fn` that reads its input and writes its output.
struct Typed<F, In>(F, PhantomData<fn(In)>);

impl<F, In> Typed<F, In> {
    fn new(code: F) -> Self {
        Self(code, PhantomData)
    }
}

impl<F, In, Out, Fut> Function for Typed<F, In>
where
    F: Fn(Context, In) -> Fut + Send + Sync + 'static,
    In: DeserializeOwned + Send + 'static,
    Out: Serialize + Send + 'static,
    Fut: Future<Output = Result<Out, Failure>> + Send + 'static,
{
    fn run(&self, ctx: Context, input: Payload) -> BoxFuture<'static, Result<Payload, Failure>> {
        let input = input.read::<In>();
        let call = input.map(|input| (self.0)(ctx, input));
        Box::pin(async move {
            let call = call.map_err(|error| {
                Failure::is_final(format!("the input is not what the function takes: {error}"))
            })?;
            let output = call.await?;
            Payload::of(&output)
                .map_err(|error| Failure::is_final(format!("the result has no JSON form: {error}")))
        })
    }
}

/// An ordinary `async fn(Context, In) -> Result<Out, Failure>` as a [`Function`].
pub fn function<F, In, Out, Fut>(code: F) -> Arc<dyn Function>
where
    F: Fn(Context, In) -> Fut + Send + Sync + 'static,
    In: DeserializeOwned + Send + 'static,
    Out: Serialize + Send + 'static,
    Fut: Future<Output = Result<Out, Failure>> + Send + 'static,
{
    Arc::new(Typed::new(code))
}
