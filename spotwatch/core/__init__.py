"""The words that all rooms share. Pure: no clock is read, no file opened, nothing logged here."""
