# The only door for people. Each target is a line or two; what takes more stands in tools/.

CARGO ?= cargo
PYTHON ?= python3

.DEFAULT_GOAL := help
.PHONY: help setup-demo setup assets demo test lint doc bench

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup-demo assets ## Show it: a person enrolled, a visit replayed, decisions arriving over MQTT
	$(CARGO) run --release --locked -- demo

test: setup assets lint ## Run every check that a change must pass
	$(CARGO) test --locked

lint: ## Formatting, clippy
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

doc: ## Build the library's documentation; a broken link fails
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps

bench: assets ## Measure every stage and the whole frame
	$(CARGO) bench --locked

assets: ## Fetch the TFLite library, the detectors and the demo's photographs (assets.toml)
	@$(PYTHON) tools/fetch_assets.py

setup-demo:
	@true
setup:
	@true
