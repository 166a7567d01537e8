"""Gives back what rrbackup stored, without rrbackup. docs/recover.md tells how, and what can go wrong.
recover.py open OBJECT FILE | recover.py tree OBJECTS TARGET [COMMIT] | recover.py scan OBJECTS TARGET"""
import base64, bz2, fractions, functools, getpass, hashlib, hmac, io, json, os, re, sys
import nacl.bindings as sodium, nacl.exceptions, nacl.pwhash, nacl.secret, zstandard  # PyNaCl and zstandard
from pathlib import Path; from urllib.parse import quote, unquote_to_bytes; ZSTD = b"\x28\xb5\x2f\xfd"
command, source, target, *commit = sys.argv[1:] if len(sys.argv) > 3 else sys.exit(__doc__); failed = 0
source, target, keys, entries, objects = Path(source), Path(target).resolve(), {}, {}, {("", ""): Path(os.devnull)}
FILES, MANIFEST, SALT = (os.getenv("RRBACKUP_" + key.upper(), key) for key in ("files", "manifest_diffs", "salt_file"))
def told(error): return "wrong password, or damaged: " * isinstance(error, nacl.exceptions.CryptoError) + f"{error!r}\n"
sys.excepthook = lambda kind, error, trace: sys.stderr.write(told(error))
password = functools.cache(lambda: os.fsencode(os.getenv("RRBACKUP_PASSWORD") or getpass.getpass("Password: ")))
argon2 = functools.cache(lambda salt, *cost: nacl.pwhash.argon2i.kdf(32, password(), base64.b64decode(salt), *cost))
def hkdf(key, use): return hmac.digest(hmac.digest(bytes(32), key, "sha256"), f"rrbackup 2 {use}\1".encode(), "sha256")
def unseal(key, use, sealed, added): return nacl.secret.Aead(hkdf(key, use)).decrypt(base64.b64decode(sealed), added)
def head(stored): text = stored.read(int.from_bytes(stored.read(4), "big")); return text, json.loads(text)  # of a frame
def digest(pieces): found = hashlib.sha256(); any(map(found.update, pieces)); return found.hexdigest()  # SHA-256
def content(key="", version_id="", format=2, applied=(), **_):  # what an object holds, piece by piece
    with (file := objects[key, version_id]).open("rb") as stored:
        text, header = head(stored) if format == 1 or "encrypt" in applied else (b"", {"V": "2", "S": 1 << 20})
        if header["V"] not in ("1", "2"): raise ValueError("a later format, which this script does not know")
        old, tag, size = header.get("E"), 0, int(header.get("S") or header.get("chunk_size") or file.stat().st_size)
        secret = old and (keys.get("format 1") or argon2(old["S"], old["O"], old["M"]))
        if "cipher" in header: secret = hkdf(keys[SALT], "streams" if header["kind"] == "file" else "metadata")
        state, unzip = sodium.crypto_secretstream_xchacha20poly1305_state(), header.get("C") and bz2.BZ2Decompressor()
        if secret: sodium.crypto_secretstream_xchacha20poly1305_init_pull(state, stored.read(24), secret)
        if "compress" in header.get("pipeline", applied): unzip = zstandard.ZstdDecompressor().decompressobj()
        while piece := stored.read(size + (17 if secret else 0)):
            if secret: piece, tag = sodium.crypto_secretstream_xchacha20poly1305_pull(state, piece, text)
            yield from (unzip.decompress(piece[n:n+4096]) for n in range(0, len(piece), 4096)) if unzip else (piece,)
    if ("cipher" in header and tag != 3) or (unzip and not unzip.eof): raise ValueError("cut off")  # 3: TAG_FINAL
for file in sorted(source.rglob("%v[0-9]*"), key=lambda file: int(re.search("[0-9]+", file.name)[0])):  # 1. the objects
    names = [folder / "%name" for folder in file.parents if source in folder.parents]
    key = "/".join(name.read_text("utf-8") if name.exists() else name.parent.name for name in reversed(names))
    objects[key, file.name.partition("=")[2] or file.name[2:]] = file  # %v<number>=<version id> or %v<version id>
if command == "open": objects[f"{FILES}/{quote(os.fsencode(target.name))}", ""], target = source, target.parent
if (salt := objects.get((SALT, dict(objects.keys()).get(SALT)), Path(SALT))).exists() and salt.stat().st_size > 40:
    with salt.open("rb") as stored: (text, header), record = head(stored), json.load(stored)  # 2. the keys (not 1.0)
    kek = argon2(*(header["kdf"][name] for name in ("salt", "opslimit", "memlimit")))
    keys[SALT] = unseal(kek, "wrap master", record["master"], text)
    if "format1" in record: keys["format 1"] = unseal(kek, "wrap format 1", record["format1"], text)
def adapt(change): return change | {"path": quote(change["path"], errors="surrogateescape"), "sha256": change["hash"],
    "object": None if change.get("empty") else change | {"key": FILES + change["real_path"], "format": 1},
    "mtime_ns": round(fractions.Fraction(change["last_mod"]) * 10**9), "mode": -1}  # format 1 in the words of format 2
ids, newer = [version for key, version in objects if key == MANIFEST], ""  # 3. what belongs where: the newest counts
parent = {"version_id": "".join(commit) or dict(objects.keys())[MANIFEST]} if command == "tree" else None
while parent:
    body = objects[MANIFEST, wanted := parent["version_id"]].read_bytes(); header = head(io.BytesIO(body))[1]
    if parent.get("sha256") not in (None, digest([body])): sys.exit(f"the diff {wanted} was changed")
    sealed = header.get("E") or "cipher" in header; newer = newer or ("" if sealed else wanted)
    if sealed and newer: sys.exit(f"{newer} is not encrypted, but {wanted} before it is: forged? Try {wanted}")
    if isinstance(diff := json.loads(b"".join(content(MANIFEST, wanted, format=1))), list):
        diff = {"changes": map(adapt, diff), "parent": ids.index(wanted) and {"version_id": ids[ids.index(wanted) - 1]}}
    for change in diff.get("changes", ()): entries.setdefault(unquote_to_bytes(change["path"]), change)
    parent = diff["parent"] if not diff.get("requires") else sys.exit(f"the diff {wanted} requires {diff['requires']}")
newest = [item for item in dict(objects.keys()).items() if item[0].startswith(FILES + "/") and command != "tree"]
for key, version in sorted(newest, key=lambda item: objects[item].stat().st_mtime):  # or what labels say
    file, start, label, name = objects[key, version], next(content(key, version), b""), {}, key.removeprefix(FILES)
    note, name = file.with_name("%m" + file.name[2:]), quote(name) if start[4:11] == b'{"V":"1' and version else name
    try:
        label |= json.loads(note.read_bytes() or b"{}") if command == "scan" and note.exists() else {}
        if seal := label.get("rrbackup-sealed"): label |= json.loads(unseal(keys[SALT], "labels", seal, key.encode()))
    except Exception as error: failed = sys.stderr.write(f"{note}, which is passed over: {told(error)}")
    words = ["encrypt"] * (start[4:10] == b'{"V":"' and (not label or "rrbackup-sealed" in label))
    if start[:4] == ZSTD and digest(content(key, version)) != label.get("rrbackup-sha256"): words = ["compress"]
    entries[unquote_to_bytes(label.get("rrbackup-path", name))] = {"mode": int(label.get("rrbackup-mode", "-1"), 8),
        "object": {"key": key, "version_id": version, "applied": words}, "sha256": label.get("rrbackup-sha256"),
        "mtime_ns": label.get("rrbackup-mtime-ns", file.stat().st_mtime_ns)}
target.mkdir(exist_ok=command == "open"); kept = [one for one in entries.items() if one[1].get("status") != "deleted"]
for path, entry in sorted(kept, key=lambda item: item[1].get("type") == "directory" and 1 / (1 + item[0].count(b"/"))):
    place, kind, ref = target / os.fsdecode(path).lstrip("/"), entry.get("type", "file"), entry.get("object") or {}
    try:  # 4. write it, a folder after its content; objects are read twice, so that what is damaged leaves no file
        if place.resolve() != place: raise ValueError("it would lie elsewhere")
        (place if kind == "directory" else place.parent).mkdir(parents=True, exist_ok=True)
        if kind == "symlink": place.symlink_to(os.fsdecode(unquote_to_bytes(entry["target"])))
        if kind == "file" and entry["sha256"] not in (None, digest(content(**ref))): raise ValueError("digest differs")
        with place.open("xb") if kind == "file" else io.BytesIO() as out: out.writelines(content(**ref))
        if kind != "symlink" and entry.get("mode", 0) >= 0: place.chmod(entry.get("mode", 0) & 0o1777)
        os.utime(place, ns=(int(entry.get("mtime_ns", 0)),) * 2, follow_symlinks=False)
    except Exception as error: failed = sys.stderr.write(f"{path!r}: {told(error)}")
sys.exit(failed > 0)
