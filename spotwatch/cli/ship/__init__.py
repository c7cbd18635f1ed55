"""``spotwatch ship``: what is left on log volumes goes to a destination, by hand or as the batch job."""

import gc
import json
import os
import socket
from argparse import SUPPRESS, ArgumentParser, Namespace
from typing import Final

from spotwatch.cli.options import add_settings_options, load_settings
from spotwatch.cli.ship.order import Order, add_batch_options, add_order_options, check_words, order_of
from spotwatch.core.errors import EX_DATAERR, SpotwatchError
from spotwatch.core.settings import LogSettings, ShipSettings
from spotwatch.host.memory import keep_freed_memory
from spotwatch.ship.manifest import Manifest

MOST_GARBAGE: Final = 50_000
"""Objects made before garbage is looked for: the libraries make that many which stay, and each look goes over them."""

KEPT_BYTES: Final = 16 * 1024 * 1024
"""Of freed memory: a few frames or parts of uploads, one after the other."""

DESCRIPTION = """\
Ship what log agents had not sent when their instance died.

With --device (or --directory): a volume that is already here. It is read
without being written to (its journal is replayed on an overlay), what is left
is decided by the agents' positions, shipped, described by a manifest, and read
back. Nothing is asked of AWS, but for S3 if that is the destination.

Without: the batch job. Leftover volumes of this Availability Zone are found by
their tags, attached, shipped likewise, and deleted once they are.
"""

EPILOG = """\
exit codes:
  0   everything is shipped, and was read back
  64  the command line is wrong
  65  something is wrong with a volume: what can be read of it, if anything,
      is shipped; the batch job has put it into quarantine
  69  the destination or AWS is not there
  73  there is no room: at the destination, or for the replay of the journal
  75  try again later: the time limit was over; the batch job has failed at one
  77  AWS does not allow it, or the kernel: reading a device needs root
  78  the settings have mistakes

examples:
  spotwatch ship --device /dev/nvme1n1 --to file:///srv/rescued
  spotwatch ship --device /dev/nvme1n1 --to s3://my-logs/spot --dry-run
  spotwatch ship --device volume.img --to file:///srv/rescued \\
                 --mount-point /var/log/app --log-path 'app/*.log' \\
                 --agent fluent-bit:state/tail.db
  spotwatch ship --to s3://my-logs/spot --retain 7d
  spotwatch ship --to s3://my-logs/spot --dry-run
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's words."""
    add_settings_options(parser)
    add_order_options(parser)
    add_batch_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    # How we start ourselves once more, to read one volume: see `spotwatch.cli.ship.reader`.
    parser.add_argument("--draft", metavar="FILE", help=SUPPRESS)
    parser.add_argument("--progress", metavar="FILE", help=SUPPRESS)
    parser.add_argument("--relay", metavar="DESCRIPTOR", type=int, help=SUPPRESS)


def run(arguments: Namespace) -> int:
    """Ship, or read one volume for the process that does."""
    gc.set_threshold(MOST_GARBAGE)
    keep_freed_memory(KEPT_BYTES)
    if arguments.draft:
        return _read(order_of(arguments, ShipSettings()), arguments)
    check_words(arguments)
    settings = load_settings(arguments)
    order = order_of(arguments, settings.ship)
    if order.device or order.directory:
        return _by_hand(order, settings.log, as_json=arguments.json)
    from spotwatch.cli.ship.batch import run_batch

    return run_batch(arguments, settings, order)


def _read(order: Order, arguments: Namespace) -> int:
    from spotwatch.cli.ship.draft import ProgressFile, refusal
    from spotwatch.cli.ship.reader import read
    from spotwatch.cli.ship.relay import Relay

    descriptor = os.open(arguments.progress, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with socket.socket(fileno=arguments.relay) as connection:
            content = read(order, Relay(connection, order.to), ProgressFile(descriptor).write).encode()
        code = 0
    except SpotwatchError as error:
        content, code = json.dumps(refusal(error)).encode(), error.exit_code
    finally:
        os.close(descriptor)
    with open(arguments.draft, "wb") as file:
        file.write(content)
    return code


def _by_hand(order: Order, log: LogSettings, *, as_json: bool) -> int:
    from spotwatch.cli.ship.report import document, plan, summary
    from spotwatch.cli.ship.shipper import WorkerShipper
    from spotwatch.cli.ship.view import view

    key: str | None = None
    with view(log) as shown:
        shipper = WorkerShipper(order, shown)
        manifest: Manifest = shipper.read(order)
        if not order.dry_run:
            key = shipper.publish(manifest)
            shipper.verify(manifest)
    if as_json:
        print(json.dumps(document(manifest, key), indent=2))
    else:
        print("\n".join(plan(manifest) if key is None else summary(manifest, shipper.destination.url, key)))
    return EX_DATAERR if manifest.anomalies else 0
