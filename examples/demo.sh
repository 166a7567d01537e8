#!/usr/bin/env bash
# A tour of rrbackup: back up a real tree into a folder, change it, back it up again, look at both versions,
# bring both back and compare them with the originals. Ends with 0 only if all is equal.
set -euo pipefail

sources=$(cd "$(dirname "$0")/.." && pwd)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
cd "$stage"

say() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }
[ -t 1 ] || say() { printf '\n# %s\n' "$*"; }

mkdir work
(cd "$sources" && git ls-files -z | tar --null --files-from=- --create --file=-) | tar --extract --file=- --directory=work

say "A configuration, and a folder to back up into (--bucket instead of --directory for S3)"
run rrbackup init --base-path work --directory store
run cat configuration.json

say "What would be backed up? Nothing is written yet"
run rrbackup backup --dry-run | sed -n '1,6p'

say "The first backup. No command means backup"
run rrbackup

say "Nothing has changed, so nothing is published"
run rrbackup

say "Change something, and back up again: only what changed is stored"
cp -a work first
run sh -c 'echo "one more line" >> work/README.md'
run rm work/LICENSE
run sh -c 'echo "new" > "work/a new file"'
run rrbackup
cp -a work second

say "The versions, and what the last one changed"
run rrbackup list_versions
run rrbackup list_changes latest
run rrbackup list_files latest~1 | sed -n '1,5p'

say "Both versions come back"
run rrbackup download latest~1 restored-first
run rrbackup download latest restored-second

say "A part of one: everything but what a filter file names"
run sh -c "printf '%s\n' '/tests' '*.md' > left-out"
run rrbackup download latest restored-part left-out

say "Without rrbackup: a file without pipeline is stored as it is"
run ls "store/files/README.md"
run cmp work/README.md "$(ls -t store/files/README.md/%v* | head -n 1)"

say "Are they equal to the originals?"
run diff --recursive first restored-first
run diff --recursive second restored-second
test ! -e restored-part/tests
test ! -e restored-part/README.md
run cmp work/pyproject.toml restored-part/pyproject.toml
say "All equal."
