#!/usr/bin/env bash
# Apptainer on a Debian that has no package of it, below a folder of its own: the packages of Debian's sid, which want a
# newer C library than the system's, are unpacked together with that library. Nothing of the system is changed.
#
#     apptainer.sh PREFIX      then PREFIX/command/apptainer is the program
#
# Needs root, patchelf and squashfs-tools.
set -euo pipefail
prefix=$(realpath -m "${1:?usage: apptainer.sh PREFIX}")
[ ! -x "$prefix/command/apptainer" ] || exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists/partial,archives/partial,packages,files,none}
touch "$work/status"

mirror=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources | head -n 1)
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:?no URIs in debian.sources} sid main" \
    >"$work/sources.list"
options=(-qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts="$work/none"
    -o Dir::Etc::PreferencesParts="$work/none" -o Dir::State::Lists="$work/lists" -o Dir::State::Status="$work/status"
    -o Dir::Cache::Archives="$work/archives" -o Dir::Cache="$work" -o APT::Sandbox::User=root)
apt-get "${options[@]}" update
(cd "$work/packages" && apt-get "${options[@]}" download apptainer libc6 libseccomp2 libsqlite3-0)
for package in "$work"/packages/*.deb; do dpkg-deb --extract "$package" "$work/files"; done

libraries=usr/lib/x86_64-linux-gnu
mkdir -p "$prefix"/{bin,etc,command,lib/newer,lib/x86_64-linux-gnu,var/lib/apptainer/mnt/session}
cp -a "$work/files/usr/bin/apptainer" "$prefix/bin/"
cp -a "$work/files/etc/apptainer" "$prefix/etc/"
cp -a "$work/files/$libraries/apptainer" "$prefix/lib/x86_64-linux-gnu/"
(cd "$work/files/$libraries" && cp -a ld-linux-x86-64.so.2 lib{c,m,dl,pthread,resolv}.so.[0-9]* libnss_* \
    libseccomp.so.2* libsqlite3.so.* "$prefix/lib/newer/")
# The starter takes the folder above its multiarch folder for the prefix.
for folder in bin etc var; do ln -sfn "../$folder" "$prefix/lib/$folder"; done
for program in "$prefix/bin/apptainer" "$prefix/lib/x86_64-linux-gnu/apptainer/bin/starter"; do
    patchelf --set-interpreter "$prefix/lib/newer/ld-linux-x86-64.so.2" --force-rpath \
        --set-rpath "$prefix/lib/newer" "$program"
done

# Root of a machine that withholds a capability can grant what it has, and no more.
dropped=$(python3 - "$prefix/etc/apptainer/capability.json" <<'EOF'
import json
import sys

NAMES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN "
    "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE "
    "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
).split()
with open("/proc/self/status") as status:
    bounding = int(next(line.split()[1] for line in status if line.startswith("CapBnd:")), 16)
held = ["CAP_" + name for bit, name in enumerate(NAMES) if bounding >> bit & 1]
with open(sys.argv[1], "w") as file:
    json.dump({"users": {"root": held}}, file)
print(",".join("CAP_" + name for bit, name in enumerate(NAMES) if not bounding >> bit & 1))
EOF
)
sed -i 's/^root default capabilities = .*/root default capabilities = file/' "$prefix/etc/apptainer/apptainer.conf"
cat >"$prefix/command/apptainer.new" <<EOF
#!/bin/sh
export APPTAINER_DROP_CAPS="\${APPTAINER_DROP_CAPS:-$dropped}"
exec "$prefix/bin/apptainer" "\$@"
EOF
chmod 755 "$prefix/command/apptainer.new"
"$prefix/command/apptainer.new" --version
mv "$prefix/command/apptainer.new" "$prefix/command/apptainer"
