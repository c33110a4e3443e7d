//! The same tools on rmcp's `TaskManager`, served as rmcp would have it: its own stdio transport, and
//! its Streamable HTTP service under axum with the settings that relight uses (JSON where no stream is
//! needed, and no delay on its sockets).

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use relight::limits;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, ContentBlock,
    CreateTaskResult, ErrorData, GetTaskParams, GetTaskResult, Implementation, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool, UpdateTaskParams,
};
use rmcp::service::RequestContext;
use rmcp::task_manager::{TaskManager, TaskOptions};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{RoleServer, ServerHandler, ServiceExt};
use tokio::net::TcpListener;

use crate::floor::Floor;
use crate::server::Transport;
use crate::support::Error;

/// What the tools are called with.
#[derive(schemars::JsonSchema)]
pub(crate) struct NoArguments {}

#[derive(Clone)]
struct Peer {
    tasks: TaskManager,
    /// Where each call commits a row before it has its handle.
    log: Option<Arc<Mutex<Floor>>>,
}

/// Serves; with a log, each call commits a row to it.
pub(crate) async fn serve(transport: Transport, log: Option<Floor>) -> Result<(), Error> {
    let log = log.map(|log| Arc::new(Mutex::new(log)));
    let peer = Peer { tasks: TaskManager::default(), log };
    if transport == Transport::Stdio {
        peer.serve(rmcp::transport::stdio_pipes()).await?.waiting().await?;
        return Ok(());
    }
    let config = StreamableHttpServerConfig::default().with_json_response(true);
    let sessions = Arc::new(LocalSessionManager::default());
    let service = StreamableHttpService::new(move || Ok(peer.clone()), sessions, config);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    let listener = listener.tap_io(|stream| {
        // Without it the measures say so.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, Router::new().route_service("/mcp", service)).await?;
    Ok(())
}

impl ServerHandler for Peer {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_tasks().build();
        ServerConfig::new(capabilities).with_server_info(Implementation::new("peer", "1"))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        let schema = rmcp::model::object(serde_json::json!({"type": "object"}));
        let known = ["greet", "nap"].contains(&name);
        known.then(|| Tool::new(name.to_owned(), "A tool", Arc::new(schema)))
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = ["greet", "nap"].into_iter().filter_map(|name| self.get_tool(name));
        Ok(ListToolsResult::with_all_items(tools.collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if let Some(log) = &self.log {
            let log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.commits(1).map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        }
        let naps = request.name == "nap";
        let options = TaskOptions::new()
            .with_ttl_ms(limits::TASK_TTL_MS)
            .with_poll_interval_ms(limits::TASK_POLL_MS)
            .with_status_message("working");
        let task = self.tasks.spawn(options, move |_context| {
            Box::pin(async move {
                if naps {
                    tokio::time::sleep(Duration::from_secs(3600)).await;
                }
                Ok(CallToolResult::success(vec![ContentBlock::text("Hello!")]))
            })
        });
        Ok(CallToolResponse::Task(CreateTaskResult::new(task)))
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        self.tasks.get_task(&request.task_id).map(GetTaskResult::new)
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.tasks.update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.tasks.cancel_task(&request.task_id)
    }
}
