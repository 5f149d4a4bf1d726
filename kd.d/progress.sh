# shellcheck shell=bash
# What a person sees while a step runs. Everything goes to stderr: stdout belongs to the verb's own output.

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "kd: $*"
  exit 1
}

# Wrong arguments, as opposed to a failure.
misuse() {
  say "kd: $*"
  exit 2
}

# run_step TITLE LOG COMMAND...: runs the command with its output in .kd/logs/LOG.log; shows the log's end and exits if it fails.
run_step() {
  local title=$1 log=$state/logs/$2.log
  shift 2
  mkdir -p "$state/logs"
  : >"$log"
  local began=$SECONDS status
  if [[ -t 2 ]]; then
    shopt -s checkwinsize
    (:) # lets bash read the terminal's width
    spin "$title" "$log" &
    spinner=$!
  else
    say "  ...  $title"
  fi
  # Not 'command || status=$?': that would switch 'set -e' off inside the command.
  # 9 is the set-up lock; a compiler server that outlives us must not inherit it.
  set +e
  (set -e; "$@") >"$log" 2>&1 </dev/null 9>&-
  status=$?
  set -e
  stop_spinner
  if ((status == 0)); then
    say "  ok   $title ($((SECONDS - began)) s)"
    return
  fi
  say "  FAIL $title ($((SECONDS - began)) s)"
  tail -n 40 "$log" | sed 's/^/       /' >&2
  say "       (all of it: $log)"
  exit "$status"
}

# The command got the same Ctrl-C from the terminal and has ended when bash comes to this.
trap 'stop_spinner; say "interrupted"; exit 130' INT

spinner=
stop_spinner() {
  if [[ -z $spinner ]]; then return; fi
  kill "$spinner" 2>/dev/null || true
  wait "$spinner" 2>/dev/null || true
  spinner=
  printf '\r\033[K' >&2
}

# Shows the elapsed time and the log's last line until it is killed, or the script that started it is gone.
spin() {
  local began=$SECONDS last width=$((${COLUMNS:-80} - 1)) line
  while kill -0 $$ 2>/dev/null; do
    last=$(tail -c 300 "$2" | tr '\r' '\n' | tr -cd '[:print:]\n' | grep '[^ ]' | tail -n 1)
    line="  $((SECONDS - began)) s  $1  $last"
    printf '\r\033[K%s' "${line:0:width}" >&2
    sleep 0.25
  done
}

# retry COMMAND...: up to three times; downloads fail for reasons that pass.
retry() {
  local attempt
  for attempt in 1 2 3; do
    "$@" && return
    echo "attempt $attempt of 3 failed: $*"
    sleep $((attempt * 2))
  done
  return 1
}
