"""The fault model of the in-memory store: what can go wrong with one request to an object store.

Requests of one client are numbered from 1 in the order in which they are made, reads included; a `Fault` strikes
the request with its number. What can strike:

- BEFORE: the client dies before the request reaches the store.
- AFTER: the request is applied, then the client dies without having seen the answer.
- LOST: the request is applied, but its answer is lost; the client lives and gets an error.
- NOT_SENT: the request never reaches the store; the client gets the same error and cannot tell the difference.
- TWICE: the client library repeats a request whose first answer was lost. An unconditional put makes two
  versions and answers with the second; a conditional put has been applied by its first sending and is refused
  at its second; completing a multipart upload finds no such upload at its second; creating one leaves a twin
  behind. Reads, parts, aborts and deletions do not care.

A client that died is dead: every further request of it raises `SimulatedCrash` again. Faults never change what
other clients of the same store may do. Not modelled: a store that loses what it acknowledged, or answers wrongly.
"""

from enum import StrEnum

from attrs import frozen


class FaultKind(StrEnum):
    BEFORE = "before"
    AFTER = "after"
    LOST = "lost"
    NOT_SENT = "not sent"
    TWICE = "twice"


@frozen
class Fault:
    """`at` is the number of the request that it strikes, from 1."""

    at: int
    kind: FaultKind


@frozen
class Call:
    """One request as a real S3 would count them. `key` is the prefix of a listing, the first key of a deletion."""

    method: str
    key: str


class SimulatedCrash(BaseException):
    """The process died here. Not an `Exception`, so that no handler can go on as if nothing were."""
