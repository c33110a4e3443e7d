//! How others reach relight, and how it reaches other MCP servers.
