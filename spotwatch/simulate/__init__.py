"""A fake EC2 instance metadata service, and what is rehearsed against it."""
