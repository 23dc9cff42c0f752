# Daily commands. `make demo` and `make test` need nothing but Rust on a fresh Debian, Ubuntu, Fedora or macOS machine:
# what else the build needs is installed where that can be done without asking, and named where it cannot.

CARGO := cargo
.PHONY: demo test test-page test-clients test-load fuzz lint families study bench setup

demo: setup ## the main job on the embedded pair
	$(CARGO) run --release --locked -- demo

test: setup ## everything that is tested
	$(CARGO) test --locked --workspace
	LLAMA_ATTN_MASS_NODES=1 $(CARGO) test --locked --lib llama:: # the attention export as devices compute it

CLIENTS := 32
SECONDS := 60
test-load: setup ## a server under load, and faults one by one: what came, as a table (CLIENTS=32 SECONDS=60)
	$(CARGO) test --release --locked --test load -- --clients $(CLIENTS) --seconds $(SECONDS)

FUZZERS := request data_url media gguf geometry selection
fuzz: setup ## every fuzz target for a while (SECONDS=60, FUZZERS="media gguf"); see fuzz/README.md
	@$(CARGO) fuzz --version >/dev/null 2>&1 || { echo "error: cargo-fuzz was not found" >&2; \
	    echo "hint: install it with: cargo install cargo-fuzz --locked" >&2; exit 1; }
	for target in $(FUZZERS); do fuzz/run.sh $$target $(SECONDS) || exit 1; done

test-page: setup ## the page of the server, in headless Chromium; axe-core looks for barriers
	@./scripts/setup-web.sh chromium node npm
	$(CARGO) build --locked
	npm install --prefix target/page-test --no-save --no-audit --no-fund --silent axe-core@4.14.1
	node --test tests/page/*.test.mjs

test-clients: setup ## the server with clients that we did not write: openai for Python and for Node, schemathesis
	@./scripts/setup-web.sh node npm python3
	$(CARGO) build --locked
	node tests/clients/run.mjs

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

bench: setup ## what guidance costs and brings, phase by phase; its parts; a server; cost of the attention export, drift of quantized models
	$(CARGO) run --release --locked -- bench
	$(CARGO) bench --locked --bench guidance
	$(CARGO) bench --locked --bench serving
	$(CARGO) run --release --locked --example export_overhead
	$(CARGO) run --release --locked --example drift

setup:
	@./scripts/setup.sh
