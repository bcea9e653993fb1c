# Antiphon. `make` lists what there is to do.

CARGO ?= cargo
BIN   := target/release/antiphon

# What the demo and the tests need from Debian: the recogniser with its model, and
# the synthesiser's library with its voices. A C compiler links the program.
PACKAGES := gcc libc6-dev libpocketsphinx3 pocketsphinx-en-us libflite1

SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: help deps build demo test format lint unit doc

help:
	@echo "make demo    install what is missing, build, place one scripted call"
	@echo "make test    format, lints, tests, documentation"
	@echo "make deps    only install what is missing (never starts a service)"
	@echo "make build   only build the release binary"

# Asks apt only for what is not there, so that it works offline once it has run.
deps:
	@missing=""; for package in $(PACKAGES); do \
		dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' \
			|| missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
		echo "installing:$$missing"; \
		$(SUDO) apt-get update -qq && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; \
	fi

build: deps
	$(CARGO) build --release --locked

demo: build
	$(BIN) demo

test: format lint unit doc

format:
	$(CARGO) fmt --check

lint: deps
	$(CARGO) clippy --all-targets --locked -- -D warnings

# cargo-nextest is used where it is installed; it runs no documentation tests.
unit: deps
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
		$(CARGO) nextest run --locked --no-fail-fast && $(CARGO) test --doc --locked; \
	else \
		$(CARGO) test --locked --no-fail-fast; \
	fi

doc: deps
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --locked
