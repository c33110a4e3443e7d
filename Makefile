# Everything here sets itself up. A Rust toolchain is needed, and for the tests Node 20 with npm.

.PHONY: test lint bench demo

test:
	cargo test --locked

lint:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

bench:
	cargo bench --locked

demo:
	cargo run --locked --release -- demo
