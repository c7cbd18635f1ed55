"""The daemon: the loop, what it needs of the world around it, and what it writes into the log."""
