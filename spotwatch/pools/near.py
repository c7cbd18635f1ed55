"""What somebody meant who wrote a name that does not exist."""

from collections.abc import Iterable


def near(name: str, known: Iterable[str], *, most: int = 3) -> str:
    """A hint that names what is known: what is spelled like `name`; where nothing is, all if they are few.

    Args:
        name: what was written.
        known: what could have been.
        most: how many of the nearest are named.
    """
    import difflib  # only a mistake needs it

    names = sorted(set(known))
    if not names:
        return "nothing of the kind is known"
    matches = difflib.get_close_matches(name, names, n=most, cutoff=0.6)
    if matches and len(names) > FEW:
        return f"did you mean {' or '.join(matches)}?"
    return f"known are {', '.join(names[:MANY])}{' and others' if len(names) > MANY else ''}"


FEW = 6
"""Names that are all shown instead of the nearest: the AZs of a region, the architectures."""

MANY = 40
"""Names that a hint shows at most: all regions, all classes."""
