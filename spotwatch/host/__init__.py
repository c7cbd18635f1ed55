"""The only room that knows the machine: clocks, signals, child processes, their output, files, the service manager."""
