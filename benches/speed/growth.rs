//! How a journal grows with an agent's turns.
//!
//! The agent loop itself writes it, over a model and a tool of this file. Each turn is one model
//! call and one tool call; the tool answers with 2 KiB of random printable ASCII. That has no
//! repetition; 93 different characters in bytes leave an entropy coder 18 % to take off, and no
//! JSON text is denser.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use relight::agent::{
    AGENT_FUNCTION, AgentLoop, Called, Definition, Invocation, Model, Models, OpenModel, Outcome,
    Pinned, Prices, Reply, Request, Servers, Tool, ToolCall, ToolOutput, Toolbox, Usage,
};
use relight::durable::Runtime;
use relight::journal::sqlite::Sqlite;
use relight::journal::{Effect, End, Failure, Payload, TaskId};

use crate::report::Row;
use crate::{Error, tokio};

const TURNS: [u32; 3] = [10, 100, 1_000];
const OUTPUT_BYTES: u32 = 2 * 1024;

pub(crate) fn growth(dir: &Path) -> Result<Vec<Row>, Error> {
    const BAR: f64 = 1.3;
    const LINEAR_BAR: f64 = 1.05;
    let tokio = tokio()?;
    let mut sizes = Vec::new();
    for turns in TURNS {
        let journal = dir.join(format!("{turns}.db"));
        tokio.block_on(run_agent(&journal, turns))?;
        // A journal is far below 2^32 bytes here.
        let bytes = u32::try_from(std::fs::metadata(journal)?.len())?;
        sizes.push((f64::from(turns), f64::from(bytes)));
    }
    let [few, more, most] = sizes[..] else { return Err("three sizes are compared".into()) };
    let payload = f64::from(OUTPUT_BYTES);
    let ratio = most.1 / (most.0 * payload);
    let a_turn = |from: (f64, f64), to: (f64, f64)| (to.1 - from.1) / (to.0 - from.0);
    let (early, late) = (a_turn(few, more), a_turn(more, most));
    Ok(vec![
        Row {
            measure: format!("journal after {} turns with 2 KiB of tool output each", most.0),
            result: format!("{:.0} KiB", most.1 / 1024.0),
            floor: format!("{:.0} KiB of tool output", most.0 * payload / 1024.0),
            ratio: format!("{ratio:.2}"),
            bar: format!("at most {BAR}"),
            met: Some(ratio <= BAR),
        },
        Row {
            measure: format!("its growth a turn, from turn {} to {}", more.0, most.0),
            result: format!("{late:.0} bytes"),
            floor: format!("{early:.0} bytes, from turn {} to {}", few.0, more.0),
            ratio: format!("{:.2}", late / early),
            bar: format!("at most {LINEAR_BAR} (linear)"),
            met: Some(late / early <= LINEAR_BAR),
        },
    ])
}

/// Runs an agent for so many turns, and closes the journal: all of its log is copied into it.
pub(crate) async fn run_agent(path: &Path, turns: u32) -> Result<TaskId, Error> {
    // No summary is to take the place of what grows.
    let file = format!(
        "---\nname: bench\ndescription: Reads files\nmodel: bench\nmaxTurns: {}\n\
         contextTokens: 100000000\n\
         mcpServers:\n  files:\n    command: files\n---\nRead all the files.\n",
        turns + 1
    );
    let agent = Definition::parse("bench.md", &file)?;
    let pinned = Pinned::new(agent, Vec::new(), &Prices::default());
    let world = Arc::new(World { turns, seed: AtomicU64::new(1) });
    let agents = AgentLoop::new(Arc::clone(&world) as _, world);
    let runtime = Runtime::builder(Arc::new(Sqlite::open(path)?))
        .register(AGENT_FUNCTION, Arc::new(agents))
        .start()
        .await?;
    let arguments = Payload::of(&serde_json::json!({"task": "Read all the files."}))?;
    let task = runtime.start(pinned.start(arguments)).await?;
    let end = runtime.wait(task).await?;
    if !matches!(end, End::Completed(_)) {
        return Err(format!("the agent did not complete: {end:?}").into());
    }
    runtime.shutdown().await;
    runtime.store().close().await;
    Ok(task)
}

/// The model, which calls the tool again and again, and the tool.
struct World {
    turns: u32,
    seed: AtomicU64,
}

#[async_trait]
impl Model for Turns {
    async fn call(&self, request: &Request) -> Result<Outcome, Failure> {
        // A user's message, then a reply and a result a turn.
        let turn = request.messages.len().div_ceil(2);
        let usage = Some(Usage { input_tokens: 12_345, output_tokens: 67, cached_tokens: 12_000 });
        let model = Some("bench-1".to_owned());
        if turn > usize::try_from(self.0).unwrap_or(usize::MAX) {
            return Ok(Reply {
                text: Some("All is read.".to_owned()),
                usage,
                model,
                ..Reply::default()
            }
            .into());
        }
        let call = ToolCall {
            id: format!("call_{turn:020}"),
            name: "read".to_owned(),
            arguments: format!("{{\"path\":\"src/part/{turn}.rs\"}}"),
        };
        Ok(Reply { calls: vec![call], usage, model, ..Reply::default() }.into())
    }
}

struct Turns(u32);

impl Models for World {
    fn open(&self, model: &str) -> Result<OpenModel, Failure> {
        Ok(OpenModel { provider: Arc::new(Turns(self.turns)), name: model.to_owned() })
    }
}

#[async_trait]
impl Toolbox for World {
    async fn list(&self, _: &Servers) -> Result<Vec<Tool>, Failure> {
        Ok(vec![Tool {
            server: "files".to_owned(),
            name: "read".to_owned(),
            description: Some("Reads a file".to_owned()),
            input_schema: Payload::of(&serde_json::json!({"type": "object"}))?,
            effect: Effect::Once,
            destructive_hint: None,
            as_task: false,
        }])
    }

    async fn call(&self, _: Invocation<'_>) -> Result<Called, Failure> {
        let text = (0..OUTPUT_BYTES).map(|_| self.character()).collect();
        Ok(Called::Output(ToolOutput { text, ..ToolOutput::default() }))
    }
}

impl World {
    /// The next printable character, of those that JSON does not escape.
    fn character(&self) -> char {
        loop {
            // SplitMix64 (Steele, Lea and Flood, 2014).
            let state = self.seed.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            let byte = (mixed ^ (mixed >> 31)).to_be_bytes()[0] & 0x7F;
            let character = char::from(byte);
            if (b' '..=b'~').contains(&byte) && character != '"' && character != '\\' {
                return character;
            }
        }
    }
}
