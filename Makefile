# Antiphon. `make` lists what there is to do.

CARGO ?= cargo

# What the demo and the tests need from Debian: the recogniser with its model, and
# the synthesiser's library with its voices. A C compiler links the program.
PACKAGES := gcc libc6-dev libpocketsphinx3 pocketsphinx-en-us libflite1

# What tests/engine/prometheus.rs and tests/engine/operations.rs run. Unpacked, not installed: an installed
# Prometheus or HAProxy is a service that starts. Without them those tests say that they were
# skipped.
TOOLS := target/tools

# Asks nothing, waits for another apt to finish, and keeps needrestart from
# restarting services of the host.
SUDO    := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
APT_GET := $(SUDO) env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
	apt-get -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0
# Into the current folder; needs no root. As root, apt would warn that its sandbox has no
# access to that folder.
UNPACKED := apt-get -qq -o APT::Sandbox::User=root download
# Libraries of HAProxy that a minimal system lacks, by whatever names this release has them.
HAPROXY_LIBS = $$(apt-cache depends --recurse --no-suggests --no-recommends --no-breaks \
	--no-conflicts --no-replaces --no-enhances haproxy | grep -E '^lib(lua|opentracing)' | sort -u)
INSTALL := $(APT_GET) install -y --no-install-recommends

# The steps share one build folder, and their output is read in order.
.NOTPARALLEL:
.PHONY: help demo test deps packages prometheus haproxy tools build check format lint unit doc bench bench-smoke \
	soak production overload locks silero-weights vad-oracle vad-table gates-table words-table

help: ## list what there is to do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## install what is missing, build, place one scripted call
	$(CARGO) run --release --locked --quiet -- demo

test: tools format lint doc unit bench-smoke ## format, lints, documentation, tests, benches once

deps: packages prometheus haproxy ## only install what is missing from Debian (never starts a service)

packages:
	@missing=$$(for package in $(PACKAGES); do \
		dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' \
			|| echo $$package; \
	done); \
	[ -n "$$missing" ] || exit 0; \
	echo "installing:" $$missing; \
	$(INSTALL) $$missing </dev/null 2>/dev/null && exit 0; \
	echo "again, with new package lists"; \
	$(APT_GET) update </dev/null && $(INSTALL) $$missing </dev/null && exit 0; \
	echo "not installed:" $$missing >&2; \
	echo "see above; install them as root, then try again" >&2; \
	exit 1

prometheus:
	@[ -x $(TOOLS)/usr/bin/prometheus ] || command -v prometheus >/dev/null && exit 0; \
	echo "unpacking: prometheus (into $(TOOLS))"; \
	mkdir -p $(TOOLS) && cd $(TOOLS) \
		&& { $(UNPACKED) prometheus 2>/dev/null \
			|| { $(APT_GET) update && $(UNPACKED) prometheus; }; } \
			</dev/null >/dev/null 2>&1 \
		&& dpkg -x prometheus_*.deb . && rm prometheus_*.deb \
		|| echo "not unpacked: prometheus; the tests that need it will be skipped"

# Its libraries are beside it, so it is started by a script that says where.
haproxy:
	@[ -x $(TOOLS)/usr/bin/haproxy ] || command -v haproxy >/dev/null && exit 0; \
	echo "unpacking: haproxy (into $(TOOLS))"; \
	mkdir -p $(TOOLS)/usr/bin && cd $(TOOLS) \
		&& { $(UNPACKED) haproxy $(HAPROXY_LIBS) 2>/dev/null \
			|| { $(APT_GET) update && $(UNPACKED) haproxy $(HAPROXY_LIBS); }; } \
			</dev/null >/dev/null 2>&1 \
		&& for package in haproxy_*.deb lib*.deb; do dpkg -x $$package . && rm $$package; done \
		&& printf '%s\n' '#!/bin/sh' 'usr=$$(dirname "$$(readlink -f "$$0")")/..' \
			'LD_LIBRARY_PATH=$$(echo "$$usr"/lib/*-linux-gnu*) exec "$$usr/sbin/haproxy" "$$@"' \
			> usr/bin/haproxy && chmod +x usr/bin/haproxy \
		|| echo "not unpacked: haproxy; the tests that need it will be skipped"

# A minimal Rust has neither of the two.
tools:
	@{ $(CARGO) fmt --version && $(CARGO) clippy --version; } >/dev/null 2>&1 \
		|| rustup component add rustfmt clippy

build: packages ## only build the release binary
	$(CARGO) build --release --locked

check: tools format lint ## the fast part of `make test`

format:
	$(CARGO) fmt --check

lint: packages
	$(CARGO) clippy --all-targets --locked -- -D warnings

# cargo-nextest is used where it is installed; it runs no documentation tests.
unit: deps
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
		$(CARGO) nextest run --locked --no-fail-fast && $(CARGO) test --doc --locked; \
	else \
		$(CARGO) test --locked --no-fail-fast; \
	fi

doc: packages
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --document-private-items --locked

# Crates of its own that the engine does not need; see tools/silero/README.md.
SILERO := $(CARGO) run --release --locked --quiet --manifest-path tools/silero/Cargo.toml --

silero-weights: ## take the weights of the voice detector out of the published model
	$(SILERO) weights assets/silero_vad_16k.bin

VAD_TRACK := $(CARGO) run --release --locked --quiet --example vad_track --

vad-oracle: ## let another runtime hear both tracks with the published model
	rm -rf target/vad-track
	$(VAD_TRACK) streams target/vad-track/labelled
	$(VAD_TRACK) held-out-streams target/vad-track/held-out
	$(SILERO) oracle target/vad-track/labelled tests/track/oracle.bin
	$(SILERO) oracle target/vad-track/held-out tests/track/held_out.bin

vad-table: ## measure the voice detectors in noise, into docs/vad.md
	$(VAD_TRACK) table docs/vad.md

words-table: ## measure which short words are found, into docs/vad.md
	$(VAD_TRACK) words docs/vad.md

gates-table: ## measure the gates behind the detector, into docs/vad.md
	$(VAD_TRACK) gates docs/vad.md

bench: packages ## measure what the stages of the audio path cost
	$(CARGO) bench --locked --bench '*'

bench-smoke: packages ## run every bench once, as the tests are built, to see that it works
	$(CARGO) test --locked --bench '*'

# About 70 % of what two cores hold, the callers on the same ones.
CALLS     ?= 1000
CALL_FOR  ?= 30
FOR       ?= 30m
WARM_UP   ?= 10m
MEMORY_MB ?= 10
LOW       ?= 800
HIGH      ?= 2000

production: CALLS = 400
production: FOR = 60s
production: build ## measure calls as in production, all of it under TLS, beside plain ones
	@CALLS=$(CALLS) FOR=$(FOR) tools/production.sh

overload: CALL_FOR = 20
overload: FOR = 60
overload: build ## ask a core for more calls than it carries, and see that those it has do not suffer
	@CALL_FOR=$(CALL_FOR) FOR=$(FOR) LOW=$(LOW) HIGH=$(HIGH) tools/overload.sh

locks: CALLS = 150
locks: build ## count the waits for a lock while calls are held (needs strace)
	@CALLS=$(CALLS) tools/locks.sh

soak: build ## let calls come and go for half an hour, and see that the engine does not grow
	@CALLS=$(CALLS) CALL_FOR=$(CALL_FOR) FOR=$(FOR) WARM_UP=$(WARM_UP) MEMORY_MB=$(MEMORY_MB) \
		tools/soak.sh
