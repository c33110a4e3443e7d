//! The least that a client can be: what it takes of the machine, it takes from both servers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{ChildStdin, ChildStdout};

use serde_json::{Value, json};

use crate::support::Error;

/// A request of protocol 2026-07-28 with the Tasks extension declared, but for its id.
pub(crate) struct Request {
    method: &'static str,
    /// The tool, or the task.
    name: String,
    params: String,
}

impl Request {
    pub(crate) fn call(tool: &str) -> Self {
        Self::new("tools/call", tool, json!({"name": tool, "arguments": {}}))
    }

    pub(crate) fn get(task: &str) -> Self {
        Self::new("tasks/get", task, json!({"taskId": task}))
    }

    fn new(method: &'static str, name: &str, mut params: Value) -> Self {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities":
                {"extensions": {"io.modelcontextprotocol/tasks": {}}},
        });
        Self { method, name: name.to_owned(), params: params.to_string() }
    }

    fn body(&self, id: u64) -> String {
        let Self { method, params, .. } = self;
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
    }
}

/// One connection to a server.
pub(crate) trait Connection: Send {
    fn send(&mut self, request: &Request) -> Result<(), Error>;

    /// The next answer, as text.
    fn receive(&mut self) -> Result<&str, Error>;

    /// Whether a request may be sent before the last one is answered.
    fn is_pipelined(&self) -> bool;

    /// The result that answers a request.
    fn ask(&mut self, request: &Request) -> Result<Value, Error> {
        self.send(request)?;
        let answer = self.receive()?;
        let mut value: Value = serde_json::from_str(answer)?;
        match value["result"].take() {
            result @ Value::Object(_) => Ok(result),
            _ => Err(format!("{} was answered with {answer}", request.method).into()),
        }
    }
}

/// stdio: a line each.
pub(crate) struct Lines {
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    line: String,
    id: u64,
}

impl Lines {
    pub(crate) fn new(stdin: ChildStdin, stdout: ChildStdout) -> Self {
        Self { stdin, stdout: BufReader::new(stdout), line: String::new(), id: 0 }
    }
}

impl Connection for Lines {
    fn send(&mut self, request: &Request) -> Result<(), Error> {
        self.id += 1;
        let line = request.body(self.id) + "\n";
        Ok(self.stdin.write_all(line.as_bytes())?)
    }

    fn receive(&mut self) -> Result<&str, Error> {
        self.line.clear();
        if self.stdout.read_line(&mut self.line)? == 0 {
            return Err("the server has gone".into());
        }
        Ok(&self.line)
    }

    fn is_pipelined(&self) -> bool {
        true
    }
}

/// HTTP/1.1 that is kept open.
pub(crate) struct Http {
    stream: BufReader<TcpStream>,
    address: String,
    head: String,
    body: Vec<u8>,
    id: u64,
}

impl Http {
    pub(crate) fn connect(address: &str) -> Result<Self, Error> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let (stream, address) = (BufReader::new(stream), address.to_owned());
        Ok(Self { stream, address, head: String::new(), body: Vec::new(), id: 0 })
    }

    /// Reads the head of a response. Returns how long its body is.
    fn head(&mut self) -> Result<usize, Error> {
        self.head.clear();
        let mut length = None;
        loop {
            let from = self.head.len();
            if self.stream.read_line(&mut self.head)? == 0 {
                return Err("the server has gone".into());
            }
            let line = self.head[from..].trim_end();
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = Some(value.trim().parse()?);
            }
        }
        length.ok_or_else(|| format!("a response without a length: {}", self.head).into())
    }
}

impl Connection for Http {
    fn send(&mut self, request: &Request) -> Result<(), Error> {
        self.id += 1;
        let body = request.body(self.id);
        let (Request { method, name, .. }, address) = (request, &self.address);
        let length = body.len();
        let message = format!(
            "POST /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\n\
             Mcp-Method: {method}\r\nMcp-Name: {name}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        Ok(self.stream.get_mut().write_all(message.as_bytes())?)
    }

    fn receive(&mut self) -> Result<&str, Error> {
        let length = self.head()?;
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body)?;
        Ok(std::str::from_utf8(&self.body)?)
    }

    fn is_pipelined(&self) -> bool {
        false
    }
}
