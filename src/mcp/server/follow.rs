//! Tools with which a client that has no Tasks follows a task that its call did not wait for:
//! `task_status`, `task_answer`, `task_cancel`, `task_list`.
//!
//! They are there for such clients only. Their readers are models, so what goes wrong is told as the
//! tool's own failure, which a model sees, and every text says what to call next.

use std::fmt::Write as _;
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, CallToolResult, ContentBlock, ElicitRequestParams, ErrorData,
    InputRequest, InputRequests, InputResponses, ToolAnnotations,
};
use rmcp::service::RequestContext;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::arguments::Arguments;
use super::elicit::Within;
use super::plain::{Waited, nobody_waits};
use super::session::{Session, takes_tasks, task_id};
use super::translate::{error_result, message, outcome, refusal};
use super::{Error, experimental, questions};
use crate::journal::{Sent, Status, Task};

/// Whether the client is one that these tools are for: it can neither be answered with a task nor
/// ask for one.
///
/// In a session of protocol 2025-11-25 a client may ask for tasks without having declared them, and
/// nothing tells it from one that never will. It is shown the tools.
pub(super) fn is_for(context: &RequestContext<RoleServer>) -> bool {
    !takes_tasks(context) && !experimental::is_declared(context)
}

/// One of the tools.
pub(super) struct Follower {
    pub(super) shown: rmcp::model::Tool,
    arguments: Arguments,
    which: Which,
}

#[derive(Clone, Copy)]
enum Which {
    Status,
    Answer,
    Cancel,
    List,
}

#[derive(Deserialize, JsonSchema)]
struct StatusArguments {
    /// The task's id.
    task_id: String,
    /// How long to wait for its end or a question, in seconds; 0 looks at once. Left out: as long
    /// as the server lets a call wait.
    wait_seconds: Option<u32>,
}

#[derive(Deserialize, JsonSchema)]
struct AnswerArguments {
    /// The task's id.
    task_id: String,
    /// Which question is answered, as task_status names it. Only needed when there are several.
    question: Option<String>,
    /// What the user said: accept (with content), decline, or cancel for neither.
    action: Action,
    /// The form, filled in as the question's schema says. Only with accept.
    content: Option<Map<String, Value>>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    Accept,
    Decline,
    Cancel,
}

#[derive(Deserialize, JsonSchema)]
struct CancelArguments {
    /// The task's id.
    task_id: String,
}

#[derive(Deserialize, JsonSchema)]
struct ListArguments {
    /// Where to go on, as the list before said.
    cursor: Option<String>,
}

/// The tools, in the order in which they are listed.
///
/// # Errors
/// [`Error::Schema`], which the schemas below do not have.
pub(super) fn tools() -> Result<Vec<Follower>, Error> {
    let reads = ToolAnnotations::new().read_only(true).idempotent(true).open_world(false);
    let writes = ToolAnnotations::new().destructive(false).open_world(false);
    let stops = ToolAnnotations::new().destructive(true).idempotent(true).open_world(false);
    Ok(vec![
        Follower::new(
            Which::Status,
            "task_status",
            "Wait for a task that a tool call of this server has started, and get its result, or \
             what it asks, or what it is doing now.",
            schema_for!(StatusArguments),
            reads.clone(),
        )?,
        Follower::new(
            Which::Answer,
            "task_answer",
            "Answer a question of a task. Questions are for the user: ask, do not guess.",
            schema_for!(AnswerArguments),
            writes,
        )?,
        Follower::new(
            Which::Cancel,
            "task_cancel",
            "Stop a task.",
            schema_for!(CancelArguments),
            stops,
        )?,
        Follower::new(
            Which::List,
            "task_list",
            "List the tasks that were started here, newest first.",
            schema_for!(ListArguments),
            reads,
        )?,
    ])
}

impl Follower {
    fn new(
        which: Which,
        name: &'static str,
        description: &'static str,
        schema: Schema,
        annotations: ToolAnnotations,
    ) -> Result<Self, Error> {
        let bad = |why| Error::Schema { tool: name.to_owned(), which: "input", why };
        let schema = schema.to_value();
        let arguments = Arguments::new(&schema).map_err(bad)?;
        let Value::Object(schema) = schema else { return Err(bad("it is no object".to_owned())) };
        let shown = rmcp::model::Tool::new_with_raw(name, Some(description.into()), schema)
            .annotate(annotations);
        Ok(Self { shown, arguments, which })
    }

    /// # Errors
    /// What is not the caller's mistake: the journal cannot be read, the server is stopping.
    pub(super) async fn call(
        &self,
        session: &Session,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        self.arguments.check(&self.shown.name, &arguments)?;
        let answered = match self.which {
            Which::Status => status(session, read(arguments)?, context).await,
            Which::Answer => answer(session, read(arguments)?, context).await,
            Which::Cancel => cancel(session, read(arguments)?, context).await,
            Which::List => list(session, read(arguments)?, context).await,
        };
        answered.or_else(|error| match error.code {
            rmcp::model::ErrorCode::INVALID_PARAMS => Ok(error_result(error.message.into_owned())),
            _ => Err(error),
        })
    }
}

fn read<T: DeserializeOwned>(arguments: Value) -> Result<T, ErrorData> {
    serde_json::from_value(arguments)
        .map_err(|error| ErrorData::invalid_params(format!("the arguments: {error}"), None))
}

async fn status(
    session: &Session,
    arguments: StatusArguments,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResult, ErrorData> {
    let id = task_id(&arguments.task_id)?;
    let longest = session.server.plain_wait;
    let wait = arguments
        .wait_seconds
        .map_or(longest, |seconds| Duration::from_secs(seconds.into()).min(longest));
    Ok(match session.wait(id, context, Within::Call, Some(wait)).await? {
        Waited::Ended(end) => outcome(end)
            .unwrap_or_else(|error| error_result(format!("task {id} failed: {}", error.message))),
        Waited::Asks(task, asked) => asks(&task, &asked),
        Waited::Works(task) => works(&task),
        Waited::GivenUp => return Err(nobody_waits(id)),
    })
}

async fn answer(
    session: &Session,
    arguments: AnswerArguments,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResult, ErrorData> {
    let AnswerArguments { task_id: id, question, action, content } = arguments;
    let task = session.find(task_id(&id)?, context).await?;
    let asked = match task.status {
        Status::InputRequired => questions::open(&session.server.runtime, task.id).await?,
        _ => InputRequests::new(),
    };
    let keys: Vec<_> = asked.keys().cloned().collect();
    let key = match (question, keys.as_slice()) {
        (_, []) => return Ok(error_result(format!("Task {id} asks nothing now. {}", line(&task)))),
        (Some(key), keys) if keys.contains(&key) => key,
        (None, [key]) => key.clone(),
        (_, keys) => {
            let known = keys.join(", ");
            let text = format!("Say which question is answered; task {id} asks: {known}");
            return Ok(error_result(text));
        }
    };
    let answer = match action {
        Action::Accept => json!({"action": "accept", "content": content.unwrap_or_default()}),
        Action::Decline => json!({"action": "decline"}),
        Action::Cancel => json!({"action": "cancel"}),
    };
    let answers = InputResponses::from([(key, answer)]);
    questions::answer(&session.server.runtime, task.id, answers).await?;
    Ok(text(format!("Answered. {}", next(&task))))
}

async fn cancel(
    session: &Session,
    arguments: CancelArguments,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResult, ErrorData> {
    let task = session.find(task_id(&arguments.task_id)?, context).await?;
    let reason = Some("the client cancelled the task".to_owned());
    let sent = session.server.runtime.cancel(task.id, reason).await;
    Ok(text(match sent.map_err(|error| refusal(&error))? {
        Sent::Delivered => format!("Task {} is told to stop.", task.id),
        Sent::AlreadyEnded => format!("Task {} has ended already. {}", task.id, line(&task)),
    }))
}

async fn list(
    session: &Session,
    arguments: ListArguments,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResult, ErrorData> {
    let after = arguments.cursor.as_deref().map(task_id).transpose()?;
    let (tasks, next) = session.page(after, context).await?;
    let mut lines: Vec<_> = tasks.iter().map(line).collect();
    if lines.is_empty() {
        lines.push("No tasks.".to_owned());
    }
    if let Some(next) = next {
        lines.push(format!("There are more: call task_list with {{\"cursor\": \"{next}\"}}."));
    }
    Ok(text(lines.join("\n")))
}

/// What a client is told whose task is still at work.
pub(super) fn works(task: &Task) -> CallToolResult {
    let (name, id, at) = (&task.name, task.id, message(task));
    text(format!("{name} is still at work, as task {id}. Now: {at}\n\n{}", next(task)))
}

/// What a client is told whose task waits for answers.
pub(super) fn asks(task: &Task, asked: &InputRequests) -> CallToolResult {
    let (name, id) = (&task.name, task.id);
    let mut told = format!("{name} (task {id}) has a question for the user and waits.\n");
    for (key, question) in asked {
        let InputRequest::Elicitation(question) = question else { continue };
        let ElicitRequestParams::FormElicitationParams { message, requested_schema, .. } =
            &question.params
        else {
            continue;
        };
        let schema = json!(requested_schema);
        // Writing to a string cannot fail.
        let _ = write!(told, "\nQuestion {key:?}: {message}\nForm (JSON Schema): {schema}\n");
    }
    let _ = write!(
        told,
        "\nAsk the user. Then call task_answer with {}, or with \"decline\" as the action.",
        json!({"task_id": id, "question": asked.keys().next(), "action": "accept", "content": {}})
    );
    text(told)
}

fn next(task: &Task) -> String {
    let arguments = json!({"task_id": task.id});
    format!(
        "It goes on by itself and its result is kept. Call task_status with {arguments} to wait for \
         it, task_cancel to stop it. Do not call the tool again: that would start a second task."
    )
}

fn line(task: &Task) -> String {
    format!("{}  {}  {}: {}", task.id, task.status.as_str(), task.name, message(task))
}

fn text(text: String) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}
