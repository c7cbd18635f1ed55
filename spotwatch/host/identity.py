"""The user and the groups that a child runs as."""

import grp
import os
import pwd
from dataclasses import dataclass

from spotwatch.core.errors import CommandNotStarted


@dataclass(frozen=True, slots=True)
class Identity:
    """What to become; None leaves ours as it is."""

    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] | None = None


def identity(user: str | None, group: str | None) -> Identity:
    """The numbers for a user and a group, each given by name or as a number.

    A user comes with the groups that a login would have (initgroups(3)), unless it is who we are already and cannot
    change anything about it.

    Raises:
        CommandNotStarted: there is no such user or group.
    """
    gid = None if group is None else _group(group)
    if user is None:
        return Identity(gid=gid)
    account = _account(user)
    if account.pw_uid == os.geteuid() != 0:
        return Identity(gid=gid)
    gid = account.pw_gid if gid is None else gid
    return Identity(account.pw_uid, gid, tuple(os.getgrouplist(account.pw_name, gid)))


def _account(user: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except (KeyError, OverflowError, ValueError) as error:
        raise CommandNotStarted(
            f'there is no user "{user}"', hint="create the user, or correct the hook's user"
        ) from error


def _group(group: str) -> int:
    try:
        return int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except (KeyError, ValueError) as error:
        raise CommandNotStarted(
            f'there is no group "{group}"', hint="create the group, or correct the hook's group"
        ) from error
