# Daily commands. `make demo` and `make test` need nothing but Rust on a fresh Debian, Ubuntu, Fedora or macOS machine:
# what else the build needs is installed where that can be done without asking, and named where it cannot.

CARGO := cargo
.PHONY: demo test lint families bench setup

demo: setup ## the main job on the embedded pair
	$(CARGO) run --release --locked -- demo

test: setup ## everything that is tested
	$(CARGO) test --locked

lint: setup ## formatting, warnings, documentation
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps

families: setup ## the README's table of model families, cell by cell; fails if one does
	$(CARGO) test --locked --lib every_family -- --nocapture

bench: setup ## the tables of the README: accuracy by policy, early exit, cost of the attention export, drift of quantized models
	$(CARGO) run --release --locked --example evaluate
	$(CARGO) run --release --locked --example export_overhead
	$(CARGO) run --release --locked --example drift

setup:
	@./scripts/setup.sh
