# shellcheck shell=bash
# Runs every test project and sums up. Whatever happens, the last line on stdout is 'N passed, N failed'.

passed=0 failed=0 skipped=0
results=$state/test-results

run_tests() {
  local filter=() check_format=
  while (($# > 0)); do
    case $1 in
      --filter) filter=(--filter "${2:?--filter needs an expression, e.g. FullyQualifiedName~Grpc}") && shift 2 ;;
      --filter=*) filter=(--filter "${1#--filter=}") && shift ;;
      --format) check_format=yes && shift ;;
      *) fail "test: unknown option '$1' (there are --filter EXPRESSION and --format)" ;;
    esac
  done

  trap 'sum_up $?' EXIT
  set_up test
  if [[ -n $check_format ]]; then run_format_check; fi
  rm -rf "$results"
  mkdir -p "$results"
  local project
  for project in "$root"/tests/*.Tests/*.Tests.csproj; do
    run_project "$(basename "$project" .csproj)" "${filter[@]}"
  done
}

# The last word, also when the set-up failed: then nothing passed, and that is one failure.
sum_up() {
  local status=$1
  if ((status != 0 && failed == 0)); then failed=1; fi
  if ((passed + failed == 0)); then
    say "No test ran; does the filter match any?"
    failed=1
  fi
  local line="$passed passed, $failed failed"
  if ((skipped > 0)); then line+=", $skipped skipped"; fi
  printf '%s\n' "$line"
  exit $((failed > 0))
}

run_project() {
  local name=$1 began=$SECONDS status=0
  shift
  local report=$results/$name.trx log=$results/$name.log
  local dll=$root/tests/$name/bin/Release/net10.0/$name.dll
  say "  ...  $name"
  # A test that hangs is named and ended; without this, CI would only see its own limit pass.
  # In the project's own folder: a relative path in a test means the same as under 'dotnet test'.
  (cd "$root/tests/$name" && "$DOTNET" test "$dll" --logger "trx;LogFileName=$report" --results-directory "$results" \
    --blame-hang-timeout 5m --blame-hang-dump-type none "$@") >"$log" 2>&1 </dev/null || status=$?

  local ran=0 good=0 bad=0 all=0
  if [[ -f $report ]]; then
    all=$(counter total "$report") ran=$(counter executed "$report") good=$(counter passed "$report")
    bad=$((ran - good))
  fi
  # A crashed test host leaves no report, or one that counts only what had ended.
  if ((status != 0 && bad == 0)); then bad=1; fi
  if ((ran == 0 && bad == 0 && $# == 0)); then
    bad=1
    echo "No test ran." >>"$log"
  fi
  passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + all - ran))
  if ((bad == 0)); then
    say "  ok   $name: $good passed ($((SECONDS - began)) s)"
  else
    say "  FAIL $name: $good passed, $bad failed ($((SECONDS - began)) s)"
    show_failures "$log"
    say "       (all of it: $log)"
  fi
}

# The log without the frames of xunit and the runtime around every test.
show_failures() {
  grep -vE '^ *at (Xunit|System\.(Reflection|Runtime|Threading))\b|^VSTest version|^Starting test|^A total of|^$' "$1" |
    tail -n 200 | sed 's/^/       /' >&2
}

# counter NAME TRX: one attribute of the report's <Counters total="…" executed="…" passed="…" …/>.
counter() { grep -o '<Counters [^>]*' "$2" | sed "s/.* $1=\"\([0-9]*\)\".*/\1/"; }

# Analyzers and code style are warnings as errors in the build; this is about what only the formatter sees.
# compat/OnnxRuntime has no sources of ours.
run_format_check() {
  local checked=$state/formatted print
  print=$(fingerprint test)
  if [[ -f $checked && $(<"$checked") == "$print" ]]; then return; fi
  say "  ...  dotnet format"
  local log=$state/logs/format.log began=$SECONDS
  # --exclude understands only paths relative to where it runs.
  if (cd "$root" && "$DOTNET" format KdServing.sln --no-restore --verify-no-changes --exclude node_modules/) \
    >"$log" 2>&1 </dev/null; then
    printf '%s\n' "$print" >"$checked"
    say "  ok   dotnet format ($((SECONDS - began)) s)"
  else
    failed=$((failed + 1))
    say "  FAIL dotnet format ($((SECONDS - began)) s); 'dotnet format' in the root mends this:"
    grep -F ': error ' "$log" | sort -u | head -n 40 | sed 's/^/       /' >&2
    say "       (all of it: $log)"
  fi
}
