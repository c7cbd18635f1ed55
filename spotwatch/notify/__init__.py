"""Telling people and programs outside AWS of a drain: webhooks, and the services that a library knows."""
