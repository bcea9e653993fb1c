# What the scripts beside this one share; read with `source` from the top of the checkout.

# Two sockets for each call, one at either end.
ulimit -n "$(ulimit -Hn)"
antiphon=$(realpath "${CARGO_TARGET_DIR:-target}/release/antiphon")

# What "$2" prints behind "$1" in the file "$3", once it does.
told() {
  for _ in $(seq 100); do
    found=$(sed -n "s|^.*$1\($2\).*|\1|p" "$3" 2>/dev/null | head -1)
    [ -z "$found" ] || { echo "$found"; return; }
    sleep 0.1
  done
  echo "nothing listens: see $3" >&2
  exit 1
}

# Where an engine listens whose output goes to the file "$1".
listens_at() { told 'http  *' 'https*://[0-9.:]*' "$1"; }
