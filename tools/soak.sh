#!/usr/bin/env bash
# Lets calls come and go on an engine of its own, and fails when the engine grows: its
# memory, its handles or its threads. `make soak` builds and runs it.
#
#   CALLS    calls at a time, on average        FOR      how long, the warm-up included
#   CALL_FOR seconds that a call lasts          WARM_UP  what growth does not count in
#
# The report goes to target/soak: load.html with plots, load.json. Exit status as of
# `antiphon load`: 0 flat, 1 grown or turns lost, 3 this machine was too slow to tell.
set -euo pipefail
cd "$(dirname "$0")/.."

source tools/common.sh
out=target/soak
mkdir -p "$out"
rm -f "$out"/voice_metrics.jsonl*
# It is looked for before the engine has begun to write.
: >"$out/address"

ANTIPHON_SERVER__HTTP=127.0.0.1:0 ANTIPHON_SERVER__SIMULATOR=127.0.0.1:0 \
  ANTIPHON_EVENTS__PATH=$out/voice_metrics.jsonl \
  "$antiphon" serve --config benches/peers.toml >"$out/address" &
engine=$!
trap 'kill "$engine" 2>/dev/null; wait "$engine" || true' EXIT

http=$(listens_at "$out/address")
"$antiphon" load --url "ws://${http#http://}/v1/stream" \
  --rate "$(awk "BEGIN { print ${CALLS:?} / ${CALL_FOR:?} }")" --call-for "${CALL_FOR}s" \
  --for "${FOR:?}" --ramp "${CALL_FOR}s" --speech tests/audio/cards_00?.wav \
  --watch "$http/metrics" --warm-up "${WARM_UP:?}" --out "$out" \
  --max-memory-growth-mb "${MEMORY_MB:?}" --max-handle-growth 2 --max-thread-growth 0.5 \
  --max-errors 0 --min-turns-ok 0.99
