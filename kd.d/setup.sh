# shellcheck shell=bash
# The set-up: each step looks whether there is anything to do, and does only that.

# .NET's libicu is not needed: the projects are built with InvariantGlobalization, and so the SDK is run.
export DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1
# MSBuild's worker processes would stay behind for 15 minutes and share the cores with what is measured; so would the
# compiler server, which gains nothing here (whole solution: 39 s of processor time without it, 42 s with it).
export MSBUILDDISABLENODEREUSE=1
export HOME=${HOME:-$state/home}

app_packages=(ca-certificates g++ libopenblas0-pthread libtorch-dev nodejs npm redis-server)
# The C++ peers of './kd bench peers', and the program that writes their models.
peers_packages=(libgrpc++-dev pkg-config protobuf-compiler protobuf-compiler-grpc python3-onnx)
test_packages=(e2fsprogs libfaketime libgrpc++-dev pkg-config procps protobuf-compiler protobuf-compiler-grpc python3-torch strace)

# set_up app|bench|peers|test: everything the verb needs, in order.
set_up() {
  local scope=$1
  find_sdk
  if is_set_up "$scope"; then return; fi

  mkdir -p "$state"
  exec 9>"$state/setup.lock"
  if ! flock -n 9; then
    say "Another ./kd is setting up; waiting for it."
    flock 9
  fi
  # Asked again: the other ./kd may have done all of it, or a part.
  if ! is_set_up "$scope"; then
    say "Setting up"
    missing_packages "$scope" >/dev/null || install_packages "$scope"
    local library
    for library in $(slow_algebra); do
      say "  note $library is not OpenBLAS: training will be some ten times slower; './kd doctor' knows the remedy"
    done
    npm_is_current || run_step "npm package (ONNX Runtime)" npm install_npm_package
    build_is_current "$scope" || build "$scope"
  fi
  exec 9>&-
}

is_set_up() { missing_packages "$1" >/dev/null && npm_is_current && build_is_current "$1"; }

# ---- .NET SDK -------------------------------------------------------------------------------------------------

# Sets DOTNET to a muxer that has an SDK fit for global.json.
find_sdk() {
  local candidate
  for candidate in "$(command -v dotnet || true)" "${DOTNET_ROOT:-}/dotnet" \
    /usr/share/dotnet/dotnet /usr/lib/dotnet/dotnet "$HOME/.dotnet/dotnet"; do
    if [[ -x $candidate ]] && sdk_version=$(cd "$root" && "$candidate" --version 2>/dev/null); then
      DOTNET=$candidate
      return
    fi
  done
  fail "no .NET SDK fit for global.json ($(sdk_wanted) or a later feature band) was found. Either
      curl -sSL https://dot.net/v1/dotnet-install.sh | bash -s -- --channel 10.0
    (installs to ~/.dotnet, where ./kd looks too), or the package dotnet-sdk-10.0:
      https://learn.microsoft.com/dotnet/core/install/linux"
}

sdk_wanted() { sed -n 's/.*"version": *"\([^"]*\)".*/\1/p' "$root/global.json"; }

# ---- Debian packages ------------------------------------------------------------------------------------------

packages_of() {
  if [[ $1 != test_only ]]; then printf '%s\n' "${app_packages[@]}"; fi
  if [[ $1 == peers ]]; then printf '%s\n' "${peers_packages[@]}"; fi
  if [[ $1 == test* ]]; then printf '%s\n' "${test_packages[@]}"; fi
}

# Prints the packages that are missing on one line; succeeds if there are none.
missing_packages() {
  local installed package missing=()
  # shellcheck disable=SC2016 # dpkg-query's own placeholders
  installed=$(packages_of "$1" | xargs dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' 2>/dev/null |
    sed -n 's/^ii *//p' || true)
  while read -r package; do
    grep -qxF "$package" <<<"$installed" || is_provided_otherwise "$package" || missing+=("$package")
  done < <(packages_of "$1")
  printf '%s\n' "${missing[*]}"
  ((${#missing[@]} == 0))
}

# Node.js, Redis and the compiler often come from elsewhere than Debian; then Debian's are not forced upon anyone.
is_provided_otherwise() {
  case $1 in
    nodejs) command -v node ;;
    npm | redis-server | g++) command -v "$1" ;;
    *) return 1 ;;
  esac >/dev/null
}

install_packages() {
  local packages as_root=()
  read -r -a packages < <(missing_packages "$1" || true)
  local command="apt-get install -y --no-install-recommends ${packages[*]}"
  command -v apt-get >/dev/null ||
    fail "this is neither Debian nor Ubuntu. Please install what these Debian packages hold: ${packages[*]}"
  if ((EUID != 0)); then
    as_root=(sudo)
    # The password is asked for here, on the terminal, before the output goes to a log.
    if ! command -v sudo >/dev/null || ! { sudo -n true 2>/dev/null || { [[ -t 0 ]] && sudo -v; }; }; then
      fail "Debian packages are missing and you are neither root nor allowed to use sudo. Ask an administrator for:
      apt-get update && $command"
    fi
  fi
  run_step "Debian packages: ${packages[*]}" packages apt_install "${packages[@]}"
}

apt_install() {
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3)
  # A CI machine is thrown away if it loses power; there dpkg need not wait for the disk after every package.
  if [[ -n ${CI:-} ]]; then apt+=(-o Dpkg::Options::=--force-unsafe-io); fi
  # Lists that cannot be refreshed may still be good enough; the install decides.
  "${apt[@]}" update || echo "apt-get update failed; going on with the lists at hand"
  keep_redis_from_starting
  # An installation that was cut off (Ctrl-C, power) must be completed before dpkg takes the next.
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive dpkg --configure -a || true
  retry "${apt[@]}" install --no-install-recommends "$@"
}

# KdServing starts a private Redis. Debian's redis-server package would also start one for the machine, on port 6379:
# policy-rc.d is Debian's way to say no, for as long as the installation takes.
keep_redis_from_starting() {
  local policy=/usr/sbin/policy-rc.d
  if command -v redis-server >/dev/null || [[ -e $policy ]]; then return; fi
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  # shellcheck disable=SC2064 # the values of now
  trap "$(printf '%q ' "${as_root[@]}" rm -f "$policy"); redis_stays_off" EXIT
  "${as_root[@]}" chmod 755 "$policy"
}

redis_stays_off() {
  [[ ! -d /run/systemd/system ]] || "${as_root[@]}" systemctl disable redis-server || true
}

# Prints the linear algebra libraries that an administrator has switched away from OpenBLAS. libtorch links whatever is chosen.
slow_algebra() {
  local library chosen
  for library in libblas.so.3 liblapack.so.3; do
    chosen=$(readlink -e "/usr/lib/x86_64-linux-gnu/$library") || continue
    if [[ $chosen != *openblas* ]]; then echo "$library"; fi
  done
}

# ---- npm package ----------------------------------------------------------------------------------------------

# npm leaves node_modules/.package-lock.json behind when it is done, with the checksums it has verified.
npm_is_current() { [[ $(npm_checksum package-lock.json) == "$(npm_checksum node_modules/.package-lock.json)" ]]; }

npm_checksum() { grep -o '"integrity": *"[^"]*"' "$root/$1" 2>/dev/null || echo "none in $1"; }

install_npm_package() {
  cd "$root" || return
  retry npm ci --no-audit --no-fund --no-update-notifier --loglevel=error
}

# ---- restore and build ----------------------------------------------------------------------------------------

# What to build, and the sources it depends on.
build_target() {
  case $1 in
    app) echo KdServing.App.slnf ;;
    bench) echo benchmarks/Benchmarks.csproj ;;
    test) echo KdServing.sln ;;
  esac
}

build_sources() {
  echo src compat load-tests
  case $1 in
    bench) echo benchmarks ;;
    test) echo benchmarks tests ;;
  esac
}

# The peers are run by the benchmarks' program: one build serves both.
build_is_current() {
  local scope=${1/#peers/bench}
  [[ -f $state/built-$scope && $(<"$state/built-$scope") == "$(fingerprint "$scope")" ]] || return 1
  [[ -f $root/src/Serving/bin/Release/net10.0/KdServing.Serving.dll ]]
}

# By content, not by time: a checkout of another branch and back builds nothing. Takes some 30 ms.
fingerprint() {
  local folders
  read -r -d '' -a folders < <(build_sources "$1") || true
  (
    cd "$root" || return
    echo "$sdk_version ${PackageSource:-} ${GrpcSource:-} ${OnnxRuntimeSource:-} ${TorchSharpSource:-}"
    # The native shim is compiled against it.
    dpkg-query -W libtorch-dev 2>/dev/null || true
    find "${folders[@]}" -type d \( -name bin -o -name obj -o -name node_modules -o -name results \) -prune -o \
      -type f ! -name '*.md' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
    sha256sum ./*.props ./*.targets ./*.sln* .editorconfig global.json package-lock.json
  ) | sha256sum
}

build() {
  local scope=${1/#peers/bench} target print
  target=$root/$(build_target "$scope")
  print=$(fingerprint "$scope") # of before the build: an edit during the build is built next time
  run_step "restore" restore retry "$DOTNET" restore "$target" -v q
  run_step "build" build "$DOTNET" build "$target" -c Release --no-restore --nologo -v q -tl:off '-clp:NoSummary;ErrorsOnly' \
    -p:UseSharedCompilation=false
  printf '%s\n' "$print" >"$state/built-$scope"
  # The whole solution holds the parts.
  if [[ $scope == test ]]; then
    for scope in app bench; do fingerprint "$scope" >"$state/built-$scope"; done
  fi
}
