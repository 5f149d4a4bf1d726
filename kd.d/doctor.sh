# shellcheck shell=bash
# Looks at everything the set-up provides, changes nothing, and names the remedy for what is wrong.

problems=0

good() { printf '  ok   %s\n' "$1"; }
note() { printf '  --   %s\n' "$1"; }
wrong() {
  printf '  BAD  %s\n       remedy: %s\n' "$1" "$2"
  problems=$((problems + 1))
}

examine() {
  examine_machine
  examine_sdk
  examine_packages
  examine_algebra
  examine_npm_package
  examine_build
  examine_redis
  examine_port
  examine_gpu
  if ((problems > 0)); then
    echo "$problems problem(s)"
    exit 1
  fi
  echo "Nothing is wrong."
}

examine_machine() {
  local free_mb memory_mb
  free_mb=$(df -Pm "$root" | awk 'NR == 2 {print $4}')
  memory_mb=$(awk '/MemAvailable/ {print int($2 / 1024)}' /proc/meminfo)
  if [[ $(uname -sm) == "Linux x86_64" ]]; then
    good "Linux x86_64, $(nproc) cores, $memory_mb MB memory available"
  else
    wrong "this is $(uname -sm)" "run on Linux x86_64: the ONNX Runtime library is built for that"
  fi
  if ((free_mb > 2000)); then
    good "$free_mb MB free disk"
  else
    wrong "only $free_mb MB disk left" "free 2000 MB under $root"
  fi
}

examine_sdk() {
  find_sdk # explains itself and exits if there is none
  good ".NET SDK $sdk_version ($DOTNET)"
}

examine_packages() {
  local missing
  if missing=$(missing_packages app); then
    good "Debian packages: ${app_packages[*]}"
  else
    wrong "Debian packages are missing: $missing" "./kd setup, or: sudo apt-get install --no-install-recommends $missing"
  fi
  missing=$(missing_packages test_only) || note "'./kd test' will also install: $missing"
}

examine_algebra() {
  local library
  for library in $(slow_algebra); do
    wrong "$library is $(readlink -e "/usr/lib/x86_64-linux-gnu/$library"), not OpenBLAS" \
      "sudo update-alternatives --auto $library-x86_64-linux-gnu"
  done
}

examine_npm_package() {
  if npm_is_current; then
    good "npm package (ONNX Runtime), SHA-512 as in package-lock.json"
  else
    wrong "the npm package is missing or not the one in package-lock.json" "./kd setup"
  fi
}

examine_build() {
  if build_is_current app; then good "build is up to date"; else note "build is not up to date; the next verb builds"; fi
  local shim missing
  for shim in "$root"/src/Distiller/bin/Release/net10.0/*.so; do
    [[ -f $shim ]] || continue
    missing=$(ldd "$shim" 2>&1 | grep 'not found' || true)
    if [[ -z $missing ]]; then
      good "native $(basename "$shim") finds its libraries"
    else
      wrong "native $(basename "$shim") lacks ${missing//$'\n'/;}" "rm -rf .kd/native .kd/built-* && ./kd setup"
    fi
  done
}

examine_redis() {
  local redis
  redis=$(command -v redis-server) || return 0 # named under the packages
  good "$("$redis" --version | cut -d ' ' -f 1-3)"
  if [[ $(cat /proc/sys/vm/overcommit_memory 2>/dev/null) == 0 ]]; then
    note "vm.overcommit_memory is 0: a Redis that saves in the background may fail on a full machine (demo's does not save)"
  fi
}

examine_port() {
  local port=8500 # where './kd serve' listens unless told otherwise
  if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    note "port $port is taken: give './kd serve' another with --port (demo and tests choose free ones)"
  else
    good "port $port is free for './kd serve'"
  fi
}

examine_gpu() {
  if command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; then
    good "$(nvidia-smi -L | sed -n 1p)"
  else
    note "no NVIDIA GPU here: --device cpu only"
  fi
}
