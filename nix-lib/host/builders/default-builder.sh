# shellcheck shell=bash
# What a package without a builder of its own runs.
genericBuild
