"""Name services that are reached by other protocols than AWS's: dynamic updates, and the tables that servers read."""
