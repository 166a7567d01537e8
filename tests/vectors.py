"""The test vectors of docs/format.md, from fixed inputs. `python -m tests.vectors` prints the blocks of that section.

Everything is made with the code of rrbackup; `unit/test_vectors.py` makes it again from the document with other means.
What is drawn at random elsewhere is fixed here, so these keys and nonces must never guard anything.
"""

import hashlib
import json
import re
import sys
from collections.abc import Mapping

from rrbackup.effects.coding import KIND
from rrbackup.effects.keys import derive
from rrbackup.pure import format2
from rrbackup.pure.encryption import DEFAULT_CHUNK_BYTES, MIN_CHUNK_BYTES, CipherHeader, Place, encrypt_bytes
from rrbackup.pure.framing import Framing
from rrbackup.pure.header import split_frame
from rrbackup.pure.keys import NONCE_BYTES, Keyring, hashed_name, seal_labels, subkey
from rrbackup.pure.labels import object_labels
from rrbackup.pure.model import Claim, ClaimState, PathText, RepositoryId, TransactionId, Word
from rrbackup.pure.salt_record import INTERACTIVE, Kdf, seal_record

PASSWORD = "correct horse bättery"
REPOSITORY = RepositoryId("6b1f0d5e9c3a47288d0e51f2a4c7b39d")
KDF = Kdf(INTERACTIVE, bytes(range(0x10)))
MASTER = bytes(range(0x20, 0x40))
NONCES = [bytes(range(first, first + NONCE_BYTES)) for first in range(0x40, 0x100, 0x20)]

PATH = PathText("/notes/todo.txt")
FILE_KEY = "files/notes/todo.txt"
CLAIM_KEY = "gc_log"
CONTENT = b"Hello, world\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
LONG_CONTENT = bytes(number % 251 for number in range(2 * MIN_CHUNK_BYTES + 1))
FRAME = bytes.fromhex("28b52ffd 20 64 230300 61")
"""100 times `a` as one RLE block, written by hand: no version of a compressor would write it in another way."""

CLAIM = Claim(TransactionId("c0ffee00c0ffee00c0ffee00c0ffee00"), 2, ClaimState.IDLE, "attic", 1_767_225_600_000_000_000)

BYTES_IN_A_LINE = 32


def objects(kek: bytes, keyring: Keyring) -> dict[str, bytes]:
    """The objects of the section by name, each under a nonce of its own."""
    hashed = hashed_key(keyring)
    return {
        "salt": seal_record(keyring, KDF, kek, (NONCES[0], b"")),
        "file": _file(keyring, CONTENT, FILE_KEY, (Word.ENCRYPT,), NONCES[1]),
        "compressed": _file(keyring, FRAME, hashed, tuple(Word), NONCES[2]),
        "claim": format2.encode_claim(CLAIM, _framing(keyring, NONCES[3])),
        "chunked": _file(keyring, LONG_CONTENT, FILE_KEY, (Word.ENCRYPT,), NONCES[4], MIN_CHUNK_BYTES),
    }


def _file(
    keyring: Keyring,
    data: bytes,
    key: str,
    words: tuple[Word, ...],
    nonce: bytes,
    chunk_size: int = DEFAULT_CHUNK_BYTES,
) -> bytes:
    header = CipherHeader(KIND, words, Place(REPOSITORY, key), chunk_size)
    return encrypt_bytes(data, keyring.streams, header, nonce)


def _framing(keyring: Keyring, nonce: bytes) -> Framing:
    return Framing((Word.ENCRYPT,), unlock=lambda: keyring, nonce=lambda: nonce, key=CLAIM_KEY)


def hashed_key(keyring: Keyring) -> str:
    return f"files/%h/{hashed_name(keyring.names, PATH)}"


def sealed_labels(keyring: Keyring) -> dict[str, str]:
    labels = object_labels(PATH, 1_767_225_001_123_456_789, 0o644, SHA256)
    return seal_labels(labels, keyring.labels, FILE_KEY, NONCES[5])


# --- layout --------------------------------------------------------------------------------------------------------


def blocks() -> dict[str, str]:
    """The fenced blocks of the section, by what stands behind the three backquotes."""
    kek, keyring = derive(PASSWORD, KDF), Keyring(REPOSITORY, MASTER)
    whole = objects(kek, keyring)
    made = {name: split_frame(data, name) for name, data in whole.items()}
    return {
        "json example=vector-password": _json(_password_fields(kek)),
        "json example=vector-master": _json(_master_fields(keyring)),
        "text example=vector-name": f"{PATH}  {hashed_key(keyring)}\n",
        **{f"json example=vector-{name}-header": f"{header.decode()}\n" for name, (header, _) in made.items()},
        "json example=vector-salt-payload": f"{made['salt'][1].decode()}\n",
        "hex example=vector-file": _hex(whole["file"]),
        "hex example=vector-compressed-rest": _hex(made["compressed"][1]),
        "hex example=vector-claim-rest": _hex(made["claim"][1]),
        "text example=vector-chunked": f"{len(whole['chunked'])} {hashlib.sha256(whole['chunked']).hexdigest()}\n",
        "json example=vector-labels": _json(sealed_labels(keyring)),
    }


def _password_fields(kek: bytes) -> dict[str, object]:
    return {
        "password": PASSWORD,
        "salt": KDF.salt.hex(),
        "opslimit": KDF.cost.passes,
        "memlimit": KDF.cost.memory,
        "kek": kek.hex(),
        **{use: subkey(kek, use).hex() for use in ("check", "wrap master", "wrap format 1")},
    }


def _master_fields(keyring: Keyring) -> dict[str, object]:
    keys = {"streams": keyring.streams, "metadata": keyring.metadata, "names": keyring.names, "labels": keyring.labels}
    return {"master": MASTER.hex(), **{use: key.hex() for use, key in keys.items()}}


def _json(fields: Mapping[str, object]) -> str:
    return json.dumps(fields, indent=2, ensure_ascii=False) + "\n"


def _hex(data: bytes) -> str:
    starts = range(0, len(data), BYTES_IN_A_LINE)
    return "".join(data[start : start + BYTES_IN_A_LINE].hex(" ") + "\n" for start in starts)


def shown(document: str) -> dict[str, str]:
    """The fenced blocks in a text, as `blocks` gives them."""
    return dict(re.findall(r"^```([^\n]+)\n(.*?)^```$", document, re.DOTALL | re.MULTILINE))


if __name__ == "__main__":
    sys.stdout.write("\n".join(f"```{title}\n{content}```\n" for title, content in blocks().items()))
