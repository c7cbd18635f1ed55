"""What a built-in hook needs at work and does not have here: extras and files. Nobody is asked over the network."""

from argparse import Namespace
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from spotwatch import hooks
from spotwatch.cli.extras import install_hint, not_installed
from spotwatch.cli.recipients import recipients
from spotwatch.core.errors import SpotwatchError
from spotwatch.hooks.name_places import DynamicUpdatePlace, SqlPlace
from spotwatch.hooks.recipient_places import EventBusPlace, RecipientPlace, ServicePlace, SnsPlace, WebhookPlace


def lacks(arguments: Namespace) -> Iterator[str]:
    """What the built-in with these parsed words lacks, each in a sentence."""
    if hasattr(arguments, "make_place"):
        yield from _of_names(arguments)
    elif arguments.name == "notify":
        yield from _of_notify(arguments)
    elif arguments.name == "run-parts":
        yield from _of_run_parts(arguments.directory)
    elif hooks.built_in(arguments.name).IAM_ACTIONS:
        yield from _modules("aws", "boto3")


def _of_names(arguments: Namespace) -> Iterator[str]:
    match arguments.make_place(arguments):
        case DynamicUpdatePlace(key_file=key_file):
            missing = list(_modules("dns", "dns"))
            yield from missing
            if key_file is not None and not missing:
                from spotwatch.dns.tsig import read_key

                yield from _refusal(lambda: read_key(key_file))
        case SqlPlace() as place:
            from spotwatch.dns.database import Database

            yield from _modules("dns", "dns")
            try:
                Database.parse(place.url, password_file=place.password_file, ca=place.tls_ca).load_driver()
            except ModuleNotFoundError as error:
                yield f"{not_installed(error)}; {install_hint('dns')}"
            except SpotwatchError as error:
                yield f"{error.message}; {error.hint}"
        case _:
            yield from _modules("aws", "boto3")


def _of_notify(arguments: Namespace) -> Iterator[str]:
    for given in arguments.places or ():
        place: RecipientPlace = given
        match given:
            case WebhookPlace(source):
                place = WebhookPlace(source, arguments.header_file, arguments.template)
            case ServicePlace():
                yield from _modules("notify", "apprise")
            case SnsPlace() | EventBusPlace():
                yield from _modules("aws", "boto3")
        yield from _refusal(partial(recipients, place, _no_session))


def _of_run_parts(directory: Path) -> Iterator[str]:
    try:
        next(directory.iterdir(), None)
    except OSError as error:
        yield f"{directory} cannot be listed: {error.strerror}"


def _no_session(region: str) -> NoReturn:
    """Recipients at AWS ask for theirs when they are first told, which is never here."""
    raise AssertionError(region)


def _modules(extra: str, name: str) -> Iterator[str]:
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        yield f"{not_installed(error)}; {install_hint(extra)}"


def _refusal(make: Callable[[], object]) -> Iterator[str]:
    try:
        make()
    except SpotwatchError as error:
        yield f"{error.message}; {error.hint}"
