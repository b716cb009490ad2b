#!/usr/bin/env bash
# What it costs to ask a binary cache for many paths over loopback: `phasesplit cache status`'s way, the plainest questions
# with as many connections (and wrk's, where it is installed), and `nix path-info --store`. Every answer of phasesplit's is
# checked: that its record is signed.
#
# variables:
#   PHASESPLIT_BENCH_PATHS    how many paths (default 1000)
#   PHASESPLIT_BENCH_ROUNDS   how often each thing is measured; the median counts (default 5)
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/nix-env.sh
. scripts/nix-env.sh
paths=${PHASESPLIT_BENCH_PATHS:-1000}
rounds=${PHASESPLIT_BENCH_ROUNDS:-5}
command -v nginx >/dev/null || { printf 'bench-cache: nginx is missing (Debian: nginx-light)\n' >&2; exit 4; }
PHASESPLIT_STATE_BIN=${PHASESPLIT_STATE_BIN:-$PWD/target/$(rustc -vV | sed -n 's/^host: //p')/release/phasesplit-state} \
  cargo build --quiet --locked --release --example ask_caches
ask=$PWD/target/release/examples/ask_caches

work=$(mktemp -d)
server=
finish() {
  if [[ $server ]]; then kill "$server" 2>/dev/null || true; fi
  rm -rf -- "$work"
}
trap finish EXIT
cd "$work"

# One derivation with as many outputs: paths that need a signature.
# shellcheck disable=SC2016 # for Nix and the builder
expression='{ count }: derivation {
  name = "bench-cache";
  system = builtins.currentSystem;
  outputs = builtins.genList (n: "o${toString n}") count;
  builder = "/bin/bash";
  args = [ "-c" "for output in $outputs; do echo $output > \${!output}; done; exit 0" ];
}'
nix-store --generate-binary-cache-key bench-1 secret public
drv=$(nix-instantiate --expr "$expression" --arg count "$paths" | sed 's/!.*//' | head -n 1)
nix-store --realise "$drv" 2>/dev/null >paths
xargs -n 100000 nix --extra-experimental-features nix-command copy \
  --to "file://$work/cache?compression=none&secret-key=$work/secret" <paths 2>copied || { cat copied >&2; exit 4; }

cat >nginx.conf <<CONFIGURATION
worker_processes 1; daemon off; pid $work/pid; error_log $work/errors;
events { worker_connections 1024; }
http { access_log off; keepalive_requests 100000; client_body_temp_path $work/t1; proxy_temp_path $work/t2;
  fastcgi_temp_path $work/t3; uwsgi_temp_path $work/t4; scgi_temp_path $work/t5;
  server { listen 127.0.0.1:18765; root $work/cache; } }
CONFIGURATION
chmod 755 "$work"
nginx -c "$work/nginx.conf" -e "$work/errors" &
server=$!
for _ in {1..50}; do
  if (: <>/dev/tcp/127.0.0.1/18765) 2>/dev/null; then break; fi
  sleep 0.1
done
url=http://127.0.0.1:18765

median() { sort -n | awk '{ line[NR] = $1 } END { print line[int((NR + 1) / 2)] }'; }

# Seconds of a command, as milliseconds: by the clock, and of the processor.
clock() {
  local TIMEFORMAT='%3R %3U %3S'
  { time "$@" >/dev/null 2>&1; } 2>&1 | awk '{ printf "%.1f %.1f\n", $1 * 1000, ($2 + $3) * 1000 }'
}

questions() { "$ask" "$url" "$(cat public)" <paths; }

# Without what it remembers.
path_info() {
  XDG_CACHE_HOME=$(mktemp -d -p "$work") xargs -n 100000 nix --extra-experimental-features nix-command path-info --json \
    --store "$url" <paths
}

cat >ask.lua <<'LUA'
local names, at = {}, 0
function init(arguments)
  for line in io.lines(arguments[1]) do names[#names + 1] = "/" .. line:match("/([^/-]+)-[^/]*$") .. ".narinfo" end
end
function request() at = at % #names + 1; return wrk.format("GET", names[at]) end
LUA

# In turns, so that what else the machine does is the same for all.
for ((round = 0; round < rounds; round++)); do
  "$ask" "$url" "$(cat public)" 1 <paths >>asked
  clock questions >>whole
  if command -v wrk >/dev/null; then
    wrk -t 1 -c 64 -d 1 -s ask.lua "$url" -- paths | awk -v paths="$paths" '/^Requests\/sec/ { printf "%.1f\n", paths / $2 * 1000 }' >>rates
  fi
  clock path_info >>path-info
done
awk -v paths="$paths" '$6 != paths { print "bench-cache: only " $6 " are said to be signed" >"/dev/stderr"; exit 1 }' asked
printf '%s paths over loopback, milliseconds, median of %s by the clock (of the processor):\n' "$paths" "$rounds"
line() { printf '  %-44s %8s %s\n' "$@"; }
processor() { printf '(%s)' "$(awk '{ print $2 }' "$1" | median)"; }
if [[ -s rates ]]; then line 'wrk, at its rate' "$(median <rates)" ''; fi
line 'plain questions, a thread for each of 64' "$(awk '{ print $2 }' asked | median)" ''
line 'phasesplit, no key trusted' "$(awk '{ print $8 }' asked | median)" ''
line 'phasesplit, with signatures' "$(awk '{ print $4 }' asked | median)" ''
line 'the same as a process of its own' "$(median <whole)" "$(processor whole)"
line 'nix path-info --store' "$(median <path-info)" "$(processor path-info)"
