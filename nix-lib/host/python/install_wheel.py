"""Install a wheel: install_wheel.py WHEEL PREFIX SITE_PACKAGES.

The `installer` program would follow the distribution's own layout (Debian: local/lib/…/dist-packages), so its library is
called with ours. No byte code is written: it would name the hash of a source that relocation may still rewrite.
"""

import sys

from installer import install
from installer.destinations import SchemeDictionaryDestination
from installer.sources import WheelFile


def main(wheel: str, prefix: str, site_packages: str) -> None:
    scheme = {
        "purelib": site_packages,
        "platlib": site_packages,
        "headers": f"{prefix}/include",
        "scripts": f"{prefix}/bin",
        "data": prefix,
    }
    destination = SchemeDictionaryDestination(
        scheme,
        interpreter="/usr/bin/python3",
        script_kind="posix",
        bytecode_optimization_levels=(),
    )
    with WheelFile.open(wheel) as source:
        install(source, destination, additional_metadata={})


if __name__ == "__main__":
    main(*sys.argv[1:])
