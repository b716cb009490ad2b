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

"$ask" "$url" "$(cat public)" "$rounds" <paths >asked
awk -v paths="$paths" '$6 != paths { print "bench-cache: only " $6 " are said to be signed" >"/dev/stderr"; exit 1 }' asked
for ((round = 0; round < rounds; round++)); do
  start=$(date +%s%N)
  # Without what it remembers.
  XDG_CACHE_HOME=$work/remembered-$round xargs -n 100000 nix --extra-experimental-features nix-command path-info --json \
    --store "$url" <paths >/dev/null
  tenths=$((($(date +%s%N) - start) / 100000))
  echo "${tenths%?}.${tenths: -1}" >>path-info
done
printf '%s paths over loopback, milliseconds, median of %s:\n' "$paths" "$rounds"
printf '  %-28s %8s\n' 'plain questions' "$(awk '{ print $2 }' asked | median)" \
  'phasesplit, with signatures' "$(awk '{ print $4 }' asked | median)" 'nix path-info --store' "$(median <path-info)"
if command -v wrk >/dev/null; then
  cat >ask.lua <<'LUA'
local names, at = {}, 0
function init(arguments)
  for line in io.lines(arguments[1]) do names[#names + 1] = "/" .. line:match("/([^/-]+)-[^/]*$") .. ".narinfo" end
end
function request() at = at % #names + 1; return wrk.format("GET", names[at]) end
LUA
  rate=$(wrk -t 1 -c 64 -d 3 -s ask.lua "$url" -- paths | sed -n 's/^Requests\/sec: *//p')
  printf '  %-28s %8s\n' "wrk, at its rate of $rate/s" "$(awk -v rate="$rate" -v paths="$paths" 'BEGIN { printf "%.1f", paths / rate * 1000 }')"
fi
