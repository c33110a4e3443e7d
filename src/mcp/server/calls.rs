//! The `tools/call` requests of one connection that are not answered yet, to tell a client that takes
//! its call back from one that merely goes away: rmcp cancels a request in the same way for both.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, ClientRequest, GetExtensions, JsonRpcMessage,
    RequestId, ServerJsonRpcMessage,
};
use tokio_util::sync::CancellationToken;

/// In the extensions of a `tools/call`: cancelled when the client takes the call back, and not when
/// it goes away.
#[derive(Clone)]
pub(super) struct TakenBack(pub(super) CancellationToken);

/// Clones are one set of calls.
#[derive(Clone, Default)]
pub(super) struct Calls(Arc<Mutex<HashMap<RequestId, CancellationToken>>>);

impl Calls {
    /// Takes note of what a message from the client means for its calls.
    pub(super) fn received(&self, message: &mut ClientJsonRpcMessage) {
        match message {
            JsonRpcMessage::Request(request) => {
                if let ClientRequest::CallToolRequest(call) = &mut request.request {
                    let taken_back = CancellationToken::new();
                    call.extensions_mut().insert(TakenBack(taken_back.clone()));
                    self.lock().insert(request.id.clone(), taken_back);
                }
            }
            JsonRpcMessage::Notification(notification) => {
                if let ClientNotification::CancelledNotification(cancelled) =
                    &notification.notification
                    && let Some(id) = &cancelled.params.request_id
                    && let Some(taken_back) = self.lock().remove(id)
                {
                    taken_back.cancel();
                }
            }
            _ => {}
        }
    }

    /// Forgets the call that this message answers.
    pub(super) fn sent(&self, message: &ServerJsonRpcMessage) {
        let answered = match message {
            JsonRpcMessage::Response(response) => Some(&response.id),
            JsonRpcMessage::Error(error) => error.id.as_ref(),
            _ => None,
        };
        if let Some(id) = answered {
            self.lock().remove(id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RequestId, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
