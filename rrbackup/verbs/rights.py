"""The verbs about rights: the policies and life-cycle rules that a bucket needs, and putting them in force.

They need a repository in a bucket, and raise UsageError for one in a folder.
"""

from rrbackup.effects.applying import Applied, apply_life_cycle, apply_policy, place_of
from rrbackup.pure import policies
from rrbackup.pure.policies import Document, PolicyMode
from rrbackup.verbs.opened import Opened


class Rights(Opened):
    """Who may do what, and what may expire. The documents are JSON as Amazon takes it."""

    def policy(self, mode: PolicyMode | str) -> Document:
        """The least IAM policy for a client of this kind. Sends nothing. Raises UsageError for no such kind."""
        return policies.policy(policies.mode_named(mode), place_of(self.config))

    def apply_policy(self, mode: PolicyMode | str, user: str) -> str:
        """Give it to an IAM user, in place of one of the same name; the name of the policy.

        Raises ObjectMissing where there is no such user, AccessDenied, StoreError.
        """
        return apply_policy(self.config, policies.mode_named(mode), user, self._given.credentials)

    def lifecycle(self) -> Document:
        """The life-cycle rules that the bucket may have. Sends nothing."""
        return policies.life_cycle(place_of(self.config))

    def apply_lifecycle(self) -> Applied:
        """Put them on the bucket; rules that it has from others stay. Raises ModeError, StoreMissing, AccessDenied."""
        return apply_life_cycle(self.config, self._given.credentials)
