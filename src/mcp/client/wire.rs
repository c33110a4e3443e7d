//! Facts about a connection that decide what a lost call means, and that rmcp does not tell:
//! whether a request had been handed to the transport, that the other side is gone, that we go.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rmcp::RoleClient;
use rmcp::model::{GetExtensions, JsonRpcMessage};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use tokio_util::sync::CancellationToken;

/// Put into a request's extensions, which never leave the process: set once the transport has the
/// request, so that from then on it may have reached the server.
#[derive(Clone, Default)]
pub(super) struct Handed(Arc<AtomicBool>);

impl Handed {
    /// The mark of a request, where it has one.
    pub(super) fn of(message: &TxJsonRpcMessage<RoleClient>) -> Option<Self> {
        match message {
            JsonRpcMessage::Request(request) => request.request.extensions().get().cloned(),
            _ => None,
        }
    }

    pub(super) fn over(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// For a transport that knows that the request has not left it.
    pub(super) fn take_back(&self) {
        self.0.store(false, Ordering::Release);
    }
}

/// A transport that keeps these facts.
pub(super) struct Wire<T> {
    inner: T,
    ended: CancellationToken,
    closing: CancellationToken,
}

impl<T> Wire<T> {
    /// `ended` is cancelled when nothing more can be received, before rmcp has cleaned up. Once
    /// `closing` is, nothing is answered any more: rmcp would have every open question put away,
    /// which the next process is to be asked.
    pub(super) fn new(inner: T, ended: CancellationToken, closing: CancellationToken) -> Self {
        Self { inner, ended, closing }
    }
}

impl<T: Transport<RoleClient>> Transport<RoleClient> for Wire<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), T::Error>> + Send + 'static {
        if let Some(handed) = Handed::of(&message) {
            handed.0.store(true, Ordering::Release);
        }
        let is_answer = matches!(message, JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_));
        let is_kept_back = is_answer && self.closing.is_cancelled();
        let sending = (!is_kept_back).then(|| self.inner.send(message));
        async move {
            match sending {
                Some(sending) => sending.await,
                None => Ok(()),
            }
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        let message = self.inner.receive().await;
        if message.is_none() {
            self.ended.cancel();
        }
        message
    }

    fn close(&mut self) -> impl Future<Output = Result<(), T::Error>> + Send {
        self.ended.cancel();
        self.inner.close()
    }
}
