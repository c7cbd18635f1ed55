"""One request to the metadata service and its answer, as plain values, and who can carry one out."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask; `limit` is the most seconds that it may take, from connecting to the last byte."""

    method: str
    path: str
    limit: float
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Response:
    """What was answered; `date` is the service's clock, from the ``Date`` header, if it sent one."""

    status: int
    body: str
    date: datetime | None = None


class Metadata(Protocol):
    """Somebody who can ask the metadata service."""

    def send(self, request: Request) -> Response:
        """The answer to this request.

        Raises:
            MetadataTimedOut: no complete answer within ``request.limit`` seconds. It never takes noticeably longer.
            MetadataUnreachable: refused, reset, cut off in the middle, or not HTTP.
            MetadataBroken: more bytes than any item has.
        """
        ...

    def close(self) -> None:
        """Give up the connection."""
        ...
