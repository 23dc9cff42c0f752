#!/bin/sh
# Makes sure that the named tools of the tests with a browser or with other clients are there: chromium, node, npm, python3.
# Installs them with apt-get where that needs no question asked; otherwise says what to install.
set -eu

missing() {
    for tool; do
        case $tool in
            chromium) command -v "${CHROMIUM:-chromium}" >/dev/null 2>&1 || printf ' chromium' ;;
            node) command -v node >/dev/null 2>&1 || printf ' nodejs' ;;
            python3) python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || printf ' python3-venv' ;;
            *) command -v "$tool" >/dev/null 2>&1 || printf ' %s' "$tool" ;;
        esac
    done
}

packages=$(missing "$@")
[ -z "$packages" ] && exit 0
echo "missing:$packages" >&2

root=""
[ "$(id -u)" = 0 ] || root="sudo -n"
install="apt-get install -y --no-install-recommends$packages"
if command -v apt-get >/dev/null 2>&1; then
    $root apt-get update -q >&2 && $root $install >&2 || true
fi

packages=$(missing "$@")
if [ -n "$packages" ]; then
    echo "error: still missing:$packages" >&2
    echo "hint: install them with your system's package manager (Debian: $install)" >&2
    echo "hint: another Chromium or Chrome can be named: CHROMIUM=path make test-page" >&2
    exit 1
fi
