//! Whose request it is, and so whose tasks it reaches.

use http::request::Parts;
use rmcp::RoleServer;
use rmcp::service::RequestContext;

use crate::journal::Task;

/// Who makes a request. `None` where there is only one user: over stdio, and over HTTP where nobody
/// is asked who they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owner(pub Option<String>);

impl Owner {
    /// Whose request this is. The HTTP transport has put it into the extensions of the request's
    /// head, which rmcp hands on.
    pub(super) fn of(context: &RequestContext<RoleServer>) -> Self {
        let head = context.extensions.get::<Parts>();
        head.and_then(|head| head.extensions.get::<Self>()).cloned().unwrap_or_default()
    }

    /// Whether the task was made by this owner. To everybody else it does not exist.
    pub(super) fn owns(&self, task: &Task) -> bool {
        self.0 == task.owner
    }
}
