"""The only room that knows boto3: the session, its patience, the mapping of its errors, and one file a service."""
