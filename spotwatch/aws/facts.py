"""Facts from the cache or else from AWS, each with its source."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Generic, Protocol, TypeVar

from spotwatch.core.capacity import Source
from spotwatch.core.errors import AwsError

Fact = TypeVar("Fact")


class Cache(Protocol):
    """Where answers are kept."""

    def read(self, question: Sequence[str], *, any_age: bool = False) -> tuple[Any, datetime] | None:
        """The answer to a question and when it was kept (UTC); None if there is none that is young enough."""
        ...

    def write(self, question: Sequence[str], answer: Any) -> None:
        """Keep an answer, which is what JSON can hold. That it could not be kept is no error."""
        ...


@dataclass(frozen=True, slots=True)
class Question(Generic[Fact]):
    """How a fact is asked for, and how it is kept.

    Attributes:
        fact: what it is called in the sources.
        origin: who answers.
        ask: asks AWS.
        pack: to what JSON can hold.
        unpack: the reverse; raises LookupError, TypeError, ValueError or AttributeError for anything else.
        details: what tells the question from others about the same fact.
        note: what a reader has to know of the fact.
    """

    fact: str
    origin: str
    ask: Callable[[], Fact]
    pack: Callable[[Fact], Any]
    unpack: Callable[[Any], Fact]
    details: tuple[str, ...] = ()
    note: str = ""


class Facts:
    """Facts of one region, from the cache or else from AWS; their sources and what is to be remarked on them."""

    def __init__(self, cache: Cache, whose: tuple[str, ...], now: datetime) -> None:
        self.cache = cache
        self.whose = whose
        self.now = now
        self.sources: list[Source] = []
        self.remarks: list[str] = []

    def known(self, question: Question[Fact]) -> Fact:
        """A fact.

        Raises:
            SpotwatchError: it could not be had.
        """
        words = (question.fact, *self.whose, *question.details)
        kept = self.cache.read(words)
        if kept is not None:
            try:
                value = question.unpack(kept[0])
            except (LookupError, TypeError, ValueError, AttributeError):
                self.remarks.append(f"the kept {question.fact} are not used: they cannot be read any more")
            else:
                self.add_source(question.fact, question.origin, kept[1].date(), question.note)
                return value
        value = question.ask()
        self.cache.write(words, question.pack(value))
        self.add_source(question.fact, question.origin, self.now.date(), question.note)
        return value

    def known_if_possible(self, question: Question[Fact], otherwise: Fact) -> Fact:
        """The same, but if AWS does not tell, that is remarked and no error."""
        try:
            return self.known(question)
        except AwsError as error:
            self.missing(question.fact, error)
            return otherwise

    def missing(self, fact: str, error: AwsError) -> None:
        """Remark that a fact could not be had."""
        self.remarks.append(f"no {fact}: {error.message}{f' ({error.hint})' if error.hint else ''}")

    def add_source(self, fact: str, origin: str, on: date | None, note: str = "") -> None:
        """Remember where a fact comes from."""
        self.sources.append(Source(fact, origin, on, note))
