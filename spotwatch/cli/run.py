"""``spotwatch run``: the daemon."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import closing, contextmanager

from spotwatch.cli.options import add_settings_options, load_settings
from spotwatch.core.settings import Settings
from spotwatch.daemon.loop import Daemon
from spotwatch.host.journal import Journal
from spotwatch.host.lock import DirectoryLock
from spotwatch.host.machine import Machine
from spotwatch.host.records import Records
from spotwatch.host.service_manager import ServiceManager, environment_for_children
from spotwatch.log import Log, make_log
from spotwatch.watch.connection import Connection
from spotwatch.watch.watcher import Watcher

DESCRIPTION = """\
Watch this instance's metadata service and run the hooks of the settings when
something is announced: a Spot interruption notice (terminate, stop,
hibernate), a rebalance recommendation, scheduled maintenance, an Auto Scaling
lifecycle change. Meant to be started by systemd (Type=notify), and just as well
from a shell.
"""

EPILOG = """\
signals:
  SIGTERM, SIGINT  leave; a drain that has begun is finished first, a second
                   signal ends it
  SIGHUP           read the settings again; if they have mistakes, those read
                   before stay in force

environment of a hook:
  SPOTWATCH_EVENT              start, rebalance, maintenance, lifecycle,
                               shutdown, stop, hibernate or terminate
  SPOTWATCH_ACTION             AWS's own word: the instance action, the code of
                               the maintenance, the lifecycle state
  SPOTWATCH_NOTICE_TIME        the time that AWS names (RFC 3339, UTC), or empty
  SPOTWATCH_DEADLINE           when the instance has to be ready (RFC 3339, UTC)
  SPOTWATCH_SECONDS_LEFT       seconds from the hook's start to that deadline
  SPOTWATCH_TIMEOUT            seconds from the hook's start to its SIGTERM
  SPOTWATCH_INSTANCE_ID        the instance, as far as the metadata service has
  SPOTWATCH_INSTANCE_TYPE      said it
  SPOTWATCH_AVAILABILITY_ZONE
  SPOTWATCH_REGION
  SPOTWATCH_DRAIN_ID           the name of the drain, of its report and of its
                               output directory
  SPOTWATCH_STAGE              the stage and the name of the hook
  SPOTWATCH_HOOK
  SPOTWATCH_STATE_DIRECTORY    where reports and outputs are kept

exit codes:
  0   told to leave, and left
  64  the command line is wrong
  70  a bug in spotwatch
  73  the runtime directory cannot be made or used
  75  another daemon is running
  78  the settings have mistakes; nothing was started

examples:
  spotwatch run --config ./spotwatch.toml
  spotwatch run --set log.format=json \\
                --set metadata.endpoint=http://127.0.0.1:1338
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's words."""
    add_settings_options(parser)


def run(arguments: Namespace) -> int:
    """Live until SIGTERM."""
    _have_standard_streams()
    settings = load_settings(arguments)
    log = make_log(settings.log)
    records = Records(settings.state)
    problem = records.prepare()
    if problem:
        log.error("state-not-kept", problem=problem, hint="hooks will run; outputs and reports go to this log")
    if not settings.hooks:
        log.warning("no-hooks", message="the settings name no hook, so an interruption will only be reported")
    with composed(settings, arguments, log, records) as daemon:
        daemon.run()
    return 0


@contextmanager
def composed(settings: Settings, arguments: Namespace, log: Log, records: Records) -> Iterator[Daemon]:
    """The daemon with all its parts, which end with the context; also for ``spotwatch drain``.

    The machine handles signals before the lock says that somebody is there to get them, and for as long as it does.

    Raises:
        AlreadyRunning: another process holds the lock.
    """
    lock = DirectoryLock(settings.state.runtime_directory)
    with Machine() as machine, lock, closing(Journal(settings.state.directory)) as journal:
        for problem in filter(None, (journal.problem, journal.kept_aside)):
            log.error("journal", problem=problem)
        watcher = Watcher(Connection, settings.metadata, settings.drain.limit, machine.instant)
        with closing(watcher):
            yield Daemon(
                settings,
                load=lambda: load_settings(arguments),
                machine=machine,
                watcher=watcher,
                manager=ServiceManager(os.environ),
                records=records,
                journal=journal,
                environment=environment_for_children(os.environ),
                log=log,
            )


def _have_standard_streams() -> None:
    """Open those of the three that are closed, or the next file or socket would take their numbers and their text."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:  # 0, 1 and 2, as stdin(3) has them
        pass
    os.close(descriptor)
