"""CloudWatch metrics of one moment."""

from collections.abc import Mapping
from dataclasses import dataclass

from spotwatch.aws.session import Api


@dataclass(frozen=True, slots=True)
class Metric:
    """A value and its unit in CloudWatch's word (`Count`, `Seconds`, …)."""

    name: str
    value: float
    unit: str


def publish(cloudwatch: Api, namespace: str, metrics: tuple[Metric, ...], dimensions: Mapping[str, str]) -> None:
    """Publish them, all with the same dimensions.

    Raises:
        AwsError: as its subclasses say.
    """
    told = [{"Name": name, "Value": value} for name, value in dimensions.items()]
    data = [
        {"MetricName": metric.name, "Value": metric.value, "Unit": metric.unit, "Dimensions": told}
        for metric in metrics
    ]
    cloudwatch.call("PutMetricData", Namespace=namespace, MetricData=data)
