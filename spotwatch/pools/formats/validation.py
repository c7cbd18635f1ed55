"""What is written is held against botocore's models, cfn-lint and our own limits, before anybody sees it."""

from functools import cache
from typing import Any, Final

from spotwatch.core.errors import UsageError
from spotwatch.pools.check import configuration_of
from spotwatch.pools.formats.settings import Settings
from spotwatch.pools.limits import Configuration, Facts, Severity, examine
from spotwatch.pools.plan import Plan


def require_model(service: str, operation: str, requests: list[dict[str, Any]]) -> None:
    """Hold requests against the input of an operation, as botocore's bundled model has it; asks nobody.

    Raises:
        UsageError: a request does not fit.
    """
    from botocore.validate import ParamValidator  # only the formats of the AWS API need it

    shape = _model(service).operation_model(operation).input_shape
    for request in requests:
        report = ParamValidator().validate(request, shape)
        if report.has_errors():
            raise UsageError(
                f"{operation} does not take this plan: {' '.join(report.generate_report().split())}",
                hint="see the names, subnets and tags that were given",
            )


@cache
def _model(service: str) -> Any:
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


_TYPE_UNKNOWN: Final = "E3628"
"""The rule of cfn-lint that knows each region's instance types, as of its release."""

_MOST_MESSAGE: Final = 120
"""Characters of an objection; some list every instance type."""


def require_template(text: str, region: str) -> list[str]:
    """Hold a CloudFormation template against cfn-lint's rules; asks nobody.

    The facts of a plan may be newer than cfn-lint's list of instance types: what it misses there is only a note.

    Returns:
        Notes.

    Raises:
        UsageError: cfn-lint has an objection.
    """
    from cfnlint.api import lint  # type: ignore[import-untyped]  # takes a second to import, and only this format needs it
    from cfnlint.helpers import REGIONS  # type: ignore[import-untyped]

    matches = lint(text, regions=[region] if region in REGIONS else None)
    unknown = [str(match.message) for match in matches if match.rule.id == _TYPE_UNKNOWN]
    objections = [f"{match.rule.id} {match.message}" for match in matches if match.rule.id != _TYPE_UNKNOWN]
    if objections:
        shown = "; ".join(objection[:_MOST_MESSAGE] for objection in objections[:5])
        raise UsageError(f"cfn-lint: {shown}", hint="see the names, subnets and tags that were given")
    types = sorted({message.split(" is not one of")[0].strip("'") for message in unknown})
    return [f"cfn-lint does not know {', '.join(types)} in {region}"] if types else []


def require_limits(documents: list[Any], plan: Plan, settings: Settings) -> Configuration:
    """Read a configuration back as `check` does, and hold it against every limit.

    Raises:
        UsageError: AWS would refuse it.
    """
    subnet_azs = {subnet: az for az, subnet in settings.subnets.items()}
    configuration = configuration_of(documents, "the configuration", subnet_azs)
    types = {pool.pool.type.name: pool.pool.type for pool in plan.pools}
    for finding in examine(configuration, Facts(types)):
        if finding.severity is Severity.REFUSED:
            raise UsageError(f"{finding.where}: {finding.what} ({finding.source})", hint=finding.cure)
    return configuration
