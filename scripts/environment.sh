# What scripts/* and deploy/install share: messages, the folder that they keep their state in, the
# packages and the virtual environment that they need. To be sourced by bash.
# shellcheck shell=bash

set -euo pipefail

# Whatever the caller's umask, www-data has to read what is installed; private files get their own.
umask 022
unset PYTHONPATH PYTHONHOME
export PATH="$PATH:/usr/sbin:/sbin"

clone=$(realpath -- "${BASH_SOURCE[0]%/*}/..")
program=$(realpath -- "$0")
program=${program#"$clone/"}
python=${FLASK_DELEGATE_PYTHON:-/usr/bin/python3}

say() {
    printf '%s\n' "$*" >&2
}

# refuse MESSAGE... : it cannot work like this; the message says what to change.
refuse() {
    say "$program: $*"
    exit 2
}

# fail MESSAGE... : it should have worked.
fail() {
    say "$program: $*"
    exit 1
}

have() {
    command -v "$1" >/dev/null
}

# Sets 'state', 'daemon_user' where Apache gives up root's rights for another user's, and the words
# 'as_daemon', which run a command as the user that the portal runs as.
choose_state() {
    as_daemon=(env)
    if ((EUID == 0)); then
        daemon_user=www-data
        # setpriv finds its command with root's rights still; env has lost them.
        as_daemon=(setpriv "--reuid=$daemon_user" "--regid=$daemon_user" --init-groups
            --pdeathsig TERM -- env)
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

# start COMMAND... : in the background, in a session of its own: Ctrl-C reaches it through this script
# only, end_jobs ends all of it, and it ends with this script, should that be killed. COMMAND is no
# function. The descriptors 8 and 9 are the locks of scripts/run, which are the script's alone.
start() {
    setsid setpriv --pdeathsig TERM -- "$@" </dev/null 8>&- 9>&- &
}

# interruptibly COMMAND... : start it and wait. bash heeds a signal while it waits, but not before a
# command in the foreground has ended; so everything that may take long runs like this.
interruptibly() {
    start "$@"
    wait "$!"
}

# Ends what was started, with all that it started itself. 'apache' may have left some behind.
end_jobs() {
    local group deadline=$((SECONDS + 15))
    # A job that was started this instant is not a group yet.
    for group in ${apache-} $(jobs -p); do
        signal TERM "$group" || continue
        while signal 0 "$group" && ((SECONDS < deadline)); do
            sleep 0.1
        done
        signal KILL "$group" || true
    done
}

# signal NAME GROUP
signal() {
    kill "-$1" -- "-$2" 2>/dev/null || kill "-$1" "$2" 2>/dev/null
}

# run_quietly COMMAND... : show what it prints only if it fails.
run_quietly() {
    local file output status=0
    file=$(mktemp)
    exec {output}>"$file"
    rm -f -- "$file" # nothing is left of it, however this ends
    "$@" </dev/null >&"$output" 2>&1 || status=$?
    ((status == 0)) || tail -n 40 "/dev/fd/$output" >&2
    exec {output}>&-
    return "$status"
}

# missing_packages WANTED... : list Debian's packages for what is not there. WANTED is mod_wsgi, for
# what pip builds that with; or a command that has its package's name; or PACKAGE:FILE.
missing_packages() {
    local wanted
    have "$python" || echo python3
    "$python" -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
    [[ -e /etc/ssl/certs/ca-certificates.crt ]] || echo ca-certificates
    for wanted; do
        case $wanted in
            mod_wsgi) missing_for_mod_wsgi ;;
            *:*) [[ -e ${wanted#*:} ]] || echo "${wanted%%:*}" ;;
            *) have "$wanted" || echo "$wanted" ;;
        esac
    done
}

# apache2-bin is Apache without the service that the package apache2 would start.
missing_for_mod_wsgi() {
    have apache2 || have httpd || echo apache2-bin
    have apxs || have apxs2 || echo apache2-dev
    have gcc || have cc || printf '%s\n' gcc libc6-dev
    "$python" -c '
import os, sysconfig
os.stat(os.path.join(sysconfig.get_path("include"), "Python.h"))' 2>/dev/null || echo python3-dev
}

# install_packages WANTED... : what a virtual environment needs, and what else is WANTED.
install_packages() {
    local missing sudo=() apt=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300)
    local fetch=(interruptibly "${apt[@]}")
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
        fetch=(sudo "${apt[@]}") # which may ask for a password: in the foreground
    fi
    say "installing ${missing[*]} ..."
    run_quietly "${fetch[@]}" update || fail "apt-get update failed."
    # What is fetched can be left half done, what is installed cannot: a signal has to wait then.
    run_quietly "${fetch[@]}" install --yes --no-install-recommends --download-only \
        "${missing[@]}" ||
        fail "apt-get could not fetch ${missing[*]}."
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
    policy=/usr/sbin/policy-rc.d mark='# made by Flask-Delegate, for as long as it installs packages'
    flock 7 # one at a time: the first one to end removes the policy
    # One with the mark is left from a command that was killed.
    if [[ ! -e $policy ]] || grep -qxF -- "$mark" "$policy"; then
        trap '"${sudo[@]}" rm -f -- "$policy"' EXIT
        trap 'exit 130' INT
        trap 'exit 143' TERM
        printf '%s\n' '#!/bin/sh' "$mark" 'exit 101' |
            "${sudo[@]}" install -m 0755 /dev/stdin "$policy"
    fi
    "${sudo[@]}" "$@" 7>&-
) 7>>"$state/installing.lock"

check_python() {
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        refuse "$python is $("$python" -V), and 3.11 or later is needed." \
            "Choose another with FLASK_DELEGATE_PYTHON=/path/to/python3."
    "${as_daemon[@]}" "$python" -c '' 2>/dev/null ||
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
    [[ -e $venv/complete ]] || make_venv "$requirements"
}

# make_venv REQUIREMENTS : in 'venv', afresh, unless another command makes it meanwhile.
make_venv() {
    exec 7>>"$venv.lock"
    interruptibly flock 7
    [[ -e $venv/complete ]] || fill_venv "$1"
    exec 7>&-
}

# fill_venv REQUIREMENTS : the file 'complete' comes last.
fill_venv() {
    say "installing Python packages ..."
    rm -rf -- "$venv"
    run_quietly interruptibly "$python" -m venv "$venv" ||
        fail "cannot make a virtual environment in $venv."
    printf '%s\n' "$1" >"$venv/requirements.txt"
    # A mod_wsgi in pip's cache may have been built for another interpreter of the same version. What
    # is built here stays in 'wheels': the tests of deploy/ install from there, without a network.
    local pip=("$venv/bin/python" -m pip --quiet --disable-pip-version-check --no-cache-dir)
    run_quietly interruptibly "${pip[@]}" wheel --use-pep517 \
        --wheel-dir "$venv/wheels" --requirement "$venv/requirements.txt" ||
        fail "pip could not fetch the packages."
    run_quietly interruptibly "${pip[@]}" install --no-index --find-links "$venv/wheels" \
        --requirement "$venv/requirements.txt" || fail "pip could not install the packages."
    touch -- "$venv/complete"
}

# use_browser_files [NPM-OPTION...]: sets 'browser' to a folder with the packages of npm that pages use,
# as the lock file names them. What is fetched stays in 'cache': the tests of deploy/ install from there.
use_browser_files() {
    local key
    key=$(cat -- "$clone"/portal/web/browser/package*.json <(printf '%s\n' "$@") | sha256sum)
    browser=$state/browser/${key:0:16}
    mkdir -p -- "$state/browser"
    exec 7>>"$browser.lock"
    interruptibly flock 7
    [[ -e $browser/complete ]] || fill_browser "$@"
    exec 7>&-
}

fill_browser() {
    say "installing browser packages ..."
    rm -rf -- "$browser"
    mkdir -- "$browser"
    cp -- "$clone"/portal/web/browser/{package.json,package-lock.json,.npmrc} "$browser"
    run_quietly interruptibly env "npm_config_cache=${npm_config_cache:-$browser/cache}" \
        npm ci --prefix "$browser" --ignore-scripts --no-update-notifier "$@" ||
        fail "npm could not fetch the browser packages."
    touch -- "$browser/complete"
}

# put_browser_files APP : what the portal's code in APP sends to browsers. Needs use_browser_files.
put_browser_files() {
    install -D -m 0644 -t "$1/portal/web/static/vendor" -- \
        "$browser/node_modules/tus-js-client/dist/tus.min.js" ||
        fail "cannot write to $1/portal/web/static/vendor."
}

# choose_sizes SERVER [CLIENTS] : sets and exports SIZE_..., as deploy/sizing.py finds them.
choose_sizes() {
    local found line
    found=$("$python" -I "$clone/deploy/sizing.py" "$1" ${2:+--clients "$2"} 2>&1) ||
        refuse "${found##*$'\n'}"
    unset "${!SIZE_@}"
    while IFS= read -r line; do
        export "${line?}"
    done <<<"$found"
}

# body_limit BYTES : what a server in front of the portal takes, above the portal's own limit for an
# upload, so that a little too much gets the portal's answer.
body_limit() {
    echo $(($1 + 64 * 1024 ** 2))
}
