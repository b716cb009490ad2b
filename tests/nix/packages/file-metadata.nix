# Makes a build directory with every kind of entry a file system has, and writes down two stages later what is left of
# it. The unsplit build is the oracle.
{ stdenv }:
stdenv.mkDerivation {
  name = "file-metadata";
  dontUnpack = true;
  outputs = [
    "out"
    "dev"
  ];

  buildPhase = ''
    mkdir tree
    cd tree
    echo dot >.dotfile
    mkdir .dotdir empty "with space" readonly
    echo linked >first; ln first second; ln first .dotdir/third
    mkfifo pipe
    ln -s nowhere dangling; ln -s first link; ln -s empty dirlink; ln -s / absolute
    printf newline >$'new\nline'; printf bytes >$'\xff\xfe'; printf dash >-leading-dash; printf q >"quote'\"\\"
    long=$(printf 'd%.0s' {1..90})
    mkdir -p $long/$long/$long; echo deep >$long/$long/$long/file
    longest=$(printf 'f%.0s' {1..250}); echo name >$longest
    truncate -s 50M sparse; printf middle | dd of=sparse bs=1 seek=20000000 conv=notrunc status=none
    truncate -s 1M hole-only
    printf start >tail-hole; truncate -s 3M tail-hole
    : >empty-file
    head -c 3000000 /dev/zero | tr '\0' 'x' >big
    echo executable >run; chmod 755 run
    echo unreadable >closed; chmod 000 closed
    echo readonly >readonly/file; chmod 400 readonly/file
    mkdir sticky; chmod 1777 sticky
    i=0
    while IFS= read -r -d "" path; do
      i=$((i + 1))
      touch -h -d "@$((1000000000 + i)).$(printf %09d $((i * 7919 % 1000000000)))" -- "$path"
    done < <(find . -depth -print0 | LC_ALL=C sort -z)
    touch -h -d '1960-01-01 00:00:00.123456789' -- link
    touch -d '2100-01-01 00:00:00.5' future || true
    touch -d '@0.000000001' first
    rm future
    chmod 555 readonly
    touch -d @1000000000.987654321 readonly
    touch -d @1000000001.000000001 . # the directory itself, last
    mkdir -p $out/inside $dev
    echo staged >$out/inside/file
    ln $out/inside/file $out/inside/hard
    echo $out >$dev/names-out
  '';

  installPhase = ''
    {
      find . -printf '%P|%y|%m|%n|%T@|%l|%s\0' | LC_ALL=C sort -z | tr '\0\n' '\n!'
      find . -type f ! -path ./closed -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
      stat -c '%n %b' sparse hole-only tail-hole | while read -r name blocks; do
        if ((blocks * 512 < 1000000)); then echo "$name keeps its holes"; else echo "$name is full: $blocks"; fi
      done
      find first second .dotdir/third -printf '%i\n' | sort -u | wc -l
    } >$dev/listing
  '';

  preFixup = ''
    {
      find . -printf '%P|%y|%m|%n|%T@|%l|%s\0' | LC_ALL=C sort -z | tr '\0\n' '\n!'
      find $out/inside -printf '%P %n\n' | sort
    } >$dev/listing-in-finish
    chmod -R u+w .
  '';
}
