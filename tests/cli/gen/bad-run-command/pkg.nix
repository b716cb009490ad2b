{ runCommand }: runCommand "x" { } "touch $out"
