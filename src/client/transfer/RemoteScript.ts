/**
 * The sandbox's half of a transfer: bash, tar, find and sha256sum, as every sandbox image with a shell has
 * them. Exec refuses line breaks in arguments, so scripts and paths travel in printf's escapes.
 */

/** Exit codes of the scripts, from sysexits.h where it has a word for it. */
export const scriptExit = {
  usage: 64,
  missing: 66,
  tool: 69,
  damaged: 70,
  conflict: 72,
  unwritable: 73,
  unreadable: 74,
} as const

/** Bytes as bash's `printf %b` reads them: plain characters as they are, others as `\0ooo`. */
export const escapeForPrintf = (text: string): string => {
  let escaped = ""
  for (const byte of Buffer.from(text, "utf8")) {
    const character = String.fromCharCode(byte)
    escaped += /[A-Za-z0-9 ./_=:,+@^-]/.test(character)
      ? character
      : `\\0${byte.toString(8).padStart(3, "0")}`
  }
  return escaped
}

/** The argv that runs `script` with `parameters` as $1, $2, …; `nonce` is printed before anything else. */
export const scriptCommand = (
  script: string,
  nonce: string,
  parameters: ReadonlyArray<string>,
): ReadonlyArray<string> => [
  "bash",
  "-c",
  bootstrap,
  "holdfast",
  escapeForPrintf(script),
  nonce,
  ...parameters.map(escapeForPrintf),
]

/** Decodes every parameter (a command substitution would eat trailing line breaks, hence the dot). */
const bootstrap = [
  'nonce=$2; code=$(printf %b "$1"); shift 2; n=$#',
  'for a; do d=$(printf %b. "$a"); set -- "$@" "${d%.}"; done; shift "$n"',
  'printf "%s\\0" "$nonce"; eval "$code"',
].join("; ")

const common = `
set -u
shopt -s dotglob nullglob
export LC_ALL=C
fail() { printf '%s\\n' "$2" >&2; exit "$1"; }
need() { for t; do command -v "$t" >/dev/null 2>&1 || fail ${scriptExit.tool} "the sandbox has no $t"; done; }
exists() { [ -e "$1" ] || [ -L "$1" ]; }
case $1 in '~') set -- "$HOME" "\${@:2}";; '~/'*) set -- "$HOME/\${1#'~/'}" "\${@:2}";; esac
`

/**
 * $1 target, $2 name of the source. Reads the archive on stdin into a directory beside the target, compares
 * the manifest, checks every name against what exists, then renames. Prints the target's path.
 */
export const uploadScript = `${common}
need tar find sha256sum sort sed mktemp
dest=$1 name=$2
if [ -d "$dest" ]; then
  base=$(cd -- "$dest" && pwd -P && printf .) || exit ${scriptExit.unwritable}
  base=\${base%?.}; target=\${base%/}/$name
else case $dest in
  */) mkdir -p -- "$dest" || exit ${scriptExit.unwritable}; target=$dest$name;;
  *) target=$dest;;
esac; fi
case $target in /*) ;; *) target=$PWD/$target;; esac
parent=\${target%/*}; parent=\${parent:-/}
mkdir -p -- "$parent" || exit ${scriptExit.unwritable}
tmp=$(mktemp -d "$parent/.holdfast-upload-XXXXXX") || exit ${scriptExit.unwritable}
trap 'chmod -R u+rwX "$tmp" 2>/dev/null; rm -rf -- "$tmp"' EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM
tar -x -p -o -f - -C "$tmp" || fail ${scriptExit.unwritable} "tar could not unpack in $parent"
cat >/dev/null
exists "$tmp/payload" && [ -f "$tmp/manifest" ] || fail ${scriptExit.damaged} "the transfer was cut short"
sums=$(cd "$tmp" && find payload -type f -exec sha256sum {} + |
  sed -n 's/^\\\\\\{0,1\\}\\([0-9a-f]\\{64\\}\\) [ *]payload.*/\\1/p' | sort | sha256sum)
[ "\${sums%% *}" = "$(cat "$tmp/manifest")" ] || fail ${scriptExit.damaged} "the SHA-256 sums of what arrived differ"
check() {
  if [ -d "$1" ] && [ ! -L "$1" ]; then
    if [ -d "$2" ]; then for e in "$1"/*; do check "$e" "$2/\${e##*/}"; done
    elif exists "$2"; then fail ${scriptExit.conflict} "$2 is a file where a directory should be put"; fi
  elif [ -d "$2" ] && [ ! -L "$2" ]; then
    fail ${scriptExit.conflict} "$2 is a directory where a file should be put"
  fi
}
put() {
  if [ -d "$1" ] && [ ! -L "$1" ] && [ -d "$2" ]; then
    for e in "$1"/*; do put "$e" "$2/\${e##*/}"; done
  else
    if [ -L "$2" ]; then rm -f -- "$2"; fi
    mv -f -- "$1" "$2" || exit ${scriptExit.unwritable}
  fi
}
check "$tmp/payload" "$target"
put "$tmp/payload" "$target"
printf '%s\\0' "$target"
`

/**
 * $1 source. Prints its kind (`file` or `directory`), its size in bytes and its name, each ended by a zero
 * byte, then the archive; then, on stderr, the nonce and the SHA-256 of the archive.
 */
export const downloadScript = `${common}
need tar sha256sum mktemp mkfifo tee
path=$1
exists "$path" || fail ${scriptExit.missing} "$path: no such file or directory"
[ -r "$path" ] || fail ${scriptExit.unreadable} "$path: permission denied"
if [ -d "$path" ]; then
  cd -- "$path" || exit ${scriptExit.unreadable}
  kind=directory full=$(pwd -P; printf .); full=\${full%?.}; name=\${full##*/}
  size=$(du -sk . 2>/dev/null) && size=$((\${size%%[!0-9]*} * 1024)) || size=0
  set -- .
elif [ -f "$path" ]; then
  kind=file name=\${path##*/}; size=$(wc -c <"$path") || exit ${scriptExit.unreadable}
  size=$((size))
  case $path in */*) cd -- "\${path%/*}/" || exit ${scriptExit.unreadable};; esac
  set -- -h "./$name"
else fail ${scriptExit.unreadable} "$path is neither a file nor a directory"; fi
tmp=$(mktemp -d "\${TMPDIR:-/tmp}/holdfast-XXXXXX") || exit ${scriptExit.unwritable}
trap 'rm -rf -- "$tmp"' EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM
mkfifo "$tmp/p" || exit ${scriptExit.unwritable}
printf '%s\\0' "$kind" "$size" "\${name:-root}"
sha256sum <"$tmp/p" >"$tmp/s" &
tar -c -f - "$@" | tee "$tmp/p"
codes=("\${PIPESTATUS[@]}")
wait
read -r sum rest <"$tmp/s"
printf '\\n%s %s\\n' "$nonce" "$sum" >&2
[ "\${codes[1]}" = 0 ] || exit ${scriptExit.unwritable}
exit "\${codes[0]}"
`
