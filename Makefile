# Daily commands. `make demo` and `make test` need nothing but Rust on a fresh Debian, Ubuntu, Fedora or macOS machine:
# what else the build needs is installed where that can be done without asking, and named where it cannot.

CARGO := cargo
.PHONY: demo test lint families study bench setup

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

study: setup ## docs/study.md and docs/study-large.md: every policy on the embedded pair, about half an hour on two cores
	$(CARGO) run --release --locked -- study --limit 1200 > docs/study.md.partial
	mv docs/study.md.partial docs/study.md
	$(CARGO) run --release --locked -- study --bench scenes-large --limit 84 > docs/study-large.md.partial
	mv docs/study-large.md.partial docs/study-large.md

bench: setup ## what guidance costs and brings, phase by phase; its parts; cost of the attention export, drift of quantized models
	$(CARGO) run --release --locked -- bench
	$(CARGO) bench --locked --bench guidance
	$(CARGO) run --release --locked --example export_overhead
	$(CARGO) run --release --locked --example drift

setup:
	@./scripts/setup.sh
