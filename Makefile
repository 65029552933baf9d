# The only door for people. Each target is a line or two; what takes more stands in tools/.

CARGO ?= cargo
PYTHON ?= python3

# The packages are tested on each release of Debian that they are for; RELEASE=bookworm or RELEASE=trixie picks one.
ON_RELEASE = $(addprefix --release ,$(RELEASE))

.DEFAULT_GOAL := help
.PHONY: help demo test test-nightly bench lint doc assets setup setup-demo golden peers home-assistant home-assistant-live page page-daemon page-contract page-kiosk clean-machine build-arm64 build-armv7 test-grant-c test-grant-python deb deb-opener deb-arm64 deb-test system-test system-test-smoke system-test-arm64 test-training model liveness liveness-visits liveness-turns covered convert-liveness convert-keras convert-onnx test-arm64 bench-arm64 setup-system fuzz corpora torture reliability scale opening
.NOTPARALLEL:

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup-demo assets ## Enrol a person, replay a visit, watch the decisions arrive over MQTT
	$(CARGO) run --profile demo --locked --features demo -- demo

test: setup assets lint doc ## Run every check that a change must pass
	CARGO=$(CARGO) tools/run_tests.sh
	CARGO=$(CARGO) tools/check_grant_c.sh
	PYTHON=$(PYTHON) tools/in_venv.sh crates/grant/examples/requirements.txt crates/grant/examples/verify_grant_test.py
	$(PYTHON) -m unittest discover --start-directory tools --pattern '*_test.py'
	$(PYTHON) -m unittest discover --start-directory tests/system --pattern '*_test.py'
	$(PYTHON) -m unittest discover --verbose --start-directory models/training/tests --top-level-directory models/training

test-grant-c: ## Hold the verifier's C interface to the table of forgeries, and build it without std
	CARGO=$(CARGO) tools/check_grant_c.sh

test-grant-python: ## Hold the example of a verifier in Python to the table of forgeries
	PYTHON=$(PYTHON) tools/in_venv.sh crates/grant/examples/requirements.txt crates/grant/examples/verify_grant_test.py

test-nightly: setup assets ## Run the tests that take minutes
	CARGO=$(CARGO) tools/run_tests.sh nightly

torture: setup assets ## Kill the real daemon COUNT times (10,000), and cut its power as often below SQLite (hours)
	CARGO=$(CARGO) tools/faults.sh torture $(or $(COUNT),10000)

reliability: setup assets ## Run the fault matrix and make the table of docs/reliability.md of what it showed
	CARGO=$(CARGO) tools/faults.sh document

fuzz: ## Run each fuzz target for SECONDS (60); TARGETS="grant rows" names some (fuzz/)
	@tools/setup_debian.sh fuzz
	tools/fuzz.sh $(or $(SECONDS),60) $(TARGETS)

corpora: ## Write the first inputs of the fuzz targets anew (fuzz/corpus)
	DEEPID_EDGE_CORPORA_WRITE=1 $(CARGO) test --locked --test corpora first_inputs

test-training: assets ## Test the training project with PyTorch and TensorFlow (a large download, once)
	models/training/test.sh

bench: assets ## Measure every stage and the whole frame
	$(CARGO) bench --locked

lint: ## Check formatting, clippy, licences, advisories, unused dependencies, the stated Rust version
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets --features deepid-edge/demo -- -D warnings
	$(CARGO) clippy --locked -- -D warnings
	$(CARGO) clippy --locked --features lab -- -D warnings
	tools/check_dependencies.sh

doc: ## Build the library's documentation; a broken link fails
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --features deepid-edge/demo --no-deps --document-private-items

assets: ## Fetch the TFLite library, the detectors and the demo's photographs (assets.toml)
	@$(PYTHON) tools/fetch_assets.py

setup: ## Install the Debian packages that `make test` needs, or say the command that does
	@tools/setup_debian.sh test

setup-demo: ## The same for `make demo`, which needs fewer
	@tools/setup_debian.sh demo

golden: assets ## Make the golden files anew with the reference in Python
	tools/in_venv.sh tests/golden/requirements.txt tests/golden/make_golden.py

scale: assets ## Search a gallery of REFERENCES (1,000,000), and put DOORS (1,000) on one broker (half an hour)
	$(CARGO) run --release --locked --features lab -- evaluate search --references $(or $(REFERENCES),1000000)
	DOORS=$(or $(DOORS),1000) $(CARGO) bench --locked --bench doors

opening: assets ## Time a decision on its way to a hub and to the real opener (a minute)
	$(CARGO) build --release --locked --package deepid-opener
	GRANTS=$(or $(GRANTS),200) $(CARGO) bench --locked --bench opening

peers: assets ## Time ours beside the same work done by OpenCV and Python, in turns
	$(CARGO) bench --locked --bench peers -- python

home-assistant: ## Hold the blueprints and the discovery message to Home Assistant's own code
	PYTHON=$(PYTHON) tools/home_assistant.sh tests/home_assistant/check.py

home-assistant-live: assets ## Try the door in a real Home Assistant, at a real broker (ten minutes; root, or PYTHON=python3.14)
	@tools/setup_debian.sh home-assistant
	$(CARGO) build --locked --features demo
	PYTHON=$(PYTHON) tools/in_venv.sh tests/home_assistant/client_requirements.txt tests/home_assistant/live.py

page: ## Check the door's page in a real Chromium, against a mock of the daemon
	@tools/setup_debian.sh page
	PYTHON=$(PYTHON) tools/in_venv.sh tests/page/requirements.txt tests/page/check.py

page-daemon: assets ## The same against a real daemon, before a camera that the test directs
	@tools/setup_debian.sh page
	$(CARGO) build --locked --features demo
	PYTHON=$(PYTHON) tools/in_venv.sh tests/page/requirements.txt tests/page/check.py --daemon target/debug/deepid-edge

page-contract: assets ## Hold a real daemon to the document of its API (schemathesis, two minutes)
	$(CARGO) build --locked --features demo
	PYTHON=$(PYTHON) tools/in_venv.sh tests/page/requirements-contract.txt tests/page/contract.py

page-kiosk: assets ## Try the kiosk's unit under systemd, with cage and Chromium in a container (root)
	@tools/setup_debian.sh deb-test
	$(CARGO) build --locked --features demo
	PYTHON=$(PYTHON) tools/in_venv.sh tests/page/requirements-kiosk.txt tests/page/kiosk_unit.py

model: assets ## Train, quantise, calibrate and measure a DeepID2 (hours; DATA=, OUT=, models/training/README.md)
	@models/training/make_model.sh

convert-keras: assets ## Make an int8 TFLite with a card out of a Keras DeepID2 (FILE=x.h5 FACES=folder)
	@models/training/convert_keras.sh

convert-onnx: assets ## Make a TFLite with a card out of an ONNX face embedder (FILE=x.onnx)
	@models/training/convert_onnx.sh

liveness: assets ## Draw attacks, train, quantise and calibrate the liveness network (hours; DATA=, OUT=)
	@models/training/liveness/make_liveness.sh

liveness-visits: assets ## Draw films of live visits and attacks to measure by (FACES=folder OUT=folder)
	@models/training/liveness/make_visits.sh visits

liveness-turns: assets ## Draw visits that turn the head, live ones and attacks, to measure by (FACES=folder OUT=folder)
	@models/training/liveness/make_visits.sh turns

covered: assets ## Draw covers on faces, train, quantise and calibrate the judge of covered faces (hours; DATA=, OUT=)
	@models/training/covered/make_covered.sh

convert-liveness: assets ## Make a TFLite with a card out of a MiniFASNet's public weights (FILE=x.pth)
	@models/training/liveness/convert_liveness.sh

clean-machine: ## Run `make demo` and `make test` in a bare Debian 12, or RELEASE=trixie, with only Rust added (root)
	tools/try_clean_debian.sh

build-arm64: ## Build the program for a 64-bit ARM board
	@tools/setup_debian.sh arm64
	$(CARGO) build --release --locked --target aarch64-unknown-linux-gnu

build-armv7: ## Try to build it for 32-bit ARM, which ends at the TFLite binding (docs/limitations.md)
	@tools/setup_debian.sh armv7
	@echo 'build-armv7: LiteRT has no library for 32-bit ARM, and its binding is expected to stop the compiler'
	$(CARGO) build --release --locked --target armv7-unknown-linux-gnueabihf

deb: ## Pack the Debian package for this machine's processor into target/debian
	@tools/setup_debian.sh deb
	tools/make_deb.sh

deb-opener: ## Pack the Debian package of the opener for this machine's processor into target/deb-opener
	@tools/setup_debian.sh deb
	tools/make_deb_opener.sh

deb-arm64: ## Pack the Debian package for a 64-bit ARM board into target/debian
	@tools/setup_debian.sh deb-arm64
	tools/make_deb.sh aarch64

deb-test: ## Install, upgrade, remove, purge the packages in a Debian 12 and 13 of their own (root; RELEASE=trixie for one)
	@tools/setup_debian.sh deb-test
	$(PYTHON) tests/package/life_cycle.py $(ON_RELEASE)

test-arm64: deb-arm64 ## Run the arm64 package's program as the processors of a Pi 3, 4 and 5 would
	@tools/setup_debian.sh test-arm64
	$(PYTHON) tests/arm64/check.py

bench-arm64: assets ## Count the instructions of a frame and its stages on those processors
	@tools/setup_debian.sh bench-arm64
	$(PYTHON) tools/fetch_assets.py --target aarch64
	$(PYTHON) tests/arm64/count_instructions.py

system-test: setup-system deb deb-opener ## Test the packages on a real kernel: virtual machines with Debian 12 and 13 (RELEASE=trixie for one)
	$(CARGO) build --locked --features demo
	$(CARGO) build --locked --package deepid-grant --example sign_grant
	tests/system/run.py $(ON_RELEASE)

system-test-smoke: setup-system deb ## The part of it that every change must pass
	$(CARGO) build --locked --features demo
	tests/system/run.py --smoke $(ON_RELEASE)

system-test-arm64: deb deb-arm64 ## The same for the arm64 package, on an emulated Raspberry Pi 4's processor
	@tools/setup_debian.sh system-arm64
	$(CARGO) build --locked --features demo
	tests/system/run.py --architecture arm64 $(ON_RELEASE)

setup-system: ## The same as setup for `make system-test`
	@tools/setup_debian.sh system
