#!/usr/bin/env bash
# Proves that ./kd sets itself up on a machine that has nothing: a bare Debian 12 in a folder (debootstrap, minbase),
# with the .NET SDK of this machine and a fresh clone of this checkout's HEAD. Needs root and debootstrap; no CI step.
#
#   sudo tests/bare-debian.sh FOLDER [COMMAND]     COMMAND defaults to ./kd test; FOLDER is kept, and used again if it exists
#
# The network is reached as from here: proxy and certificate variables, resolv.conf, hosts, and apt's
# mirror in MIRROR (default: this machine's own) and certificates of one's own are taken along.
set -euo pipefail

here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
bare=${1:?"usage: $0 FOLDER [COMMAND]"}
command=${2:-./kd test}
# shellcheck disable=SC2016  # apt expands it
mirror=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | sed -n 1p)}
mirror=${mirror%/}
sdk=$(dirname "$(readlink -f "$(command -v dotnet)")")

if [[ ! -x $bare/usr/bin/apt-get ]]; then
  debootstrap --variant=minbase --include=git bookworm "$bare" "$mirror"
  echo "deb $mirror bookworm-updates main" >>"$bare/etc/apt/sources.list"
  echo "deb ${mirror%/debian}/debian-security bookworm-security main" >>"$bare/etc/apt/sources.list"
fi
bare=$(cd "$bare" && pwd)
cp -L /etc/resolv.conf /etc/hosts "$bare/etc/"
mkdir -p "$bare$sdk" "$bare/checkout.git" "$bare/etc/host-certificates" "$bare/usr/local/share/ca-certificates"
cp -L /etc/ssl/certs/ca-certificates.crt "$bare/etc/host-certificates/"
find /usr/local/share/ca-certificates -name '*.crt' -exec cp -Lt "$bare/usr/local/share/ca-certificates" {} +
if [[ -f ~/.npmrc ]]; then cp ~/.npmrc "$bare/root/"; fi
ln -sfn "$sdk/dotnet" "$bare/usr/bin/dotnet"

environment=(HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "TERM=${TERM:-dumb}"
  SSL_CERT_FILE=/etc/host-certificates/ca-certificates.crt NODE_EXTRA_CA_CERTS=/etc/host-certificates/ca-certificates.crt)
for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY CI NUGET_CERT_REVOCATION_MODE; do
  if [[ -n ${!name:-} ]]; then environment+=("$name=${!name}"); fi
done

# A space in the path, on purpose.
# shellcheck disable=SC2016 # expanded inside
inside='
  cd /root
  git config --global --add safe.directory "*"
  rm -rf "fresh clone"
  git clone -q /checkout.git "fresh clone"
  cd "fresh clone"
  eval "$1"'

# A mount namespace of its own: the mounts go when the command ends, whatever happens.
# shellcheck disable=SC2016 # expanded by the inner shell
exec unshare --mount --propagation private bash -euc '
  bare=$1 sdk=$2 git=$3
  shift 3
  mount --bind -o ro "$sdk" "$bare$sdk"
  mount --bind -o ro "$git" "$bare/checkout.git"
  mount -t proc proc "$bare/proc"
  mount --rbind /dev "$bare/dev"
  exec chroot "$bare" /usr/bin/env -i "$@"
' _ "$bare" "$sdk" "$(git -C "$here" rev-parse --absolute-git-dir)" \
  "${environment[@]}" bash -euc "$inside" _ "$command"
