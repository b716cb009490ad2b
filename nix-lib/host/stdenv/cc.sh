# shellcheck shell=bash
# The C toolchain of the machine. `stdenvNoCC` is the standard environment without this file.

export CC="${CC:-gcc}" CXX="${CXX:-g++}" LD="${LD:-ld}" AR="${AR:-ar}" AS="${AS:-as}" NM="${NM:-nm}"
export RANLIB="${RANLIB:-ranlib}" STRIP="${STRIP:-strip}" OBJCOPY="${OBJCOPY:-objcopy}" OBJDUMP="${OBJDUMP:-objdump}"
export READELF="${READELF:-readelf}" SIZE="${SIZE:-size}" STRINGS="${STRINGS:-strings}"
