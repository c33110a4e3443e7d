//! The sessions of clients that speak a protocol before 2026-07-28: rmcp's, bounded in number, each
//! with its owner and its open calls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{Stream, StreamExt};
use http::request::Parts;
use rmcp::model::{
    ClientJsonRpcMessage, CustomResult, GetExtensions, JsonRpcMessage, ServerJsonRpcMessage,
    ServerResult,
};
use rmcp::transport::streamable_http_server::session::local::{
    LocalSessionManager, LocalSessionManagerError,
};
use rmcp::transport::streamable_http_server::session::{
    ServerSseMessage, SessionId, SessionManager,
};

use crate::limits;
use crate::mcp::server::Owner;
use crate::mcp::server::calls::Calls;
use crate::mcp::server::experimental::wire;

/// All sessions of one HTTP server.
#[derive(Default)]
pub(super) struct Sessions {
    inner: LocalSessionManager,
    known: Mutex<HashMap<SessionId, Known>>,
}

/// What is known of a session besides what rmcp knows.
#[derive(Clone, Default)]
struct Known {
    owner: Owner,
    calls: Calls,
    /// Whether it speaks the experimental Tasks.
    experimental: bool,
}

/// Why a session did not do what it was to.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Too many clients at once.
    #[error(
        "there are {} sessions, the most that are kept; close one, or speak protocol 2026-07-28",
        limits::HTTP_SESSIONS
    )]
    Full,
    /// Too many clients of one owner at once.
    #[error(
        "you have {} sessions, the most of one owner; close one, or speak protocol 2026-07-28",
        limits::OWNER_SESSIONS
    )]
    OwnersFull,
    /// rmcp's own.
    #[error(transparent)]
    Rmcp(#[from] LocalSessionManagerError),
}

impl Sessions {
    /// Whether the session is of this owner; `None` where there is no such session.
    pub(super) fn is_owned_by(&self, id: &str, owner: &Owner) -> Option<bool> {
        self.known().get(id).map(|known| known.owner == *owner)
    }

    /// Whether this owner may begin one more session.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::OwnersFull`].
    pub(super) fn have_room_for(&self, owner: &Owner) -> Result<(), Error> {
        let known = self.known();
        if known.len() >= limits::HTTP_SESSIONS {
            return Err(Error::Full);
        }
        // Where nobody is asked who they are, all are one.
        let of_owner = || known.values().filter(|known| known.owner == *owner).count();
        if owner.0.is_some() && of_owner() >= limits::OWNER_SESSIONS {
            return Err(Error::OwnersFull);
        }
        Ok(())
    }

    /// Whether the session speaks the experimental Tasks.
    pub(super) fn is_experimental(&self, id: &str) -> bool {
        self.known().get(id).is_some_and(|known| known.experimental)
    }

    /// The answer to an `initialize` as the client is to see it. rmcp's types have no place for what
    /// is added, so it goes on as a result of a kind that rmcp does not look into.
    fn initialized(
        &self,
        id: &SessionId,
        mut answer: ServerJsonRpcMessage,
    ) -> ServerJsonRpcMessage {
        let JsonRpcMessage::Response(response) = &mut answer else { return answer };
        let Ok(mut shown) = serde_json::to_value(&*response) else { return answer };
        if wire::patch_initialize(&mut shown) {
            response.result = ServerResult::CustomResult(CustomResult(shown["result"].take()));
            if let Some(known) = self.known().get_mut(id) {
                known.experimental = true;
            }
        }
        answer
    }

    fn known(&self) -> MutexGuard<'_, HashMap<SessionId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a new session known, unless others that came at the same time have taken the last place.
    fn admit(&self, id: &SessionId) -> bool {
        let mut known = self.known();
        let is_room = known.len() < limits::HTTP_SESSIONS;
        if is_room {
            known.insert(Arc::clone(id), Known::default());
        }
        is_room
    }

    fn calls(&self, id: &SessionId) -> Calls {
        self.known().get(id).map(|known| known.calls.clone()).unwrap_or_default()
    }
}

impl SessionManager for Sessions {
    type Error = Error;
    type Transport = <LocalSessionManager as SessionManager>::Transport;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), Error> {
        self.have_room_for(&Owner::default())?;
        let (id, transport) = self.inner.create_session().await?;
        if !self.admit(&id) {
            self.inner.close_session(&id).await?;
            return Err(Error::Full);
        }
        Ok((id, transport))
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, Error> {
        let owner = match &message {
            JsonRpcMessage::Request(request) => request
                .request
                .extensions()
                .get::<Parts>()
                .and_then(|head| head.extensions.get::<Owner>())
                .cloned(),
            _ => None,
        };
        if let Some(known) = self.known().get_mut(id) {
            known.owner = owner.unwrap_or_default();
        }
        let answer = self.inner.initialize_session(id, message).await?;
        Ok(self.initialized(id, answer))
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, Error> {
        Ok(self.inner.has_session(id).await?)
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), Error> {
        self.known().remove(id);
        Ok(self.inner.close_session(id).await?)
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        mut message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Error> {
        let calls = self.calls(id);
        calls.received(&mut message);
        let stream = self.inner.create_stream(id, message).await?;
        Ok(stream.inspect(move |event| {
            if let Some(message) = &event.message {
                calls.sent(message);
            }
        }))
    }

    async fn accept_message(
        &self,
        id: &SessionId,
        mut message: ClientJsonRpcMessage,
    ) -> Result<(), Error> {
        self.calls(id).received(&mut message);
        Ok(self.inner.accept_message(id, message).await?)
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Error> {
        Ok(self.inner.create_standalone_stream(id).await?)
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Error> {
        Ok(self.inner.resume(id, last_event_id).await?)
    }
}
