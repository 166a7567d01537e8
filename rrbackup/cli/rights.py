"""What the commands about rights do: print policies and life-cycle rules, and put them where they belong.

The rule: what is printed is always the document itself, in every mode and with `--json`; what was done with it is a
notice.
"""

import json

from rrbackup.cli.exit_codes import ExitCode
from rrbackup.cli.session import Session
from rrbackup.cli.texts import counted
from rrbackup.config import load_config
from rrbackup.effects.applying import apply_life_cycle, apply_policy, place_of
from rrbackup.pure import policies
from rrbackup.pure.policies import Document, PolicyMode


def policy(session: Session, mode: str, user: str | None) -> ExitCode:
    config, wanted = load_config(session.options.config), PolicyMode(mode)
    document = policies.policy(wanted, place_of(config))
    if user is not None:
        name = apply_policy(config, wanted, user)
        session.note(f"the user {user} has the policy {name} now; other policies of that user stay")
    return _print(session, document)


def life_cycle(session: Session, *, apply: bool) -> ExitCode:
    config = load_config(session.options.config)
    document = policies.life_cycle(place_of(config))
    if apply:
        applied = apply_life_cycle(config)
        done = "put the rules on the bucket" if applied.changed else "nothing to do: the bucket has the rules"
        others = f"; {counted(applied.others, 'other rule stays', 'other rules stay')}" if applied.others else ""
        session.note(done + others)
    return _print(session, document)


def _print(session: Session, document: Document) -> ExitCode:
    return session.listing(document, json.dumps(document, indent=2).splitlines())
