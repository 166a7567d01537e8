"""Continuing a repository of rrbackup 1.0: its bare salt gives way to keys of this version.

The rule decided here: the key of what 1.0 encrypted is kept only after it has opened something, because the password
cannot be checked otherwise, and a wrong one would be kept for ever.
"""

from rrbackup.effects.client import Client
from rrbackup.pure import format1
from rrbackup.pure.chain import old_objects, refers_to_encrypted


def upgrade_keys(client: Client) -> None:
    """Replace the salt of rrbackup 1.0, if there is one.

    Raises WrongPassword, PasswordMissing, DamagedObject where this version has had keys here, or ModeError where a file
    would have to be read to check the password.
    """
    if not client.keys.has_old_salt():
        return
    links = client.control.read_chain(0)
    client.control.check_may_publish()
    if any(link.format != format1.FORMAT and (link.encrypted or refers_to_encrypted(link.diff)) for link in links):
        client.keys.look_again()
        if not client.keys.has_old_salt():
            return  # another client has made the keys since we looked
        raise client.keys.missing()
    if client.keys.old_key() is None:
        client.prove_old(list(old_objects(links)))
    if client.keys.old_key() is None:
        client.control.read_claim()  # of a first run that was cut off there may be nothing else
    client.keys.upgrade(client.repository_of(links[0].head if links else None))
