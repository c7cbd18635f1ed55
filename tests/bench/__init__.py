"""Measurements, run by hand: ``python -m tests.bench.idle`` and so on. Nothing here is asserted in a timed test."""
