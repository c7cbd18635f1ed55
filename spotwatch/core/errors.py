"""Every error that spotwatch raises on purpose, and what it means for the caller.

    SpotwatchError                      70  a bug, unless a subclass says otherwise
    ├── UsageError                      64  the command line asks for something impossible
    ├── SettingsError                   78  the settings files have mistakes: all of them, at once
    ├── InputError                      65  a file that the command line names cannot be used
    ├── PlanInfeasible                  65  no plan over Spot capacity pools does what is asked
    ├── ScenarioError                   65  a rehearsal's scenario file has mistakes
    ├── AlreadyRunning (Transient)      75  another daemon holds this state directory
    ├── StateUnavailable                73  the state directory cannot be used at all
    ├── VolumeRefused                   65  what was named as the log volume is on nothing that outlives the instance
    ├── OverlayUnavailable              69  this machine has no means to replay a journal without writing to the volume
    ├── OverlayFull                     73  the scratch space does not hold what the replay writes
    ├── FileNotWritten                  73  a file that the command line names cannot be written
    ├── NotRunning                      69  there is no daemon to ask
    ├── CommandNotStarted                   a hook's command could not be executed; a value, not an exit
    ├── LeaseLost (Transient)           75  another worker has taken the volume over
    ├── VolumeUnreadable                65  the volume holds nothing that can be read, and why
    ├── DeviceDenied                    77  this process may not open, mount or switch a block device: it is not root
    ├── WorkerFailed (Transient)        75  the process that reads a volume was stopped or killed
    ├── PackingFailed                   70  what was packed does not unpack to what was read: this machine is not sound
    ├── EcsAgentUnavailable (Transient) 69  the ECS agent of this machine does not say what it is
    ├── NotInTime (Transient)           75  a wait was cut by the deadline; what was begun goes on
    ├── ServiceManagerUnavailable (Transient) 69  systemd does not answer
    ├── ServiceManagerDenied            77  systemd does not let us stop a unit
    ├── ServiceManagerRefused           69  any other refusal of systemd, or there is none
    ├── NetworkRefused                  69  the kernel does not show or change its addresses, routes or rules
    ├── DestinationError                69  shipped objects can neither be stored nor read there
    │   ├── DestinationFull             73      there is no room
    │   └── DestinationDenied           77      it lets us neither store nor read
    ├── AwsError                        69  AWS did not do what it was asked for
    │   ├── AwsUnreachable (Transient)          no complete answer came
    │   ├── AwsThrottled (Transient)            it asks for patience
    │   ├── AwsBroken (Transient)               5xx, and answers that come damaged
    │   │   └── AwsGarbled                          an answer that makes no sense: it is not AWS that answers
    │   ├── AwsUnsettled (Transient)            it has begun what it was asked for, and not finished
    │   ├── AwsDenied                   77  credentials or an IAM permission are missing
    │   ├── AwsNotFound                         the resource is not there
    │   ├── AwsConflict                         the resource is in another state, or somebody else has it
    │   └── AwsRefused                          any other refusal: a wrong parameter, a limit
    ├── NameServiceError                69  a name server, or its database, did not do what it was asked for
    │   ├── NameServerUnreachable (Transient)   no complete answer came
    │   ├── NameServerBusy (Transient)          somebody else is in the way, or it has trouble
    │   ├── NameServiceDenied           77      the key, the password or a grant is missing or wrong
    │   └── NameServiceRefused                  any other refusal: no such zone, no such table
    ├── NotificationError               69  somebody outside AWS could not be told of a drain
    │   ├── NotificationUnanswered (Transient)  no complete answer came
    │   ├── NotificationDeferred (Transient)    it asks for patience, or has trouble
    │   └── NotificationRefused                 any other refusal: a wrong URL, token or template
    └── MetadataError                   69  the metadata service gave no usable answer
        ├── MetadataUnreachable (Transient)     refused, reset, cut off, not HTTP
        │   └── MetadataTimedOut                    no complete answer within the limit
        ├── MetadataThrottled (Transient)       429 and 503
        ├── MetadataBroken (Transient)          any other 5xx, and answers that nothing explains
        ├── MetadataTokenUnanswered (Transient) the token PUT was dropped: the hop limit
        ├── MetadataRefused                     400, 401 twice, 403, 405: a setting or a proxy is in the way
        └── MetadataMalformed                   an answer with a body that cannot be what AWS sends

Whether trying again makes sense is in the type: `Transient`. The number is the exit code (sysexits.h) of a command
that ends with the error. `hint` tells the operator what to do next.
"""

from collections.abc import Sequence

EX_USAGE = 64
EX_DATAERR = 65
EX_UNAVAILABLE = 69
EX_SOFTWARE = 70
EX_CANTCREAT = 73
EX_TEMPFAIL = 75
EX_NOPERM = 77
EX_CONFIG = 78


class Transient:
    """Marks an error after which the same attempt may succeed."""


class SpotwatchError(Exception):
    """What happened, in one sentence, and a hint of what to do about it."""

    exit_code = EX_SOFTWARE

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(SpotwatchError):
    """The command line asks for something that cannot be done."""

    exit_code = EX_USAGE


class SettingsError(SpotwatchError):
    """The settings cannot be used; `mistakes` names each one with its file, its key path and its cure."""

    exit_code = EX_CONFIG

    def __init__(self, mistakes: Sequence[str]) -> None:
        count = len(mistakes)
        super().__init__(f"{count} mistake{'s' if count != 1 else ''} in the settings", hint="correct the settings")
        self.mistakes = tuple(mistakes)


class InputError(SpotwatchError):
    """A file that the command line names cannot be read, or does not hold what it should."""

    exit_code = EX_DATAERR


class PlanInfeasible(SpotwatchError):
    """No plan over Spot capacity pools does what is asked, or none was found; the message says what is in the way."""

    exit_code = EX_DATAERR


class ScenarioError(SpotwatchError):
    """The scenario of a rehearsal cannot be played."""

    exit_code = EX_DATAERR


class AlreadyRunning(SpotwatchError, Transient):
    """Another process holds the lock of the state directory."""

    exit_code = EX_TEMPFAIL


class StateUnavailable(SpotwatchError):
    """The state directory can neither be made nor used."""

    exit_code = EX_CANTCREAT


class VolumeRefused(SpotwatchError):
    """What was named as the log volume is on no EBS volume, or it cannot be told on which."""

    exit_code = EX_DATAERR


class OverlayUnavailable(SpotwatchError):
    """No way to replay a journal without writing to the volume works on this machine."""

    exit_code = EX_UNAVAILABLE


class OverlayFull(SpotwatchError):
    """The scratch space is too small for what the replay of the journal writes."""

    exit_code = EX_CANTCREAT


class FileNotWritten(SpotwatchError):
    """A file that the command line names for the output cannot be written; what was there is untouched."""

    exit_code = EX_CANTCREAT


class NotRunning(SpotwatchError):
    """No daemon has left a status in the state directory."""

    exit_code = EX_UNAVAILABLE


class CommandNotStarted(SpotwatchError):
    """A command could not be executed: it is missing, not executable, or its user cannot be taken on."""


class LeaseLost(SpotwatchError, Transient):
    """Another worker has taken the volume over; whatever was shipped is shipped."""

    exit_code = EX_TEMPFAIL


class VolumeUnreadable(SpotwatchError):
    """The volume holds no file system that can be read: LVM, RAID, encryption, damage, nothing at all."""

    exit_code = EX_DATAERR


class DeviceDenied(SpotwatchError):
    """The kernel does not let this process use a block device; nothing is said about the volume by that."""

    exit_code = EX_NOPERM


class WorkerFailed(SpotwatchError, Transient):
    """The process that reads a volume was stopped at its time limit, or was killed."""

    exit_code = EX_TEMPFAIL


class PackingFailed(SpotwatchError):
    """What was packed does not unpack to what was read: a mistake of the processor, of the memory, or of zstd."""


class EcsAgentUnavailable(SpotwatchError, Transient):
    """The introspection endpoint of the ECS agent gave no usable answer."""

    exit_code = EX_UNAVAILABLE


class NotInTime(SpotwatchError, Transient):
    """The deadline came before the effect, or before the answer."""

    exit_code = EX_TEMPFAIL


class ServiceManagerUnavailable(SpotwatchError, Transient):
    """systemd gave no answer."""

    exit_code = EX_UNAVAILABLE


class ServiceManagerDenied(SpotwatchError):
    """systemd, or polkit for it, does not allow us what we ask for."""

    exit_code = EX_NOPERM


class ServiceManagerRefused(SpotwatchError):
    """systemd is not there, or understood and refused."""

    exit_code = EX_UNAVAILABLE


class NetworkRefused(SpotwatchError):
    """The kernel does not show its addresses, routes and rules, or does not let us change them."""

    exit_code = EX_UNAVAILABLE


class DestinationError(SpotwatchError):
    """The destination could not store, find or read an object."""

    exit_code = EX_UNAVAILABLE


class DestinationFull(DestinationError):
    """The destination has no room for it."""

    exit_code = EX_CANTCREAT


class DestinationDenied(DestinationError):
    """The destination does not allow it; the hint names the action."""

    exit_code = EX_NOPERM


class AwsError(SpotwatchError):
    """AWS did not do what it was asked for; `code` is its own word for the reason, empty if it gave none."""

    exit_code = EX_UNAVAILABLE

    def __init__(self, message: str, *, code: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class AwsUnreachable(AwsError, Transient):
    """No complete answer came: no route, refused, reset, silence."""


class AwsThrottled(AwsError, Transient):
    """AWS asks for patience."""


class AwsBroken(AwsError, Transient):
    """AWS is in trouble, or its answer came damaged."""


class AwsGarbled(AwsBroken):
    """The answer makes no sense: something else answers in AWS's place."""


class AwsUnsettled(AwsError, Transient):
    """A change that was begun does not show yet."""


class AwsDenied(AwsError):
    """There are no valid credentials, or they do not allow the action; the hint names it."""

    exit_code = EX_NOPERM


class AwsNotFound(AwsError):
    """The resource is not there (any more, or yet: reads lag behind writes)."""


class AwsConflict(AwsError):
    """The resource is in another state than the call needs, or somebody else has it."""


class AwsRefused(AwsError):
    """AWS understood and refused: a wrong parameter, a limit, a wrong zone."""


class NameServiceError(SpotwatchError):
    """A name server, or the database that it reads its records from, did not do what it was asked for."""

    exit_code = EX_UNAVAILABLE


class NameServerUnreachable(NameServiceError, Transient):
    """No complete answer came: no route, refused, reset, silence."""


class NameServerBusy(NameServiceError, Transient):
    """Somebody else holds a lock or has changed the same at the same time, or the server has trouble."""


class NameServiceDenied(NameServiceError):
    """The TSIG key, the password or a grant is missing or wrong; the hint says which."""

    exit_code = EX_NOPERM


class NameServiceRefused(NameServiceError):
    """It understood and refused: no zone for the name, no such table or column, a record of another kind."""


class NotificationError(SpotwatchError):
    """A webhook, or a service like one, did not take a notification. No message of these holds a secret."""

    exit_code = EX_UNAVAILABLE


class NotificationUnanswered(NotificationError, Transient):
    """No complete answer came; nobody knows whether the notification has arrived."""


class NotificationDeferred(NotificationError, Transient):
    """It asks for patience, or has trouble; `after` are the seconds that it asks for, 0 if it names none."""

    def __init__(self, message: str, *, hint: str = "", after: float = 0.0) -> None:
        super().__init__(message, hint=hint)
        self.after = after


class NotificationRefused(NotificationError):
    """It understood and refused, or cannot even be asked."""


class MetadataError(SpotwatchError):
    """The metadata service gave no usable answer."""

    exit_code = EX_UNAVAILABLE


class MetadataUnreachable(MetadataError, Transient):
    """No complete HTTP answer came."""


class MetadataTimedOut(MetadataUnreachable):
    """The answer was not complete when its time was up: silence, a slow drip, a dropped packet."""


class MetadataThrottled(MetadataError, Transient):
    """The service asked for patience (429, 503)."""


class MetadataBroken(MetadataError, Transient):
    """The service is in trouble, or answered with a status that nothing explains."""


class MetadataTokenUnanswered(MetadataError, Transient):
    """A token was asked for and the answer never came, which is how an exceeded hop limit shows."""


class MetadataRefused(MetadataError):
    """The service understood and refused: switched off, path not allowed, token required, a proxy between."""


class MetadataMalformed(MetadataError):
    """The service answered 200 with a body that is not what AWS documents for the item."""

    def __init__(self, message: str, *, hint: str = "see what answers at the endpoint; the item is read again") -> None:
        super().__init__(message, hint=hint)
