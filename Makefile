# Everything here sets itself up: a Rust toolchain is all that is needed.

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
