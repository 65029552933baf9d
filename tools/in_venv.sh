#!/usr/bin/env bash
# Runs a Python script with its pinned packages in a virtual environment of its own.
#
# in   REQUIREMENTS SCRIPT [ARGUMENTS…]
#      PYTHON names the Python of a new environment, python3 without
# out  the script's output and exit code
#
# The environment lies under assets/venv, named by the sha256 of the requirements and of Python's
# version: changed pins get a new one, and a half-made one is never used.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly requirements=${1:?requirements file}
name=$({ cat "$requirements"; "${PYTHON:-python3}" --version; } | sha256sum | cut -c 1-12)
readonly venv=assets/venv/$name
mkdir -p assets/venv
# Whoever needs the same one at the same time waits.
exec 9>"assets/venv/$name.lock"
flock 9
if [ ! -e "$venv/complete" ]; then
    echo "venv: installing $requirements into $venv" >&2
    rm -rf "$venv"
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
    touch "$venv/complete"
fi
exec 9>&-
exec "$venv/bin/python" "${@:2}"
