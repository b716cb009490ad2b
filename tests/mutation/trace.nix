# A script's line that leaves a mark: `trace` goes where a test package's own scripts take it into $out, and once $out/trace
# is there, into that. The words are expanded when the script runs.
words: ''
  if [[ -e $out/trace ]]; then echo "${words}" >>"$out/trace"; else echo "${words}" >>"$NIX_BUILD_TOP/trace"; fi
''
