"""Leftover log volumes to shipped log objects: what is left, what of it was not sent, and where it goes, once."""
