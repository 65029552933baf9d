# The only door for people. Each target is a line or two; what takes more stands in tools/.

CARGO ?= cargo
PYTHON ?= python3

.DEFAULT_GOAL := help
.PHONY: help demo test bench lint doc assets setup setup-demo golden peers clean-machine system-test system-test-smoke system-test-arm64
.NOTPARALLEL:

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup-demo assets ## Enrol a person, replay a visit, watch the decisions arrive over MQTT
	$(CARGO) run --release --locked -- demo

test: setup assets lint doc ## Run every check that a change must pass
	$(CARGO) test --locked
	$(PYTHON) -m unittest discover --start-directory tools --pattern '*_test.py'
	$(PYTHON) -m unittest discover --start-directory tests/system --pattern '*_test.py'

bench: assets ## Measure every stage and the whole frame
	$(CARGO) bench --locked

lint: ## Check formatting, clippy, licences, advisories, unused dependencies, the stated Rust version
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	tools/check_dependencies.sh

doc: ## Build the library's documentation; a broken link fails
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items

assets: ## Fetch the TFLite library, the detectors and the demo's photographs (assets.toml)
	@$(PYTHON) tools/fetch_assets.py

setup: ## Install the Debian packages that `make test` needs, or say the command that does
	@tools/setup_debian.sh test

setup-demo: ## The same for `make demo`, which needs fewer
	@tools/setup_debian.sh demo

golden: assets ## Make the golden files anew with the reference in Python
	tools/in_venv.sh tests/golden/requirements.txt tests/golden/make_golden.py

peers: assets ## Time the same work done by OpenCV and Python, for comparison with `make bench`
	tools/in_venv.sh benches/peers/requirements.txt benches/peers/opencv_python.py

clean-machine: ## Run `make demo` and `make test` in a bare Debian 12 with only Rust added (root)
	tools/try_clean_debian.sh

system-test: setup-system deb ## Test the package on a real kernel: a virtual machine with systemd and cameras
	tests/system/run.py

system-test-smoke: setup-system deb ## The part of it that every change must pass
	tests/system/run.py --smoke

system-test-arm64: deb deb-arm64 ## The same for the arm64 package, on an emulated Raspberry Pi 4's processor
	@tools/setup_debian.sh system-arm64
	tests/system/run.py --architecture arm64

setup-system: ## The same as setup for `make system-test`
	@tools/setup_debian.sh system
