# Everything here sets itself up: a Rust toolchain and Node 20 with npm are all that is needed. npm brings
# the clients and suites that others wrote.

.PHONY: test conformance lint bench demo

test: conformance
	cargo test --locked

# MCP's official suite. Its programs are installed below target/, as tests/interop/ pins them.
conformance:
	cargo build --locked --example conformance
	cargo test --locked --test mcp_conformance -- --ignored --nocapture --test-threads=1

lint:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

bench:
	cargo bench --locked

demo:
	cargo run --locked --release -- demo
