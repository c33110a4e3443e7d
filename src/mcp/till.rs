//! The demo's tool server: a till that charges cards, mails receipts and keeps a ledger.
//!
//! It is an ordinary MCP server over stdio that knows nothing of relight, and stands for all of
//! those outside. Every effect is one line in a ledger file, synced before the tool answers, so the
//! file tells what really happened, whoever was killed in between. `charge_card` takes effect each
//! time it is called; that is the point of it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData,
    Implementation, ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig,
    Tool, ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler, ServiceExt};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::IDEMPOTENCY_KEY;

/// How often a paused tool looks whether its file is still there.
const PAUSE_POLL: Duration = Duration::from_millis(10);

/// How the till is started.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The file that each effect is written to, one JSON object a line
    #[arg(long, value_name = "PATH")]
    pub ledger: PathBuf,
}

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

/// Why the till ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The ledger cannot be written.
    #[error("the ledger {} cannot be opened: {source}; give another path by --ledger", path.display())]
    Ledger {
        /// Where it was to be.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The client did not shake hands.
    #[error("no MCP client on stdin: {0}")]
    Handshake(String),
}

/// Serves the till on stdin and stdout until the client goes away. `now_ms` is the wall clock in
/// Unix milliseconds.
///
/// # Errors
/// When the ledger cannot be opened, or whoever is on stdin speaks no MCP.
pub async fn serve(
    options: Options,
    now_ms: impl Fn() -> i64 + Send + Sync + 'static,
) -> Result<(), Error> {
    let path = options.ledger.clone();
    Ledger(path.clone()).open().map_err(|source| Error::Ledger { path, source })?;
    let till = Till { options: Arc::new(options), now_ms: Arc::new(now_ms) };
    let running = till
        .serve(rmcp::transport::stdio_pipes())
        .await
        .map_err(|error| Error::Handshake(error.to_string()))?;
    // Its end is the client's going away, however the service loop words it.
    let _ = running.waiting().await;
    Ok(())
}

/// One effect, as the ledger holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The tool that took effect.
    pub tool: String,
    /// The idempotency key of the call, where it had one.
    pub key: Option<String>,
    /// What it was called with.
    pub args: Value,
    /// When, as ISO 8601.
    pub at: String,
}

/// Reads a ledger file.
///
/// # Errors
/// When the file cannot be read, or holds a line that is no [`Entry`].
pub fn entries(ledger: &Path) -> io::Result<Vec<Entry>> {
    read(&mut File::open(ledger)?)
}

fn read(file: &mut File) -> io::Result<Vec<Entry>> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    text.lines().map(|line| serde_json::from_str(line).map_err(io::Error::from)).collect()
}

struct Ledger(PathBuf);

impl Ledger {
    fn open(&self) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).read(true).open(&self.0)
    }

    /// Appends an entry and syncs it, unless `again` knows one that is there already. Returns its
    /// place in the ledger, from 1. Tills of several processes may share one file.
    fn record(&self, entry: &Entry, again: impl Fn(&Entry) -> bool) -> io::Result<usize> {
        let mut file = self.open()?;
        file.lock()?;
        let entries = read(&mut file)?;
        if let Some(place) = entries.iter().position(again) {
            return Ok(place + 1);
        }
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        file.write_all(&line)?;
        file.sync_data()?;
        Ok(entries.len() + 1)
    }
}

#[derive(Clone)]
struct Till {
    options: Arc<Options>,
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
        let ledger = Ledger(self.options.ledger.clone());
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
        let file = pause_file(&self.options.ledger, moment, tool);
        while file.exists() {
            if ct.run_until_cancelled(tokio::time::sleep(PAUSE_POLL)).await.is_none() {
                return Err(ErrorData::internal_error("the call was cancelled", None));
            }
        }
        Ok(())
    }

    async fn entries(&self) -> Result<Vec<Entry>, ErrorData> {
        let ledger = self.options.ledger.clone();
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

fn tools() -> Vec<Tool> {
    let once = ToolAnnotations::new;
    let idempotent = || ToolAnnotations::new().idempotent(true).destructive(false);
    let reads = || ToolAnnotations::new().read_only(true);
    let (text, cents) = (json!({"type": "string"}), json!({"type": "integer", "minimum": 1}));
    vec![
        tool(
            "charge_card",
            "Charge the card on file for an order. Each call charges it again.",
            once(),
            &json!({"order": text, "amount_cents": cents}),
        ),
        tool(
            "mail_receipt",
            "Mail the receipt of an order.",
            idempotent(),
            &json!({"order": text, "to": text}),
        ),
        tool(
            "update_ledger",
            "Enter the amount of an order in the books.",
            idempotent(),
            &json!({"order": text, "amount_cents": cents}),
        ),
        tool(
            "find_charge",
            "Tell whether an order was charged, and how much. With an idempotency key: whether the \
             call that had this key charged it.",
            reads(),
            &json!({"order": text, "idempotency_key": {"type": ["string", "null"]}}),
        ),
        tool("read_ledger", "Read all that was charged, mailed and entered.", reads(), &json!({})),
    ]
}

fn tool(name: &'static str, what_for: &'static str, hints: ToolAnnotations, args: &Value) -> Tool {
    let is_required =
        |(name, schema): (&String, &Value)| (!schema["type"].is_array()).then(|| name.clone());
    let required: Vec<String> =
        args.as_object().into_iter().flatten().filter_map(is_required).collect();
    let schema = json!({
        "type": "object",
        "properties": args,
        "required": required,
        "additionalProperties": false,
    });
    let schema = schema.as_object().cloned().unwrap_or_default();
    Tool::new(name, what_for, schema).with_annotations(hints)
}
