//! The flags that every command takes.

use std::path::PathBuf;

/// Where things are and which model answers. Take it into a command line with
/// `#[command(flatten)]`.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Configuration")]
pub struct Flags {
    /// Directory of the agent files (*.md) [env: RELIGHT_AGENTS] [default: ./prompts, or
    /// relight/agents in the user's configuration]
    #[arg(long, global = true, value_name = "DIR")]
    pub agents: Option<PathBuf>,

    /// Journal of all tasks; made where there is none [env: RELIGHT_JOURNAL] [default:
    /// relight/journal.db in the user's data]
    #[arg(long, global = true, value_name = "FILE")]
    pub journal: Option<PathBuf>,

    /// Tool servers, in the format of .mcp.json [env: RELIGHT_MCP_CONFIG] [default: ./.mcp.json,
    /// or relight/mcp.json in the user's configuration]
    #[arg(long, global = true, value_name = "FILE")]
    pub mcp_config: Option<PathBuf>,

    /// Model of the agents whose files name none: NAME at the OpenAI-compatible server of
    /// OPENAI_BASE_URL, or script:FILE for replies from a file [env: RELIGHT_MODEL]
    #[arg(long, global = true, value_name = "MODEL")]
    pub model: Option<String>,

    /// Settings: default model, prices, time to live [env: RELIGHT_CONFIG] [default:
    /// ./relight.yaml, or relight/relight.yaml in the user's configuration]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
}
