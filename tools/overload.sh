#!/usr/bin/env bash
# What becomes of running calls when more are asked for than the engine carries. Finds by
# bisection how many one pinned core carries well without admission, then offers it a tenth,
# a half and as much again, with admission. `make overload` builds and runs it.
#
#   LOW, HIGH  calls at a time between which the capacity is looked for
#   CALL_FOR   seconds that a call lasts      FOR  seconds of each run, the first CALL_FOR
#              of which fill the engine
#
# Carried well: of the reply frames at most one in 10,000 more is late than at half the
# load, and p99 of the response is at most 100 ms longer. Fails unless that holds at each
# load beyond the capacity, with 85 % of the capacity in use at least.
set -euo pipefail
cd "$(dirname "$0")/.."

source tools/common.sh
out=$PWD/target/overload
rm -rf "$out" && mkdir -p "$out"
others=1-$(($(nproc) - 1))
[ "$others" != 1-0 ] || { echo "this needs two cores" >&2; exit 1; }
engine=
trap '[ -z "$engine" ] || kill "$engine" 2>/dev/null; wait || true' EXIT

# Offers so many calls at a time to a fresh engine; sets late, p99, refused and active, the
# calls that ran on average from when it was full until the arrivals ended.
offer() {
  local name=$1 calls=$2
  shift 2
  env "$@" ANTIPHON_SERVER__HTTP=127.0.0.1:0 ANTIPHON_SERVER__SIMULATOR=127.0.0.1:0 \
    ANTIPHON_SERVER__MEDIA_THREADS=1 ANTIPHON_EVENTS__PATH="$out/$name.jsonl" \
    taskset -c 0 "$antiphon" serve --config benches/peers.toml >"$out/$name" 2>"$out/$name.log" &
  engine=$!
  local http
  http=$(listens_at "$out/$name")
  taskset -c "$others" "$antiphon" load --url "${http/http/ws}/v1/stream" \
    --rate "$(awk "BEGIN { print $calls / ${CALL_FOR:?} }")" --call-for "${CALL_FOR}s" \
    --for "${FOR:?}s" --ramp 5s --speech tests/audio/cards_00?.wav --interrupt 0 \
    --watch "$http/metrics" --out "$out/load-$name" >"$out/load-$name.txt" 2>&1 || true
  kill "$engine" && wait "$engine" || true
  engine=
  figures=$(python3 - "$out/load-$name/load.json" "$CALL_FOR" "$FOR" <<'PY'
import json, sys
report, fill_s, for_s = json.load(open(sys.argv[1])), float(sys.argv[2]), float(sys.argv[3])
full = [it for it in report["intervals"] if fill_s < it["at_s"] < for_s]
running = [it["calls"] for it in full] or [0]
p99 = report["response_ms"]["p99"] or 0
print(report["late_share"], p99, report["refused"], sum(running) / len(running))
PY
  )
  read -r late p99 refused active <<<"$figures"
  printf '%-10s %5d calls offered: %7.1f carried, %d refusals, %.4f %% of frames late, p99 %.0f ms\n' \
    "$name" "$calls" "$active" "$refused" "$(awk "BEGIN { print 100 * $late }")" "$p99"
}

is_well() { awk "BEGIN { exit !($late <= $late_base + 0.0001 && $p99 <= $p99_base + 100) }"; }

without=(ANTIPHON_LIMITS__LATE_MS_MAX=0 ANTIPHON_LIMITS__BUSY_PERCENT_MAX=0)
low=${LOW:?} high=${HIGH:?}
offer control "$((low / 2))" "${without[@]}"
late_base=$late p99_base=$p99
while [ $((high - low)) -gt $((high / 20)) ]; do
  middle=$(((low + high) / 2))
  offer "probe-$middle" "$middle" "${without[@]}"
  if is_well; then low=$middle; else high=$middle; fi
done
echo "carried well without admission: $low calls"
offer half "$((low / 2))"
late_base=$late p99_base=$p99
failed=0
for percent in 110 150 200; do
  offer "load-$percent" "$((low * percent / 100))"
  is_well || { echo "MISSED: running calls suffer at $percent % of the capacity"; failed=1; }
  awk "BEGIN { exit !($active >= 0.85 * $low) }" \
    || { echo "MISSED: less than 85 % of the capacity in use"; failed=1; }
done
exit "$failed"
