//! MCP servers in shell, for what no well-kept server does.

/// A server that runs `each` for every line that it is sent, shakes hands, and does about other messages
/// what these branches of a `case` say, each of which comes before the handshake's own. In them `$id` is
/// the message's id; a branch sets `result`, or ends with `continue` where it answers otherwise or not
/// at all.
pub(crate) fn shell_server(each: &str, branches: &str) -> String {
    const SERVER: &str = r#"
while read -r line; do
  EACH
  id=${line#*\"id\":}; id=${id%%[,\}]*}
  case $line in
BRANCHES
    *'"method":"initialize"'*) result='{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}';;
    *) continue;;
  esac
  printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$result"
done"#;
    SERVER.replace("EACH", each).replace("BRANCHES", branches)
}
