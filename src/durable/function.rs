//! What a runtime runs: code by name.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Context, Left, Past};
use crate::journal::{Failure, Payload};

/// Code that runs durably. See [`Context`] for what it must keep to.
pub trait Function: Send + Sync + 'static {
    /// Runs from the start; what was done before answers from the journal.
    fn run(&self, ctx: Context, input: Payload) -> BoxFuture<'static, Result<Payload, Failure>>;

    /// What completed steps have left running elsewhere, and how to stop it. Called once the task is
    /// to be cancelled and [`Function::run`] was dropped, in whatever process ends the task, and again
    /// where that process dies.
    fn cancelled(&self, _past: &Past) -> Option<Left> {
        None
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
