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

say "Encrypted, with hashed names: the password in a file, three words for every file"
echo "correct horse battery staple" > password
cat > encrypted.json <<'END'
{
    "base_path": "work",
    "local_manifest_file": "encrypted.manifest",
    "local_lock_file": "encrypted.lock",
    "directory": {"path": "encrypted-store"},
    "crypto": {"crypt_password_file": "password"},
    "meta_pipeline": ["compress", "encrypt"],
    "file_pipeline": [["*", ["hash_names", "compress", "encrypt"]]],
}
END
run rrbackup -c encrypted.json

say "What somebody sees who can list that store, but has no password: no name, no content"
find encrypted-store -type f ! -name '%rrbackup' > listing
run sed -n '$p; 1,4p' listing
find work -mindepth 1 -printf '%f\n' | sort --unique > names
if run grep --fixed-strings --word-regexp --file=names listing; then exit 1; fi
if run grep --recursive --quiet "Versioning file backup" encrypted-store; then exit 1; fi

say "Another password: one small object is written, nothing is uploaded again"
echo "another one" > new-password
run rrbackup -c encrypted.json change_password --new-password-file new-password
code=0
run rrbackup -c encrypted.json download latest restored-encrypted || code=$?
[ "$code" -eq 12 ]
run mv new-password password
run rrbackup -c encrypted.json download latest restored-encrypted

say "Are they equal to the originals?"
run diff --recursive first restored-first
run diff --recursive second restored-second
run diff --recursive second restored-encrypted
test ! -e restored-part/tests
test ! -e restored-part/README.md
run cmp work/pyproject.toml restored-part/pyproject.toml
say "All equal."
