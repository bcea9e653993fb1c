#!/usr/bin/env bash
# What a call costs as it would in production: callers come over wss, the recogniser listens
# over wss while they speak, the dialog platform and the synthesiser are asked over https,
# every event is written. Beside it the same calls with a recogniser that is asked over https
# when they have spoken, and with none of all that: ws, and answers made in the process.
# `make production` builds and runs it.
#
#   CALLS  calls held at a time        FOR  how long, the ramp of 10 s included
#
# The engine has core 0 for itself; callers and the stand-ins for the platforms share the
# other ones. The figures count from the end of the ramp on.
set -euo pipefail
cd "$(dirname "$0")/.."

source tools/common.sh
out=$PWD/target/production
rm -rf "$out" && mkdir -p "$out"
others=1-$(($(nproc) - 1))
[ "$others" != 1-0 ] || { echo "this needs two cores" >&2; exit 1; }
command -v openssl >/dev/null || { echo "this needs openssl (Debian package openssl)" >&2; exit 1; }
failed=0

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
  -subj /CN=antiphon -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE \
  -keyout "$out/key.pem" -out "$out/cert.pem" 2>/dev/null
export SSL_CERT_FILE=$out/cert.pem

running=()
trap 'kill "${running[@]}" 2>/dev/null; wait || true' EXIT

# Runs calls against an engine; what it is and how it is reached comes as variables.
measure() {
  local name=$1 ; shift
  env "$@" ANTIPHON_SERVER__HTTP=127.0.0.1:0 ANTIPHON_SERVER__SIMULATOR=127.0.0.1:0 \
    ANTIPHON_SERVER__MEDIA_THREADS=1 ANTIPHON_EVENTS__PATH="$out/$name.jsonl" \
    taskset -c 0 "$antiphon" serve --config benches/peers.toml >"$out/$name" 2>"$out/$name.log" &
  local engine=$!
  running+=("$engine")
  local http
  http=$(listens_at "$out/$name")
  taskset -c "$others" "$antiphon" load --url "${http/http/ws}/v1/stream" \
    --calls "${CALLS:?}" --for "${FOR:?}" --ramp 10s --speech tests/audio/cards_00?.wav \
    --interrupt 0 --watch "$http/metrics" --warm-up 12s --out "$out/load-$name" --max-errors 0 \
    --min-turns-ok 0.99 >"$out/load-$name.txt" 2>"$out/load-$name.log" || failed=1
  sed "s/^/$name: /" "$out/load-$name.txt" | grep -E 'calls |turns |response|engine|INVALID|MISSED'
  awk -v name="$name" -v calls="$CALLS" -F'[:,]' '/"cores"/ {
    printf "%s: %.3f ms of a core for each second of a call\n", name, 1000 * $2 / calls }' \
    "$out/load-$name/load.json"
  kill "$engine" && wait "$engine" || true
}

taskset -c "$others" "$antiphon" sandbox --addr 127.0.0.1:0 --tones --speech-pace 5 \
  --tls-certificate "$out/cert.pem" --tls-key "$out/key.pem" >"$out/sandbox" 2>&1 &
running+=("$!")
base=$(told 'listen on ' 'https://[0-9.:]*[0-9]' "$out/sandbox")

in_production() {
  measure "$@" \
    ANTIPHON_SERVER__TLS_CERTIFICATE_FILE="$out/cert.pem" ANTIPHON_SERVER__TLS_KEY_FILE="$out/key.pem" \
    ANTIPHON_ROUTE__DIALOG=cognigy-dialogs ANTIPHON_DIALOG__COGNIGY_DIALOGS__BASE_URL="$base/api/v2" \
    ANTIPHON_ROUTE__TTS=generic-http ANTIPHON_TTS__GENERIC_HTTP__ENDPOINT="$base" \
    COGNIGY_API_KEY=sandbox-key ANTIPHON_TTS_API_KEY=sandbox-key
}

measure plain
in_production utterances ANTIPHON_ROUTE__STT=openai-http \
  ANTIPHON_STT__OPENAI_HTTP__BASE_URL="$base" OPENAI_API_KEY=sandbox-key
in_production streaming ANTIPHON_ROUTE__STT=deepgram \
  ANTIPHON_STT__DEEPGRAM__BASE_URL="$base" DEEPGRAM_API_KEY=sandbox-key
exit "$failed"
