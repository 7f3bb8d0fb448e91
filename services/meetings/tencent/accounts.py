"""Which user of Tencent Meeting an account of ours is, and the other way round: said once, here.

By default they are the same: the account id is the subject of the sign-in, and an enterprise that signs in to Tencent
Meeting through the same sign-in has it as its userid. Where they differ by a fixed part, the pattern says so.
"""

from dataclasses import dataclass

PLACEHOLDER = "{account}"


@dataclass(frozen=True, slots=True)
class Accounts:
    """`pattern` holds {account} once: "{account}" (the default), or for example "{account}@example.org"."""

    pattern: str = PLACEHOLDER

    def __post_init__(self) -> None:
        if self.pattern.count(PLACEHOLDER) != 1:
            raise ValueError("must hold {account} exactly once, for example {account}@example.org")

    def to_user(self, account: str) -> str:
        return self.pattern.replace(PLACEHOLDER, account)

    def to_account(self, user: str) -> str:
        """ "" for a user that is no account of ours."""
        before, _, after = self.pattern.partition(PLACEHOLDER)
        ours = user.startswith(before) and user.endswith(after) and len(user) > len(before) + len(after)
        return user[len(before) : len(user) - len(after)] if ours else ""
