#!/usr/bin/env bash
# Install packages of Debian without questions and without starting what they hold: Slurm, munge and sshd run only in the
# virtual hosts of tests.
#
#     install.sh PACKAGE...       as root
set -euo pipefail
policy=/usr/sbin/policy-rc.d # what packages ask before they start a daemon; not there on most machines
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    trap 'rm -f "$policy"' EXIT
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
wait=(-o DPkg::Lock::Timeout=300)
apt-get "${wait[@]}" update -qq
apt-get "${wait[@]}" install -qq -y --no-install-recommends -o Dpkg::Options::=--force-confold "$@" </dev/null >/dev/null
