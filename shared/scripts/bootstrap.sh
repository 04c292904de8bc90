#!/bin/sh
# Makes .venv from a bare python3 and installs what requirements.lock pins. Run by `make`, which sets uv's environment,
# when something changed.
# PYTHON names another interpreter: PYTHON=python3.12 make run.
set -eu
cd "$(dirname "$0")/../.."
venv=.venv
export UV_NO_PROGRESS=1 PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf '%s\n' "$*" >&2; }

version_of() { "$1" -c 'import sys; print(".".join(map(str, sys.version_info[:3])))' 2>/dev/null; }

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# Debian splits venv off: the module venv is there, ensurepip is not.
has_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

find_python() {
    without_venv=
    too_old=
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        version=$(version_of "$candidate") || continue
        if ! is_new_enough "$candidate"; then
            too_old="${too_old:-$candidate is Python $version}"
        elif ! has_venv "$candidate"; then
            without_venv="${without_venv:-$candidate}"
        else
            printf '%s\n' "$candidate"
            return
        fi
    done
    if [ -n "$without_venv" ]; then
        number=$(version_of "$without_venv" | cut -d. -f1,2)
        say "$without_venv (Python $number) cannot make virtual environments: install its venv module" \
            "(Debian, Ubuntu: apt install python$number-venv) and run make again."
    elif [ -n "$too_old" ]; then
        say "Stepwell needs Python 3.11 or newer, and $too_old: install a newer one" \
            "(Debian, Ubuntu: apt install python3 python3-venv), or name it: PYTHON=/path/to/python3.12 make ..."
    else
        say "${PYTHON:-python3} was not found: Stepwell needs Python 3.11 or newer" \
            "(Debian, Ubuntu: apt install python3 python3-venv), or name one: PYTHON=/path/to/python3.12 make ..."
    fi
    exit 1
}

if ! is_new_enough "$venv/bin/python"; then
    python=$(find_python)
    say "Making $venv with $python (Python $(version_of "$python")) ..."
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi

if ! "$venv/bin/uv" --version 2>/dev/null | grep -qF "$(sed -n 's/^uv==\([^ ]*\).*/\1/p' shared/scripts/uv.txt)"; then
    "$venv/bin/python" -m pip install --quiet --require-hashes --requirement shared/scripts/uv.txt
fi

say "Installing what requirements.lock pins ..."
install="$venv/bin/uv pip install --quiet --python $venv/bin/python"
$install --require-hashes --requirement requirements.lock
$install --no-deps --no-build-isolation --editable shared --editable services/screening --editable services/routing \
    --editable services/referral --editable services/measurement
