#!/usr/bin/env bash
# Counts how often a thread that carries calls had to wait for a lock, while calls are held
# over WebSockets and over HTTP, where the requests of one call land on any thread.
# `make locks` builds and runs it.
#
#   CALLS  calls held at a time over each of the two
#
# A free lock is taken without the kernel; only who has to wait asks it to (futex). Threads that
# carry calls rest in epoll, so each such wait of theirs is a lock. `services` is left out: it
# rests in a futex when there is nothing to do. Fails at one wait in 10,000 frames of 20 ms, and
# at one in 1,000 for the locks of malloc, which are held while memory goes back to the system.
set -euo pipefail
cd "$(dirname "$0")/.."

source tools/common.sh
out=target/locks
rm -rf "$out" && mkdir -p "$out"
command -v strace >/dev/null || { echo "this needs strace (Debian package strace)" >&2; exit 2; }

ANTIPHON_SERVER__HTTP=127.0.0.1:0 ANTIPHON_SERVER__SIMULATOR=127.0.0.1:0 \
  ANTIPHON_EVENTS__PATH=$out/voice_metrics.jsonl \
  "$antiphon" serve --config benches/peers.toml >"$out/address" 2>"$out/serve.log" &
engine=$!
running=("$engine")
trap 'kill "${running[@]}" 2>/dev/null || true; wait || true' EXIT
http=$(listens_at "$out/address")

# Calls to the address "$1", whose report goes to "$2".
callers() {
  "$antiphon" load --url "$1" --calls "${CALLS:?}" --for 35s --ramp 10s \
    --speech tests/audio/cards_00?.wav --out "$2" >"$2.txt" 2>"$2.log" &
  running+=("$!")
}
callers "ws://${http#http://}/v1/stream" "$out/stream"
callers "$http" "$out/http"

# Frames of 20 ms that the engine has heard: 640 bytes at 16 kHz.
frames() {
  curl -sf "$http/metrics" |
    awk '/^antiphon_media_bytes_total\{.*direction="in"/ { bytes += $NF } END { print int(bytes / 640) }'
}

sleep 15 # the ramp is over
for task in "/proc/$engine/task"/*; do
  echo "${task##*/} $(cat "$task/comm")"
done >"$out/threads"
before=$(frames)
timeout 20 strace -f -qq -e trace=futex -p "$engine" -o "$out/futex" || true
heard=$(($(frames) - before))

# glibc's arenas begin at 64 MiB, their lock 0x30 behind.
awk -v heard="$heard" -v calls="$CALLS" '
  FILENAME == ARGV[1] { rests[$1] = $2 == "services"; next }
  !/FUTEX_WAIT/ || rests[$1] { next }
  { match($0, /futex\(0x[0-9a-f]+/); lock = substr($0, RSTART + 6, RLENGTH - 6) }
  lock ~ /[048c]000030$/ { malloc++; next }
  { waits++ }
  END {
    printf "%d calls over /v1/stream and %d over HTTP: %d frames heard in 20 s\n", calls, calls, heard
    printf "waits for a lock of the engine: %d; for one of malloc: %d\n", waits, malloc
    fflush()
    if (heard < calls * 1000) { print "too few frames to tell" > "/dev/stderr"; exit 3 }
    if (waits * 10000 > heard || malloc * 1000 > heard) {
      print "a lock is contended" > "/dev/stderr"; exit 1
    }
  }' "$out/threads" "$out/futex"
