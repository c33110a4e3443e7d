//! The till's tools at work: what each does to the ledger, and what it answers.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData,
    Implementation, ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::ledger::{Entry, Ledger, entries};
use super::tools::tools;
use crate::mcp::IDEMPOTENCY_KEY;

/// How often a paused tool looks whether its file is still there.
const PAUSE_POLL: Duration = Duration::from_millis(10);

/// Where in a call the till can be made to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the effect.
    Before,
    /// After the effect, and before the answer.
    After,
}

/// The file that makes calls of `tool` wait at this moment, while it exists. It stands beside the
/// ledger; whoever wants to kill a process at that point makes it first.
pub fn pause_file(ledger: &Path, moment: Moment, tool: &str) -> PathBuf {
    let mut path = ledger.as_os_str().to_owned();
    path.push(match moment {
        Moment::Before => ".before-",
        Moment::After => ".after-",
    });
    path.push(tool);
    path.into()
}

#[derive(Clone)]
pub(super) struct Till {
    ledger: PathBuf,
    now_ms: Arc<dyn Fn() -> i64 + Send + Sync>,
}

#[derive(Deserialize)]
struct Amount {
    order: String,
    amount_cents: u64,
}

#[derive(Deserialize)]
struct Receipt {
    order: String,
    to: String,
}

#[derive(Deserialize)]
struct Order {
    order: String,
    idempotency_key: Option<String>,
}

impl Till {
    pub(super) fn new(ledger: PathBuf, now_ms: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self { ledger, now_ms: Arc::new(now_ms) }
    }

    async fn answer(
        &self,
        tool: &str,
        args: Value,
        key: Option<String>,
        ct: &CancellationToken,
    ) -> Result<CallToolResult, ErrorData> {
        let text = match tool {
            "charge_card" => {
                let Amount { order, amount_cents } = arguments(&args)?;
                // No look at the key: this is the tool that must not be called twice.
                let place = self.take_effect(tool, args, key, |_| false, ct).await?;
                charged(&order, amount_cents, place)
            }
            "mail_receipt" => {
                let Receipt { order, to } = arguments(&args)?;
                self.once(tool, args, key, ct).await?;
                format!("mailed the receipt of order {order} to {to}")
            }
            "update_ledger" => {
                let Amount { order, amount_cents } = arguments(&args)?;
                self.once(tool, args, key, ct).await?;
                format!("entered {amount_cents} cents for order {order}")
            }
            "find_charge" => return self.find_charge(arguments(&args)?).await,
            "read_ledger" => json!(self.entries().await?).to_string(),
            unknown => {
                let message = format!("there is no tool {unknown:?}");
                return Err(ErrorData::invalid_params(message, None));
            }
        };
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]))
    }

    /// Tells of a charge in words, and whether it happened as a value: by that, a doubt about it
    /// is settled.
    async fn find_charge(&self, wanted: Order) -> Result<CallToolResult, ErrorData> {
        let Order { order, idempotency_key: key } = wanted;
        let entries = self.entries().await?;
        let found = entries.iter().enumerate().find(|(_, entry)| {
            entry.tool == "charge_card"
                && entry.args["order"] == order.as_str()
                && (key.is_none() || entry.key == key)
        });
        let (text, value) = match found {
            Some((at, entry)) => {
                let (cents, place) = (&entry.args["amount_cents"], at + 1);
                let result = charged(&order, cents.as_u64().unwrap_or_default(), place);
                let text = format!("order {order} was charged {cents} cents: charge ch_{place}");
                (text, json!({"happened": true, "result": result}))
            }
            None => (format!("order {order} was not charged"), json!({"happened": false})),
        };
        let mut answer = CallToolResult::success(vec![ContentBlock::text(text)]);
        answer.structured_content = Some(value);
        Ok(answer)
    }

    /// An effect that a repeated call does not take again: by its key, or without one by its
    /// arguments.
    async fn once(
        &self,
        tool: &str,
        args: Value,
        key: Option<String>,
        ct: &CancellationToken,
    ) -> Result<usize, ErrorData> {
        let (same_tool, same_args, same_key) = (tool.to_owned(), args.clone(), key.clone());
        let again = move |entry: &Entry| {
            entry.tool == same_tool
                && if same_key.is_some() { entry.key == same_key } else { entry.args == same_args }
        };
        self.take_effect(tool, args, key, again, ct).await
    }

    async fn take_effect(
        &self,
        tool: &str,
        args: Value,
        key: Option<String>,
        again: impl Fn(&Entry) -> bool + Send + 'static,
        ct: &CancellationToken,
    ) -> Result<usize, ErrorData> {
        self.pause(Moment::Before, tool, ct).await?;
        let at = Timestamp::from_millisecond((self.now_ms)()).map_err(internal)?.to_string();
        let entry = Entry { tool: tool.to_owned(), key, args, at };
        let ledger = Ledger(self.ledger.clone());
        let place = blocking(move || ledger.record(&entry, again)).await?;
        self.pause(Moment::After, tool, ct).await?;
        Ok(place)
    }

    async fn pause(
        &self,
        moment: Moment,
        tool: &str,
        ct: &CancellationToken,
    ) -> Result<(), ErrorData> {
        let file = pause_file(&self.ledger, moment, tool);
        while file.exists() {
            if ct.run_until_cancelled(tokio::time::sleep(PAUSE_POLL)).await.is_none() {
                return Err(ErrorData::internal_error("the call was cancelled", None));
            }
        }
        Ok(())
    }

    async fn entries(&self) -> Result<Vec<Entry>, ErrorData> {
        let ledger = self.ledger.clone();
        blocking(move || entries(&ledger)).await
    }
}

fn charged(order: &str, amount_cents: u64, place: usize) -> String {
    format!("charged {amount_cents} cents for order {order}: charge ch_{place}")
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ErrorData> {
    tokio::task::spawn_blocking(work).await.map_err(internal)?.map_err(internal)
}

fn internal(error: impl std::fmt::Display) -> ErrorData {
    ErrorData::internal_error(format!("the ledger: {error}"), None)
}

fn arguments<T: DeserializeOwned>(args: &Value) -> Result<T, ErrorData> {
    T::deserialize(args).map_err(|error| ErrorData::invalid_params(error.to_string(), None))
}

impl ServerHandler for Till {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("till", env!("CARGO_PKG_VERSION")))
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let args = Value::Object(request.arguments.unwrap_or_default());
        let key = context.meta.get(IDEMPOTENCY_KEY).and_then(Value::as_str).map(str::to_owned);
        Ok(self.answer(&request.name, args, key, &context.ct).await?.into())
    }
}
