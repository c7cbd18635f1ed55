"""From events to hook outcomes: who runs when, for how long, and what is said of it afterwards."""
