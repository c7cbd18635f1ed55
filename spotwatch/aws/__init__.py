"""The only room that knows botocore: the session, its patience, the mapping of its errors, and one file a service."""
