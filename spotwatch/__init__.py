"""Leave an EC2 Spot Instance in good order: no request lost, no log line lost."""

__version__ = "0.1.0"
