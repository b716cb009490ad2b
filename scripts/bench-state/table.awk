# The table of bench-state.sh. Input: TREE WHAT WHO WALL CPU KIB BYTES, a line for each round.
# Printed are medians, for wall also least and most; then the ratios of phasesplit to tar|zstd (a full save of it, where
# it knows nothing shorter), and of a chain to one snapshot.

function median(values,    sorted, n, i, j, v) {
  n = split(values, sorted, " ")
  for (i = 2; i <= n; i++) {
    v = sorted[i] + 0
    for (j = i - 1; j > 0 && sorted[j] + 0 > v; j--) sorted[j + 1] = sorted[j]
    sorted[j + 1] = v
  }
  least = sorted[1] + 0
  most = sorted[n] + 0
  return n % 2 ? sorted[(n + 1) / 2] + 0 : (sorted[n / 2] + sorted[n / 2 + 1]) / 2
}

function ratio(tree, one, other) {
  if (!((tree, one) in walls) || !((tree, other) in walls)) return
  printf "%-6s %-44s wall %.3f  cpu %.3f", tree, one " : " other, wall[tree, one] / wall[tree, other], cpu[tree, one] / cpu[tree, other]
  if (bytes[tree, one] && bytes[tree, other]) printf "  bytes %.3f", bytes[tree, one] / bytes[tree, other]
  printf "\n"
}

{
  key = $1 SUBSEP $2 " " $3
  if (!(key in walls)) order[++count] = key
  if (!seen[$1]++) trees[++tree_count] = $1
  whats[$2]
  walls[key] = walls[key] " " $4
  cpus[key] = cpus[key] " " $5
  peaks[key] = peaks[key] " " $6
  sizes[key] = sizes[key] " " $7
}

END {
  printf "%-6s %-20s %-10s %8s %17s %8s %9s %14s\n", "tree", "what", "who", "wall s", "least-most", "cpu s", "peak MiB", "bytes"
  for (i = 1; i <= count; i++) {
    key = order[i]
    split(key, part, SUBSEP)
    split(part[2], name, " ")
    cpu[key] = median(cpus[key])
    bytes[key] = median(sizes[key])
    peak = median(peaks[key]) / 1024
    wall[key] = median(walls[key])
    printf "%-6s %-20s %-10s %8.3f %8.3f-%8.3f %8.3f %9.1f %14d\n", part[1], name[1], name[2], wall[key], least, most, cpu[key], peak, bytes[key]
  }
  printf "\nratios\n"
  for (i = 1; i <= tree_count; i++) {
    t = trees[i]
    full = "save-full tar|zstd"
    ratio(t, "save-full phasesplit", full)
    ratio(t, "save-full cp", full)
    ratio(t, "save-1% phasesplit", full)
    ratio(t, "save-1% crane", full)
    ratio(t, "save-unchanged phasesplit", full)
    ratio(t, "save-unchanged crane", full)
    ratio(t, "restore-one phasesplit", "restore-one tar|zstd")
    ratio(t, "restore-one cp", "restore-one tar|zstd")
    for (what in whats) if (what ~ /layers$/) {
      ratio(t, what " phasesplit", what " snapshot")
      ratio(t, what " crane", what " snapshot")
    }
  }
}
