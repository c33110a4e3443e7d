# Everything here sets itself up. A Rust toolchain is all that `make test` needs; where Node 20 or later with
# npm is there too, it also runs the clients and suites that others wrote, which npm brings below target/.

.PHONY: test peers interop conformance lint bench demo

test:
	cargo test --locked
	@if command -v npm >/dev/null; then $(MAKE) peers; \
	else echo "NOT RUN: interop and conformance need Node 20 or later with npm"; fi

peers: interop conformance

# Clients and a tool server from npm, over both transports and across kills.
interop:
	cargo build --locked --example conformance
	cargo test --locked --test interop -- --ignored clients:: everything::

# MCP's official conformance suite, every check of it required.
conformance:
	cargo build --locked --example conformance
	cargo test --locked --test interop -- --ignored --nocapture --test-threads=1 conformance::

lint:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

bench:
	cargo bench --locked

demo:
	cargo run --locked --release -- demo
