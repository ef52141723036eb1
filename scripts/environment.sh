# What scripts/run, scripts/test and scripts/check share: messages, the folder that they keep their
# state in, the packages and the virtual environment that they need. To be sourced by bash.
# shellcheck shell=bash

set -euo pipefail

# Whatever the caller's umask, www-data has to read what is installed; private files get their own.
umask 022
unset PYTHONPATH PYTHONHOME
export PATH="$PATH:/usr/sbin:/sbin"

clone=$(realpath -- "${BASH_SOURCE[0]%/*}/..")
python=${FLASK_DELEGATE_PYTHON:-/usr/bin/python3}

say() {
    printf '%s\n' "$*" >&2
}

# refuse MESSAGE... : it cannot work like this; the message says what to change.
refuse() {
    say "scripts/${0##*/}: $*"
    exit 2
}

# fail MESSAGE... : it should have worked.
fail() {
    say "scripts/${0##*/}: $*"
    exit 1
}

have() {
    command -v "$1" >/dev/null
}

# Sets 'state', and 'daemon_user' where Apache gives up root's rights for another user's.
choose_state() {
    if ((EUID == 0)); then
        daemon_user=www-data
        state=/var/lib/flask-delegate
        id -- "$daemon_user" >/dev/null 2>&1 ||
            refuse "there is no user $daemon_user. Create it, or run this as an ordinary user."
    else
        daemon_user=
        state=${XDG_STATE_HOME:-${HOME:?is not set}/.local/state}/flask-delegate
    fi
    # Neither the scripts that pip installs nor mod_wsgi-express's apachectl quote their paths.
    [[ $state =~ ^/[A-Za-z0-9._/@+-]+$ ]] ||
        refuse "cannot keep state in '$state'. Set XDG_STATE_HOME to an absolute path of letters," \
            "digits and . _ / @ + -"
    mkdir -p -- "$state/venv" || refuse "cannot write to $state."
}

# as_daemon COMMAND... : run it as the user that the portal runs as.
as_daemon() {
    if [[ $daemon_user ]]; then
        # setpriv finds its command with root's rights still; env has lost them.
        setpriv --reuid="$daemon_user" --regid="$daemon_user" --init-groups -- env "$@"
    else
        "$@"
    fi
}

# run_quietly COMMAND... : show what it prints only if it fails.
run_quietly() {
    local output status=0
    output=$("$@" </dev/null 2>&1) || status=$?
    ((status == 0)) || printf '%s\n' "$output" | tail -n 40 >&2
    return "$status"
}

# missing_packages COMMAND... : list Debian's packages for what is not there. apache2-bin is Apache
# without the service that the package apache2 would start. A COMMAND is its package's name, too,
# unless it ends in .so, which is the package of an Apache module.
missing_packages() {
    local command
    have apache2 || have httpd || echo apache2-bin
    have apxs || have apxs2 || echo apache2-dev
    have gcc || have cc || printf '%s\n' gcc libc6-dev
    have "$python" || echo python3
    "$python" -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
    "$python" -c '
import os, sysconfig
os.stat(os.path.join(sysconfig.get_path("include"), "Python.h"))' 2>/dev/null || echo python3-dev
    [[ -e /etc/ssl/certs/ca-certificates.crt ]] || echo ca-certificates
    for command; do
        case $command in
            *.so)
                [[ -e /usr/lib/apache2/modules/$command ]] ||
                    echo "libapache2-$(tr _ - <<<"${command%.so}")"
                ;;
            *) have "$command" || echo "$command" ;;
        esac
    done
}

# install_packages COMMAND... : what Apache, mod_wsgi and a virtual environment need, and COMMANDs.
install_packages() {
    local missing sudo=() apt=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300)
    mapfile -t missing < <(missing_packages "$@")
    ((${#missing[@]})) || return 0
    have apt-get ||
        refuse "missing: ${missing[*]} (Debian's names), and there is no apt-get to install them." \
            "Install Apache 2.4 with apxs, a C compiler, and Python 3.11 with venv and headers."
    if ((EUID != 0)); then
        have sudo ||
            refuse "missing: ${missing[*]}. Without sudo, have root run:" \
                "apt-get install --no-install-recommends ${missing[*]}"
        sudo=(sudo)
    fi
    say "installing ${missing[*]} ..."
    run_quietly "${sudo[@]}" "${apt[@]}" update || fail "apt-get update failed."
    run_quietly without_services "${apt[@]}" install --yes --no-install-recommends \
        "${missing[@]}" ||
        fail "apt-get could not install ${missing[*]}."
    hash -r
    mapfile -t missing < <(missing_packages "$@")
    ((${#missing[@]} == 0)) ||
        refuse "$python still lacks ${missing[*]}. Choose another with FLASK_DELEGATE_PYTHON."
}

# without_services COMMAND... : run it with root's rights, and let Debian's packages start nothing: a
# server that is installed for the tests must not listen to the world. Uses 'sudo'.
without_services() (
    policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
        trap '"${sudo[@]}" rm -f -- "$policy"' EXIT
        trap 'exit 143' INT TERM
        printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" install -m 0755 /dev/stdin "$policy"
    fi
    "${sudo[@]}" "$@"
)

check_python() {
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        refuse "$python is $("$python" -V), and 3.11 or later is needed." \
            "Choose another with FLASK_DELEGATE_PYTHON=/path/to/python3."
    as_daemon "$python" -c '' 2>/dev/null ||
        refuse "the user $daemon_user, which the portal runs as, cannot run $python." \
            "Choose another with FLASK_DELEGATE_PYTHON, such as /usr/bin/python3."
}

# list_requirements EXTRA... : those of the project and of the extras, one a line.
list_requirements() {
    "$python" - "$clone/pyproject.toml" "$@" <<'PYTHON'
import sys
import tomllib

path, *extras = sys.argv[1:]
with open(path, "rb") as file:
    project = tomllib.load(file)["project"]
print(*project["dependencies"], sep="\n")
for extra in extras:
    print(*project["optional-dependencies"][extra], sep="\n")
PYTHON
}

# use_venv EXTRA... : sets 'venv' to an environment with the requirements; the project is not in it.
use_venv() {
    local requirements key
    requirements=$(list_requirements "$@")
    key=$(printf '%s\n' "$requirements" "$(realpath -- "$(command -v "$python")")" \
        "$("$python" -VV)" | sha256sum)
    venv=$state/venv/${key:0:16}
    [[ -e $venv/complete ]] || (
        flock 9
        # Another command may have made it while this one waited.
        [[ -e $venv/complete ]] || build_venv "$requirements"
    ) 9>>"$venv.lock"
}

# build_venv REQUIREMENTS : in 'venv', afresh; the file 'complete' comes last.
build_venv() {
    say "installing Python packages ..."
    rm -rf -- "$venv"
    run_quietly "$python" -m venv "$venv" || fail "cannot make a virtual environment in $venv."
    printf '%s\n' "$1" >"$venv/requirements.txt"
    # A mod_wsgi in pip's cache may have been built for another interpreter of the same version.
    run_quietly "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --no-cache-dir --requirement "$venv/requirements.txt" ||
        fail "pip could not install the packages."
    touch -- "$venv/complete"
}
