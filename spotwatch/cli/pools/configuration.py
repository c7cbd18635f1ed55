"""The plan as the configuration that creates it: `--format`, and the words for what no plan knows."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from spotwatch.cli.values import pairs
from spotwatch.core.errors import UsageError
from spotwatch.pools.plan import Plan

if TYPE_CHECKING:
    from spotwatch.pools.formats import LaunchTemplate, Written

FORMATS: Final = ("ec2-fleet", "auto-scaling", "spot-fleet", "cloudformation", "terraform", "karpenter")
"""Those of `spotwatch.pools.formats`, which takes longer to import than a plan takes to make; a test compares them."""

ARCHITECTURES: Final = ("x86_64", "arm64", "i386")


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the words."""
    group = parser.add_argument_group("with --format")
    group.add_argument("--name", default="spotwatch", help="begins the names of all that is created")
    group.add_argument(
        "--launch-template",
        action="append",
        default=[],
        metavar="[ARCH=]ID[:VERSION]",
        help="id or name, for an architecture (default: x86_64); may be repeated",
    )
    group.add_argument(
        "--subnet", action="append", default=[], metavar="AZ_ID=SUBNET", help="the subnet of each AZ; may be repeated"
    )
    group.add_argument("--tag", action="append", default=[], metavar="KEY=VALUE", help="of what is created")
    group.add_argument("--fleet-role", default="", metavar="ARN", help="the role by which a Spot Fleet acts")
    group.add_argument("--node-class", default="default", metavar="NAME", help="Karpenter's EC2NodeClass")


def configuration(arguments: Namespace, made: Plan) -> "Written":
    """What is to be printed, validated, and what its reader has to know.

    Raises:
        UsageError: the service cannot hold the plan, or the words do not fit it.
    """
    from spotwatch.pools.formats import Settings, write

    settings = Settings(
        name=arguments.name,
        launch_templates=_launch_templates(arguments.launch_template),
        subnets=pairs(arguments.subnet, "--subnet AZ_ID=SUBNET"),
        tags=pairs(arguments.tag, "--tag KEY=VALUE"),
        fleet_role=arguments.fleet_role,
        node_class=arguments.node_class,
    )
    return write(arguments.format, made, settings)


def _launch_templates(words: Sequence[str]) -> dict[str, "LaunchTemplate"]:
    from spotwatch.pools.formats import LaunchTemplate

    templates: dict[str, LaunchTemplate] = {}
    for word in words:
        written, equals, named = word.rpartition("=")
        architecture = written if equals else ARCHITECTURES[0]
        if architecture not in ARCHITECTURES:
            raise UsageError(f'"{architecture}" is no architecture', hint=f"write one of {', '.join(ARCHITECTURES)}")
        if architecture in templates:
            raise UsageError(
                f"two launch templates are for {architecture}",
                hint="write --launch-template x86_64=ID --launch-template arm64=ID",
            )
        identity, _, version = named.partition(":")
        known = {"id": identity} if identity.startswith("lt-") else {"name": identity}
        templates[architecture] = LaunchTemplate(**known, version=version or "$Default")
    return templates
