# Sourced by the other scripts: a virtual environment in .venv with this checkout installed. Skips what is done.
#   install_into_venv [EXTRA]     e.g. install_into_venv dev
PYTHON=${PYTHON:-python3.11}
command -v "$PYTHON" >/dev/null || PYTHON=python3
VENV=${VENV:-.venv}

install_into_venv() {
    local extra=${1:+[$1]}
    local stamp="$VENV/installed${1:+-$1}"
    [ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(cksum pyproject.toml)" ]; then
        return
    fi
    # torch first and alone: pip then takes the CPU build where one is offered.
    "$VENV/bin/python" -m pip install --quiet torch==2.13.0
    "$VENV/bin/python" -m pip install --quiet --editable ".$extra"
    cksum pyproject.toml >"$stamp"
}
